// The way to the app in a browser: finds the browser host of a home or starts it, and asks it for a ticket, which opens the app
// once. Called by `postern app` and by the demo. Promises a bounded wait and errors that say what to do.
import { spawn, type ChildProcess } from 'node:child_process'
import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { request } from 'node:http'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { takeProcessLock } from '../../link/process-lock.ts'
import { PosternError } from '../../shared/errors.ts'
import { errorFromBody } from '../error-body.ts'
import { prepareHome } from '../home.ts'
import { hostPlacesOf, LaunchTicket, readDoor, type BrowserDoor, type WindowRequest } from './door.ts'

const HOST_ENTRY = fileURLToPath(new URL('../../electron/browser-host.ts', import.meta.url))
const DEADLINE_MS = 15_000
/** Pause before another try while another process's host is just starting or ending, in ms. */
const RETRY_PAUSE_MS = 50

export type LaunchOptions = {
  homeDir: string
  /** The host ends when this process does, instead of some time after its last page. */
  withLauncher?: boolean
  /** Folder of the built app, where it is not the usual one. */
  appDir?: string
  /** The Node (24 or newer) that runs the host; this process's own by default. */
  execPath?: string
  signal?: AbortSignal
}

export type AppHost = {
  /** http://RANDOM.localhost:PORT */
  readonly origin: string
  readonly port: number
  /** A URL that opens the app once. */
  freshUrl(): Promise<string>
  /** A window of the host's own Chromium on that display; whether it came up. Never rejects. */
  openWindow(display: Record<string, string>): Promise<boolean>
  /** Ends the host if it was started here with its launcher; resolves when it is gone. Idempotent. */
  close(): Promise<void>
}

/** The host that runs for a home; undefined if none does. Starts none. */
export async function findBrowserHost(homeDir: string, signal: AbortSignal): Promise<AppHost | undefined> {
  const door = await readDoor(homeDir)
  // The file outlives its host, and then somebody else may have its port and answer anything: the lock alone tells.
  if (!door || !isLockHeld(homeDir)) return undefined
  const url = await askForUrl(door, signal).catch(() => undefined)
  return url === undefined ? undefined : appHostOf(door, undefined, url)
}

/**
 * The host of a home, started if none runs.
 * @throws PosternError `misconfigured` if the app is not built, `core_unreachable` if the host could not be started in time
 */
export async function launchBrowserHost(options: LaunchOptions): Promise<AppHost> {
  const deadline = AbortSignal.timeout(DEADLINE_MS)
  const signal = options.signal ? AbortSignal.any([deadline, options.signal]) : deadline
  const { dir } = await prepareHome(options.homeDir, process.getuid?.())
  try {
    for (;;) {
      signal.throwIfAborted()
      const running = await findBrowserHost(dir, signal)
      if (running) return running
      const child = await startHost(dir, options, signal)
      const door = child && (await readDoor(dir))
      if (door) return appHostOf(door, options.withLauncher ? child : undefined, undefined)
      // Another one holds the home but does not answer (yet, or any more): it is starting or ending.
      await delay(RETRY_PAUSE_MS, undefined, { signal })
    }
  } catch (error) {
    if (options.signal?.aborted) throw options.signal.reason
    if (!deadline.aborted) throw error
    throw new PosternError(
      'core_unreachable',
      `the browser host of ${dir} did not answer in time; see ${hostPlacesOf(dir).logFile}`,
      { cause: error },
    )
  }
}

/** Whether a host runs, by the lock that the kernel takes from a dead one. One that starts just now tries again. */
function isLockHeld(homeDir: string): boolean {
  const lock = takeProcessLock(hostPlacesOf(homeDir).lockFile)
  lock?.release()
  return lock === undefined
}

function appHostOf(door: BrowserDoor, child: ChildProcess | undefined, firstUrl: string | undefined): AppHost {
  let kept = firstUrl
  let closing: Promise<void> | undefined
  const deadline = (): AbortSignal => AbortSignal.timeout(DEADLINE_MS)
  return {
    origin: `http://${door.authority}`,
    port: door.port,
    async freshUrl() {
      const url = kept ?? (await askForUrl(door, deadline()))
      kept = undefined
      return url
    },
    openWindow: (display) =>
      askForTicket(door, 'window', { display }, deadline()).then(
        (ticket) => 'opened' in ticket && ticket.opened,
        // A host of an older version cannot; then the person opens the URL.
        () => false,
      ),
    close() {
      closing ??= child ? endHost(child) : Promise.resolve()
      return closing
    },
  }
}

const somethingElse = (cause?: unknown): PosternError =>
  new PosternError('core_unreachable', 'something else answers at the port of the browser host', { cause })

async function askForUrl(door: BrowserDoor, signal: AbortSignal): Promise<string> {
  const ticket = await askForTicket(door, 'url', undefined, signal)
  if (!('url' in ticket)) throw somethingElse()
  return ticket.url
}

/** Asks a host for a way in. Rejects if nobody answers at its port, or somebody who is not the host. */
function askForTicket(
  door: BrowserDoor,
  kind: 'url' | 'window',
  body: WindowRequest | undefined,
  signal: AbortSignal,
): Promise<LaunchTicket> {
  const text = body === undefined ? '' : JSON.stringify(body)
  return new Promise((resolve, reject) => {
    const asked = request({
      host: '127.0.0.1',
      port: door.port,
      method: 'POST',
      path: `/ticket/${kind}`,
      headers: {
        host: door.authority,
        authorization: `Bearer ${door.secret}`,
        'content-length': Buffer.byteLength(text),
      },
      agent: false,
      signal,
    })
    asked.once('error', reject)
    asked.once('response', (response) => {
      let answer = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => (answer += chunk))
      response.once('error', reject)
      response.once('end', () => {
        try {
          resolve(LaunchTicket.parse(JSON.parse(answer)))
        } catch (cause) {
          reject(somethingElse(cause))
        }
      })
    })
    asked.end(text)
  })
}

const ReadyLine = z.union([
  z.object({ origin: z.string() }),
  z.object({ locked: z.literal(true) }),
  z.object({ error: z.object({ code: z.string(), text: z.string() }) }),
])

/** Starts a host and waits until it listens; undefined if another process's one has the home. */
async function startHost(
  homeDir: string,
  { withLauncher = false, appDir, execPath = process.execPath }: LaunchOptions,
  signal: AbortSignal,
): Promise<ChildProcess | undefined> {
  const { logFile } = hostPlacesOf(homeDir)
  const log = await open(logFile, constants.O_TRUNC | constants.O_CREAT | constants.O_WRONLY, 0o600)
  try {
    const flags = [...(withLauncher ? ['--with-launcher'] : []), ...(appDir === undefined ? [] : ['--app', appDir])]
    const child = spawn(execPath, [HOST_ENTRY, '--home', homeDir, ...flags], {
      cwd: '/',
      detached: true,
      stdio: [withLauncher ? 'pipe' : 'ignore', 'pipe', log.fd],
    })
    child.stdin?.on('error', () => undefined)
    child.unref()
    const line = await firstLine(child, signal)
    const ready = ReadyLine.safeParse(line === undefined ? undefined : JSON.parse(line))
    if (!ready.success)
      throw new PosternError('core_unreachable', `the browser host ended while it started; see ${logFile}`)
    if ('error' in ready.data) throw errorFromBody(ready.data.error)
    return 'locked' in ready.data ? undefined : child
  } finally {
    await log.close()
  }
}

/** The first line that a child prints, undefined if it ends without one. Closes our end of the pipe. */
async function firstLine(child: ChildProcess, signal: AbortSignal): Promise<string | undefined> {
  const output: Readable | null = child.stdout
  if (output === null) return undefined
  const failed = new Promise<never>((_, reject) => child.once('error', reject))
  const stop = (): void => void output.destroy()
  signal.addEventListener('abort', stop, { once: true })
  const read = async (): Promise<string | undefined> => {
    for await (const line of createInterface({ input: output })) return line
    return undefined
  }
  try {
    return await Promise.race([read(), failed])
  } finally {
    signal.removeEventListener('abort', stop)
    output.destroy()
    signal.throwIfAborted()
  }
}

/** Lets go of the host's stdin, which ends it. */
async function endHost(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  child.stdin?.end()
  const deadline = setTimeout(() => child.kill('SIGKILL'), DEADLINE_MS)
  await ended
  clearTimeout(deadline)
}
