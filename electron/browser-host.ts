// Entry of the browser host: `node electron/browser-host.ts --home DIR [--app DIR] [--grace 60s] [--with-launcher]`. Shows the
// app in the person's own browser where Electron is not there. Reads argv, environment and clock; prints one JSON line when it
// listens ({"origin"…}), or why it cannot. Started by client/app/launch.ts.
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { pino } from 'pino'
import { hostPlacesOf } from '../client/app/door.ts'
import { connectToCore } from '../client/connect.ts'
import { createLocalUserCheck } from '../client/gateways/local-user.ts'
import { homeDirFrom, prepareHome } from '../client/home.ts'
import { takeProcessLock } from '../link/process-lock.ts'
import { parseDuration } from '../shared/duration.ts'
import { PosternError } from '../shared/errors.ts'
import { readAppFiles } from './browser-host/app-files.ts'
import { startBrowserHost } from './browser-host/host.ts'
import { browserShell } from './browser-host/shell.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
/** Time to copy a URL to another machine and set up a tunnel for it, in ms. */
const LAUNCH_WAIT_MS = 10 * 60_000
/** A graceful end that takes longer is cut short, in ms. */
const CLOSE_DEADLINE_MS = 5000

const { values } = parseArgs({
  options: {
    home: { type: 'string' },
    app: { type: 'string', default: join(ROOT, 'out', 'renderer') },
    grace: { type: 'string', default: '60s' },
    /** Lives as long as whoever holds the other end of stdin, instead of a grace time. */
    'with-launcher': { type: 'boolean', default: false },
  },
})

async function run(): Promise<void> {
  process.umask(0o077)
  const uid = process.getuid?.()
  const home = await prepareHome(values.home ?? homeDirFrom(process.env, homedir()), uid)
  const graceMs = parseDuration(values.grace)
  if (graceMs === undefined)
    throw new PosternError('bad_request', `--grace "${values.grace}" is not a duration like 60s`)
  const files = await readAppFiles(values.app)
  const lock = takeProcessLock(hostPlacesOf(home.dir).lockFile)
  if (!lock) {
    tell({ locked: true })
    return
  }
  const appVersion = readVersion()
  const { promise: ended, resolve: end } = Promise.withResolvers<undefined>()
  const host = await startBrowserHost({
    homeDir: home.dir,
    files,
    shell: browserShell(appVersion),
    connect: (signal) => connectToCore({ home: home.dir, kind: 'page', canAsk: true, appVersion, signal }),
    machine: { platform: process.platform, env: process.env, uid },
    checkLocalUser: createLocalUserCheck({ platform: process.platform, ownUid: uid }),
    randomHex: (bytes) => randomBytes(bytes).toString('hex'),
    graceMs: values['with-launcher'] ? undefined : graceMs,
    launchWaitMs: LAUNCH_WAIT_MS,
    onIdle: () => end(undefined),
    log: pino({ base: { pid: process.pid }, level: process.env['POSTERN_LOG_LEVEL'] ?? 'info' }, pino.destination(2)),
  })
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => end(undefined))
  // The launcher's death closes its end of our stdin, however it died.
  if (values['with-launcher'])
    process.stdin
      .on('error', () => end(undefined))
      .on('close', () => end(undefined))
      .resume()
  tell({ origin: host.origin })
  await ended
  setTimeout(() => process.exit(1), CLOSE_DEADLINE_MS).unref()
  await host.close()
  lock.release()
}

/** One line to whoever started us, who may have gone meanwhile. */
function tell(message: unknown): void {
  process.stdout.on('error', () => undefined)
  process.stdout.write(`${JSON.stringify(message)}\n`)
}

function readVersion(): string {
  const parsed: unknown = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  return typeof parsed === 'object' && parsed !== null && 'version' in parsed ? String(parsed.version) : 'unknown'
}

try {
  await run()
  process.exitCode = 0
} catch (error) {
  const body =
    error instanceof PosternError
      ? error.toBody()
      : { code: 'internal', text: `the browser host could not start: ${String(error)}` }
  tell({ error: body })
  process.exitCode = 1
}
// Whatever a library still holds open must not keep a host alive that nobody can reach.
setImmediate(() => process.exit())
