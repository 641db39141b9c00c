// Entry of the core process: `node client/main.ts [--home DIR] [--app-version V] [--ready-fd N]`. Reads argv, environment and
// clock, takes the lock of the home, starts the core and stays until it ends. Started by connect.ts.
import { closeSync, writeSync } from 'node:fs'
import { rm, rmdir } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { dirname } from 'node:path'
import { parseArgs } from 'node:util'
import { PosternError } from '../shared/errors.ts'
import { writeFileAtomically } from './atomic-file.ts'
import { startCore } from './core.ts'
import { controlSocketOf, homeDirFrom, prepareHome } from './home.ts'
import { createLog } from './log.ts'
import { takeProcessLock } from '../link/process-lock.ts'
import { readSettings } from './settings.ts'

/** A graceful end that takes longer is cut short, in ms. */
const STOP_DEADLINE_MS = 8000

const { values } = parseArgs({
  options: {
    home: { type: 'string' },
    'app-version': { type: 'string', default: 'unknown' },
    'ready-fd': { type: 'string' },
  },
})
const log = createLog(process.env['POSTERN_LOG_LEVEL'] ?? 'info')

/** One line to whoever started us: that we listen, or why not. It may have gone away meanwhile. */
function tellStarter(message: unknown): void {
  if (values['ready-fd'] === undefined) return
  const fd = Number(values['ready-fd'])
  try {
    writeSync(fd, JSON.stringify(message))
    closeSync(fd)
  } catch (error) {
    log.info({ err: error }, 'whoever started this core has gone')
  }
}

async function run(): Promise<void> {
  process.umask(0o077)
  const uid = process.getuid?.()
  const home = await prepareHome(values.home ?? homeDirFrom(process.env, homedir()), uid)
  const lock = takeProcessLock(home.lockFile)
  if (!lock) {
    tellStarter({ locked: true })
    return
  }
  const settings = await readSettings(home.settingsFile)
  const runtimeDir = process.env['XDG_RUNTIME_DIR']
  const shortDirs = runtimeDir ? [runtimeDir, tmpdir()] : [tmpdir()]
  const socketPath = await controlSocketOf(home, uid, shortDirs)
  const core = await startCore({
    home,
    socketPath,
    settings,
    appVersion: values['app-version'],
    platform: process.platform,
    uid,
    // There as a utility process of the desktop app only.
    keyStore: 'parentPort' in process ? { port: process.parentPort } : undefined,
    now: () => Date.now(),
    log,
  })
  const onSignal = (): void => {
    setTimeout(() => process.exit(1), STOP_DEADLINE_MS).unref()
    void core.stop()
  }
  process.on('SIGTERM', onSignal).on('SIGINT', onSignal)
  process.on('SIGHUP', () => log.info('the terminal that started this core has gone'))
  await writeFileAtomically(home.pointerFile, JSON.stringify({ socket: socketPath, pid: process.pid }))
  log.info({ home: home.dir, appVersion: values['app-version'] }, 'core listens')
  tellStarter({ ready: true })
  await core.ended
  await rm(home.pointerFile, { force: true })
  // The short directory of a long home goes with its last socket; it is full while another home's core uses it.
  if (dirname(socketPath) !== home.dir) await rmdir(dirname(socketPath)).catch(() => undefined)
  lock.release()
}

try {
  await run()
  // Whatever a library still holds open must not keep a core alive that nobody can reach.
  process.exit(0)
} catch (error) {
  log.fatal({ err: error }, 'the core could not start')
  const body =
    error instanceof PosternError
      ? error.toBody()
      : { code: 'internal', text: `the Postern core could not start: ${String(error)}` }
  tellStarter({ error: body })
  process.exit(1)
}
