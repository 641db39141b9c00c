// Entry of the demo (`npm start`): runs PostgreSQL and the access server from one data directory, sets them up on the first
// start, says what to do next, stays, and ends everything that it started. Only this file reads argv, environment, clock.
import { readFile, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { pino } from 'pino'
import { onParentDeath } from '../build/parent-death.mjs'
import { takeProcessLock } from '../link/process-lock.ts'
import { exitCodeOf, PosternError } from '../shared/errors.ts'
import { findDemoApp, noApp, openDemoApp } from './app.ts'
import { CLUSTER } from './access-server.ts'
import { writePrivateFile } from './demo-state.ts'
import { HELP, parseOptions, type DemoOptions } from './options.ts'
import { describeResources } from './people-and-roles.ts'
import { defaultDataDir, preparePlaces, type Places } from './places.ts'
import { formatReadyLine, formatReadyText, ReadyFile } from './ready.ts'
import { CHECKOUT, endAll, startDemo, type RunningDemo, type Stack } from './start-demo.ts'

/** A demo that is just starting is waited for so long by a second start: its first run makes a PostgreSQL cluster. */
const OTHER_START_TIMEOUT_MS = 120_000
const POLL_MS = 100

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
    const progress = (text: string) => process.stderr.write(`${text}\n`)
    const now = () => new Date()
    const demo = await startDemo(places, { ...options, progress, now, log }, started, ending)
    const file = readyOf(demo, places)
    const app = options.app ? await openDemoApp(places.home, process.env, ending) : noApp()
    started.push(() => app.close())
    file.ready.appUrl = app.url
    await writePrivateFile(places.readyFile, file)
    started.push(() => rm(places.readyFile, { force: true }))
    say(options, file, app.text, '')
    await Promise.race([demo.broken, aborted(ending)])
  } finally {
    await endAll(started, log)
  }
}

const readyOf = (demo: RunningDemo, places: Places): ReadyFile => ({
  pid: process.pid,
  dataDir: places.dataDir,
  postgresDir: demo.state.postgresDir,
  ready: {
    appUrl: null,
    home: places.home,
    cluster: { name: CLUSTER, address: demo.address, caFile: demo.caFile, fingerprint: demo.server.fingerprint },
    users: demo.state.people,
    resources: describeResources(),
  },
})

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
