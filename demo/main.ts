// Entry of the demo (`npm start`): runs PostgreSQL and the access server from one data directory, sets them up on the first
// start, says what to do next, stays, and ends everything that it started. Only this file reads argv, environment, clock.
import { readFile, rm } from 'node:fs/promises'
import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { pino, type Logger } from 'pino'
import { onParentDeath } from '../build/parent-death.mjs'
import { takeProcessLock } from '../link/process-lock.ts'
import { exitCodeOf, PosternError } from '../shared/errors.ts'
import { findDemoApp, noApp, openDemoApp } from './app.ts'
import { CLUSTER, initialiseServer, startServer, writeServerConfig } from './access-server.ts'
import { guardCore, stopCoreForSure } from './core-guard.ts'
import { chooseFreePort, isFree, newState, readState, writePrivateFile, type DemoState } from './demo-state.ts'
import { startGreeter } from './greeter.ts'
import { HELP, parseOptions, type DemoOptions } from './options.ts'
import { describeResources } from './people-and-roles.ts'
import { defaultDataDir, preparePlaces, type Places } from './places.ts'
import { startPostgres } from './postgres/start-postgres.ts'
import { formatReadyLine, formatReadyText, ReadyFile } from './ready.ts'
import { setUpCluster, trustCluster } from './set-up.ts'
import { shopSql } from './shop-data.ts'

const CHECKOUT = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
/** A demo that is just starting is waited for so long by a second start: its first run makes a PostgreSQL cluster. */
const OTHER_START_TIMEOUT_MS = 120_000
const POLL_MS = 100

/** What was started, ended in reverse order. */
type Stack = (() => Promise<void>)[]

async function runDemo(options: DemoOptions, ending: AbortSignal): Promise<void> {
  const uid = process.getuid?.()
  const dataDir = path.resolve(options.dataDir ?? defaultDataDir(CHECKOUT, process.env, homedir()))
  const places = await preparePlaces(dataDir, uid)
  const lock = takeProcessLock(places.lockFile)
  if (lock === undefined) {
    const other = await readOther(places, ending)
    const app = options.app ? await findDemoApp(places.home, process.env) : noApp()
    const file = { ...other, ready: { ...other.ready, appUrl: app.url } }
    say(options, file, app.text, 'The demo of this data directory runs already.\n')
    return
  }
  const started: Stack = [
    () => {
      lock.release()
      return Promise.resolve()
    },
  ]
  const log = pino({ level: 'info' }, pino.destination({ dest: places.log, mode: 0o600, sync: true }))
  try {
    await rm(places.readyFile, { force: true })
    const file = await start(places, options, started, log, ending)
    const app = options.app ? await openDemoApp(places.home, process.env, ending) : noApp()
    started.push(() => app.close())
    file.ready.ready.appUrl = app.url
    await writePrivateFile(places.readyFile, file.ready)
    started.push(() => rm(places.readyFile, { force: true }))
    say(options, file.ready, app.text, '')
    await Promise.race([file.broken, aborted(ending)])
  } finally {
    for (const end of started.reverse())
      await end().catch((error: unknown) => log.error({ err: error }, 'something did not end cleanly'))
  }
}

/** Starts everything; what it started is on the stack, also when it fails half-way. */
async function start(
  places: Places,
  options: DemoOptions,
  started: Stack,
  log: Logger,
  signal: AbortSignal,
): Promise<{ ready: ReadyFile; broken: Promise<never> }> {
  const { state, isNew } = await prepareState(places)
  await checkPort(state.serverPort, 'the access server', places)
  await checkPort(state.postgresPort, 'PostgreSQL', places)
  await checkPort(state.greeterPort, 'the greeter', places)

  const progress = (text: string) => process.stderr.write(`${text}\n`)
  if (!state.isSetUp) progress('First start: making PostgreSQL and the access server …')
  const postgres = await startPostgres({
    dataDir: state.postgresDir,
    port: state.postgresPort,
    initialSql: shopSql(state.accounts),
    signal,
    log,
  })
  started.push(() => postgres.stop())
  const greeter = await startGreeter(state.greeterPort, () => new Date())
  started.push(() => greeter.stop())

  await writeServerConfig(places, state.serverPort)
  const setupCode = state.isSetUp ? undefined : await makeServerAnew(places)
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
  const ready = {
    appUrl: null,
    home: places.home,
    cluster: { name: CLUSTER, address, caFile, fingerprint: server.fingerprint },
    users: state.people,
    resources: describeResources(),
  }
  return {
    ready: { pid: process.pid, dataDir: places.dataDir, postgresDir: state.postgresDir, ready },
    broken,
  }
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
async function makeServerAnew(places: Places): Promise<string> {
  await stopCoreForSure(places.setupHome)
  await stopCoreForSure(places.home)
  for (const directory of [places.serverDir, places.setupHome, places.home])
    await rm(directory, { recursive: true, force: true })
  return (await initialiseServer(places, () => new Date())).setupCode
}

async function checkPort(port: number, whose: string, places: Places): Promise<void> {
  // What a killed demo left ends by itself within moments.
  const deadline = performance.now() + 10_000
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

/** What the demo that holds the lock has printed; waits for one that is just starting. */
async function readOther(places: Places, signal: AbortSignal): Promise<ReadyFile> {
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(OTHER_START_TIMEOUT_MS)])
  for (;;) {
    const text = await readFile(places.readyFile, 'utf8').catch(() => undefined)
    if (text !== undefined) return ReadyFile.parse(JSON.parse(text))
    await delay(POLL_MS, undefined, { signal: deadline }).catch((cause: unknown) => {
      throw new PosternError('conflict', `another npm start holds ${places.dataDir} and does not get ready`, { cause })
    })
  }
}

function say(options: DemoOptions, file: ReadyFile, appText: string, note: string): void {
  if (options.json) process.stderr.write(note)
  process.stdout.write(
    options.json ? formatReadyLine(file.ready) : `${note}${formatReadyText(file, appText, CHECKOUT, process.cwd())}`,
  )
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })

function readVersion(): string {
  const parsed: unknown = JSON.parse(readFileSync(path.join(CHECKOUT, 'package.json'), 'utf8'))
  return typeof parsed === 'object' && parsed !== null && 'version' in parsed ? String(parsed.version) : 'unknown'
}

/** Signals, and the death of `npm start` (which no signal tells), end the demo. */
function watchEnd(): AbortSignal {
  const controller = new AbortController()
  const end = () => controller.abort(new PosternError('login_cancelled', 'interrupted'))
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, end)
  onParentDeath(end)
  return controller.signal
}

async function main(): Promise<number> {
  const ending = watchEnd()
  try {
    const options = parseOptions(process.argv.slice(2))
    if (options.help) process.stdout.write(HELP)
    else await runDemo(options, ending)
    return 0
  } catch (error) {
    // Interrupted while starting: everything that had started was ended.
    if (ending.aborted) return 0
    process.stderr.write(`npm start: ${error instanceof Error ? error.message : String(error)}\n`)
    return exitCodeOf(error)
  }
}

// A reader that is gone (npm was killed) is no reason to end without cleaning up.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined)
const exitCode = await main()
process.exit(exitCode)
