// Entry of `postern` in a terminal: reads argv, environment, clock and signals, runs the command, says what went wrong,
// and ends with the command's exit code.
import { readFileSync } from 'node:fs'
import { homedir, hostname, userInfo } from 'node:os'
import { isatty } from 'node:tty'
import { CommanderError } from 'commander'
import { openLink } from '../client/app/open-link.ts'
import { hasDisplay } from '../client/app/open-window.ts'
import { PosternError } from '../shared/errors.ts'
import type { Context } from './context.ts'
import { exitCodeFor, formatError } from './print-error.ts'
import { buildProgram } from './program.ts'

/** After an interrupt a command closes what it opened; one that takes longer is ended, in ms. */
const INTERRUPT_GRACE_MS = 8000
const LAUNCHER_POLL_MS = 500

const version = readVersion()

function readVersion(): string {
  const parsed: unknown = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
  return typeof parsed === 'object' && parsed !== null && 'version' in parsed ? String(parsed.version) : 'unknown'
}

function makeContext(interrupt: AbortSignal): Context {
  const { stdin, stdout, stderr } = process
  const machine = { platform: process.platform, env: process.env, uid: process.getuid?.() }
  return {
    terminal: {
      ...{ stdin, stdout, stderr },
      canAsk: isatty(0) && isatty(2),
      // A terminal that does not know its size says 0.
      screen: isatty(1) ? () => ({ columns: stdout.columns || 80, rows: stdout.rows || 24 }) : undefined,
      openLink: isatty(1) && hasDisplay(machine) ? (url) => openLink(url, machine) : undefined,
    },
    interrupt,
    now: () => new Date(),
    async connect({ canAsk }) {
      const { connectToCore, home } = await loadClient()
      return connectToCore({
        home,
        kind: 'terminal',
        canAsk,
        appVersion: version,
      })
    },
    async stopCore() {
      const { stopCore, home } = await loadClient()
      return stopCore(home, { signal: interrupt })
    },
    async openApp({ open }) {
      const [{ openApp, tunnelLine }, { home }] = await Promise.all([import('../client/app/open-app.ts'), loadClient()])
      const opened = await openApp({ homeDir: home, machine, open, signal: interrupt })
      const whereabouts = {
        user: userInfo().username,
        hostname: hostname(),
        sshConnection: process.env['SSH_CONNECTION'],
      }
      return { ...opened, tunnel: opened.host && tunnelLine(opened.host.port, whereabouts) }
    },
  }
}

/** The client is loaded when a command needs it, so that `--help` is quick. */
async function loadClient() {
  const [{ connectToCore, stopCore }, { homeDirFrom }] = await Promise.all([
    import('../client/connect.ts'),
    import('../client/home.ts'),
  ])
  return { connectToCore, stopCore, home: homeDirFrom(process.env, homedir()) }
}

/** Ctrl-C, SIGTERM, SIGHUP, and the death of bin/postern (which no signal tells) abort the signal once. */
function watchInterrupts(): AbortSignal {
  const controller = new AbortController()
  const interrupt = () => {
    if (controller.signal.aborted) return
    controller.abort(new PosternError('login_cancelled', 'Interrupted.'))
    setTimeout(() => process.exit(1), INTERRUPT_GRACE_MS).unref()
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, interrupt)
  const launcher = Number(process.env['POSTERN_LAUNCHER_PID'] ?? 0)
  // The core and other children are not the launcher's business.
  delete process.env['POSTERN_LAUNCHER_PID']
  if (launcher > 0)
    setInterval(() => {
      if (process.ppid !== launcher) interrupt()
    }, LAUNCHER_POLL_MS).unref()
  return controller.signal
}

/** A reader that has gone (`postern audit | head`) has got what it wanted. */
function endWithReader(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    process.exit(error.code === 'EPIPE' ? 0 : 1)
  })
  process.stderr.on('error', () => undefined)
}

async function run(args: string[]): Promise<number> {
  const json = args.includes('--json')
  try {
    await buildProgram(makeContext(watchInterrupts()), version).parseAsync(args, { from: 'user' })
    return 0
  } catch (error) {
    if (!(error instanceof CommanderError)) {
      process.stderr.write(formatError(error, json))
      return exitCodeFor(error)
    }
    // Help and version are no errors; help because the subcommand is missing is one, and was printed already.
    if (error.exitCode === 0) return 0
    if (error.code !== 'commander.help') {
      const text = `${error.message.replace(/^error: /, '').replace(/\.$/, '')}. See: postern --help`
      process.stderr.write(formatError(new PosternError('bad_request', text), json))
    }
    return 2
  }
}

endWithReader()
process.exitCode = await run(process.argv.slice(2))
