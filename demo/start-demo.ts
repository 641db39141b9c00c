// Starts what a demo is made of in its places: PostgreSQL with the shop, a greeter, the access server with its people, and a POSTERN_HOME
// that trusts it. Used by main.ts (`npm start`) and expiry/main.ts (`npm run demo:expiry`).
import { readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from 'pino'
import { PosternError } from '../shared/errors.ts'
import { initialiseServer, startServer, writeServerConfig, type RunningServer } from './access-server.ts'
import { guardCore, stopCoreForSure } from './core-guard.ts'
import { chooseFreePort, isFree, newState, readState, writePrivateFile, type DemoState } from './demo-state.ts'
import { startGreeter } from './greeter.ts'
import type { Places } from './places.ts'
import { startPostgres, type RunningPostgres } from './postgres/start-postgres.ts'
import { setUpCluster, trustCluster } from './set-up.ts'
import { shopSql } from './shop-data.ts'

export const CHECKOUT = path.dirname(import.meta.dirname)
const PORT_DEADLINE_MS = 10_000
const POLL_MS = 100

/** What was started, ended in reverse order. */
export type Stack = (() => Promise<void>)[]

export type StartOptions = {
  userTtl: string | undefined
  routeTtl: string | undefined
  /** false gives up crash safety for speed: for data that nobody keeps. */
  durable?: boolean
  /** A line for people. */
  progress: (text: string) => void
  now: () => Date
  log: Logger
}

export type RunningDemo = {
  state: DemoState
  postgres: RunningPostgres
  server: RunningServer
  address: string
  caFile: string
  /** Rejects when a part of it ends that nobody has ended. */
  broken: Promise<never>
}

/**
 * Starts everything; what it started is on the stack, also when it fails half-way.
 * @throws PosternError `port_conflict`, `misconfigured`, `not_found` (no PostgreSQL); the signal's reason if that aborts
 */
export async function startDemo(
  places: Places,
  options: StartOptions,
  started: Stack,
  signal: AbortSignal,
): Promise<RunningDemo> {
  const { state, isNew } = await prepareState(places)
  await checkPort(state.serverPort, 'the access server', places)
  await checkPort(state.postgresPort, 'PostgreSQL', places)
  await checkPort(state.greeterPort, 'the greeter', places)

  if (!state.isSetUp) options.progress('First start: making PostgreSQL and the access server …')
  const postgres = await startPostgres({
    dataDir: state.postgresDir,
    port: state.postgresPort,
    initialSql: shopSql(state.accounts),
    ...(options.durable === undefined ? {} : { durable: options.durable }),
    signal,
    log: options.log,
  })
  started.push(() => postgres.stop())
  const greeter = await startGreeter(state.greeterPort, options.now)
  started.push(() => greeter.stop())

  await writeServerConfig(places, state.serverPort)
  const setupCode = state.isSetUp ? undefined : await makeServerAnew(places, options.now)
  const server = await startServer(places, { user: options.userTtl, route: options.routeTtl }, signal)
  started.push(() => server.stop())

  const guard = guardCore(places.home)
  started.push(() => guard.stop())
  const address = `127.0.0.1:${state.serverPort}`
  const caFile = path.join(places.serverDir, 'ca.pem')
  const setUp = { places, state, address, caFile, version: readVersion() }
  if (isNew || setupCode !== undefined) {
    await setUpCluster({ ...setUp, setupCode }, signal).catch((cause: unknown) => {
      if (signal.aborted || setupCode !== undefined) throw cause
      // Somebody has changed the administrator's password, for one.
      const text = `the demo of an earlier version in ${places.dataDir} cannot be brought up to date`
      throw new PosternError('misconfigured', `${text}: remove that directory to begin anew`, { cause })
    })
    await writePrivateFile(places.stateFile, { ...state, isSetUp: true })
  }
  await trustCluster(setUp, signal)

  const failed = (what: string) => new PosternError('internal', `${what} ended unexpectedly; see ${places.dataDir}`)
  const broken = Promise.race([
    postgres.ended.then(() => 'PostgreSQL'),
    server.ended.then(() => 'the access server'),
  ]).then((what) => {
    throw failed(what)
  })
  // Nobody waits for it yet while we stop.
  broken.catch(() => undefined)
  return { state, postgres, server, address, caFile, broken }
}

/** Ends what is on the stack, last first; what does not end cleanly goes to the log only. */
export async function endAll(started: Stack, log: Logger): Promise<void> {
  for (const end of started.reverse())
    await end().catch((error: unknown) => log.error({ err: error }, 'something did not end cleanly'))
}

/** `isNew`: what it says has to be applied to the server. */
async function prepareState(places: Places): Promise<{ state: DemoState; isNew: boolean }> {
  const known = await readState(places.stateFile)
  if (known !== undefined) {
    const { greeterPort } = known
    if (greeterPort !== undefined) return { state: { ...known, greeterPort }, isNew: false }
    const added = await chooseFreePort([known.serverPort, known.postgresPort])
    return { state: { ...known, greeterPort: added }, isNew: true }
  }
  // Without our passwords an older cluster there is of no use: its data directory was removed, or its first start was torn.
  await rm(places.postgresDir, { recursive: true, force: true })
  const state = await newState(places.postgresDir)
  await writePrivateFile(places.stateFile, state)
  return { state, isNew: true }
}

/** A first start that was torn is begun again, with what depends on the server's keys. */
async function makeServerAnew(places: Places, now: () => Date): Promise<string> {
  await stopCoreForSure(places.setupHome)
  await stopCoreForSure(places.home)
  for (const directory of [places.serverDir, places.setupHome, places.home])
    await rm(directory, { recursive: true, force: true })
  return (await initialiseServer(places, now)).setupCode
}

async function checkPort(port: number, whose: string, places: Places): Promise<void> {
  // What a killed demo left ends by itself within moments.
  const deadline = performance.now() + PORT_DEADLINE_MS
  while (!(await isFree(port))) {
    if (performance.now() > deadline)
      throw new PosternError(
        'port_conflict',
        `port ${port} of 127.0.0.1, which ${whose} of this demo has chosen, is taken by another program: end that, ` +
          `or begin anew with other ports by removing ${places.dataDir}`,
      )
    await delay(POLL_MS)
  }
}

/** Of this checkout, as its package.json says. */
export function readVersion(): string {
  const parsed: unknown = JSON.parse(readFileSync(path.join(CHECKOUT, 'package.json'), 'utf8'))
  return typeof parsed === 'object' && parsed !== null && 'version' in parsed ? String(parsed.version) : 'unknown'
}
