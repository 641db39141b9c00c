// The door for hosts (window, page, terminal): finds the core of a home or starts it, says hello, and gives typed calls and
// events. Promises a bounded wait and errors that say what to do; the core outlives the host that started it.
import { spawn } from 'node:child_process'
import { constants } from 'node:fs'
import { open, rename, stat } from 'node:fs/promises'
import { createConnection, type Socket } from 'node:net'
import { dirname, join } from 'node:path'
import type { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { PosternError } from '../shared/errors.ts'
import { RPC_VERSION } from '../shared/rpc.ts'
import { attachTo, type CoreConnection, type HostIntroduction } from './control/client.ts'
import { errorFromBody } from './error-body.ts'
import { prepareHome, readCorePointer, type Home } from './home.ts'

export type { CallOptions, CoreConnection, HostIntroduction } from './control/client.ts'

export type ConnectOptions = HostIntroduction & {
  /** The home directory (POSTERN_HOME or ~/.postern; see homeDirFrom in home.ts). */
  home: string
  /** The Node (24 or newer) that runs the core if it has to be started; this process's own by default. */
  execPath?: string
  /** false: never start a core; error `core_unreachable` if none runs. */
  start?: boolean
  /** How long to find or start the core, in ms. */
  deadlineMs?: number
  signal?: AbortSignal
}

const DEFAULT_DEADLINE_MS = 15_000
/** Pause before another try when a core that is not our child is just starting or ending, in ms. */
const RETRY_PAUSE_MS = 50
/**
 * V8's space for young objects, in MiB: with its own 16 a core of 1,000 idle connections had 244 MiB instead of 151, and copied no faster.
 */
const YOUNG_MIB = 2
/** A log longer than this is put aside before a core starts, in bytes. */
const LOG_MAX_BYTES = 5 * 1024 * 1024

/**
 * Connects to the core of a home, starting it if there is none.
 * @throws PosternError `core_version` if another version runs and is in use, `core_unreachable` if none could be reached in
 * time, or why the core could not start (for example `misconfigured` settings)
 */
export async function connectToCore(options: ConnectOptions): Promise<CoreConnection> {
  const uid = process.getuid?.()
  const home = await prepareHome(options.home, uid)
  const deadline = AbortSignal.timeout(options.deadlineMs ?? DEFAULT_DEADLINE_MS)
  const signal = options.signal ? AbortSignal.any([deadline, options.signal]) : deadline
  try {
    for (;;) {
      signal.throwIfAborted()
      const connection = await attachToRunning(home, options, signal)
      if (connection) {
        if (connection.core.rpcVersion === RPC_VERSION) return connection
        await retire(connection, options)
        continue
      }
      if (options.start === false) throw notRunning(home)
      const started = await startCore(home, options, signal)
      // Another core holds the home but does not listen (yet, or any more): it is starting or ending.
      if (started === 'locked') await delay(RETRY_PAUSE_MS, undefined, { signal })
    }
  } catch (error) {
    if (options.signal?.aborted) throw options.signal.reason
    if (!deadline.aborted) throw error
    throw new PosternError(
      'core_unreachable',
      `the Postern core of ${home.dir} did not answer in time; see ${home.logFile}, or stop it and try again`,
      { cause: error },
    )
  }
}

/** Stops the core of a home, whatever its version. Resolves to whether one ran, when it has let go of its hosts. */
export async function stopCore(homeDir: string, options: { signal?: AbortSignal } = {}): Promise<boolean> {
  const home = await prepareHome(homeDir, process.getuid?.())
  const deadline = AbortSignal.timeout(DEFAULT_DEADLINE_MS)
  const signal = options.signal ? AbortSignal.any([deadline, options.signal]) : deadline
  const introduction: HostIntroduction = { kind: 'terminal', canAsk: false, appVersion: 'stop' }
  const connection = await attachToRunning(home, introduction, signal)
  if (!connection) return false
  await connection.call('core.stop', {}, { signal })
  await connection.closed
  return true
}

const notRunning = (home: Home): PosternError =>
  new PosternError('core_unreachable', `no Postern core runs for ${home.dir}`)

/** A connection to the core that runs, or undefined if none does. */
async function attachToRunning(
  home: Home,
  introduction: HostIntroduction,
  signal: AbortSignal,
): Promise<CoreConnection | undefined> {
  const pointer = await readCorePointer(home)
  if (!pointer) return undefined
  const socket = await connectSocket(pointer.socket, signal)
  if (!socket) return undefined
  try {
    return await attachTo(socket, introduction, signal)
  } catch (error) {
    // It was ending while we came: look again.
    if (error instanceof PosternError && error.code === 'core_unreachable') return undefined
    throw error
  }
}

/**
 * Resolves to undefined where nobody listens. The signal ends connecting only: `createConnection`'s own `signal` option would
 * destroy the socket at the deadline even though it has long been connected.
 */
function connectSocket(path: string, signal: AbortSignal): Promise<Socket | undefined> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted()
    const socket = createConnection({ path })
    const onAbort = () => socket.destroy(signal.reason as Error)
    signal.addEventListener('abort', onAbort, { once: true })
    socket.once('connect', () => {
      signal.removeEventListener('abort', onAbort)
      socket.removeAllListeners('error')
      resolve(socket)
    })
    socket.once('error', (error: NodeJS.ErrnoException) => {
      signal.removeEventListener('abort', onAbort)
      if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') resolve(undefined)
      else reject(error)
    })
  })
}

/** Asks a core of another version to make room. */
async function retire(connection: CoreConnection, options: ConnectOptions): Promise<void> {
  const { rpcVersion, appVersion } = connection.core
  const answer = await connection.call('core.retire', {})
  if (answer.retired) {
    await connection.closed
    return
  }
  await connection.close()
  throw new PosternError(
    'core_version',
    `a Postern core of version ${appVersion} (control protocol ${rpcVersion}) runs, this is version ${options.appVersion} ` +
      `(control protocol ${RPC_VERSION}), and it cannot make room: ${answer.text}. ` +
      'Close its gateways and windows, or run `postern core stop`, then try again',
  )
}

const ReadyLine = z.union([
  z.object({ ready: z.literal(true) }),
  z.object({ locked: z.literal(true) }),
  z.object({ error: z.object({ code: z.string(), text: z.string() }) }),
])

/** Starts a core that outlives this process and waits until it listens, or says why it cannot. */
async function startCore(home: Home, options: ConnectOptions, signal: AbortSignal): Promise<'ready' | 'locked'> {
  const main = join(dirname(fileURLToPath(import.meta.url)), 'main.ts')
  await putLongLogAside(home.logFile)
  const log = await open(home.logFile, constants.O_APPEND | constants.O_CREAT | constants.O_WRONLY, 0o600)
  try {
    const child = spawn(
      options.execPath ?? process.execPath,
      [
        `--max-semi-space-size=${YOUNG_MIB}`,
        main,
        '--home',
        home.dir,
        '--app-version',
        options.appVersion,
        '--ready-fd',
        '3',
      ],
      { cwd: '/', detached: true, stdio: ['ignore', log.fd, log.fd, 'pipe'] },
    )
    const failed = new Promise<never>((_, reject) => child.once('error', reject))
    child.unref()
    const pipe = child.stdio[3] as Readable
    const line = await Promise.race([readToEnd(pipe, signal), failed]).catch((error: unknown) => {
      if (signal.aborted) throw error
      throw new PosternError('core_unreachable', `cannot start the Postern core with ${child.spawnfile}`, {
        cause: error,
      })
    })
    const ready = ReadyLine.safeParse(line === '' ? undefined : JSON.parse(line))
    if (!ready.success) {
      throw new PosternError('core_unreachable', `the Postern core ended while it started; see ${home.logFile}`)
    }
    if ('locked' in ready.data) return 'locked'
    if ('ready' in ready.data) return 'ready'
    throw errorFromBody(ready.data.error)
  } finally {
    await log.close()
  }
}

/** The whole text of a pipe; destroys it. */
async function readToEnd(pipe: Readable, signal: AbortSignal): Promise<string> {
  const stop = () => pipe.destroy(signal.reason as Error)
  signal.addEventListener('abort', stop, { once: true })
  try {
    let text = ''
    for await (const chunk of pipe) text += String(chunk)
    return text
  } finally {
    signal.removeEventListener('abort', stop)
    pipe.destroy()
  }
}

async function putLongLogAside(file: string): Promise<void> {
  const found = await stat(file).catch(() => undefined)
  if (found && found.size > LOG_MAX_BYTES) await rename(file, `${file}.1`)
}
