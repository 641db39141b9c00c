// One page of the app on its WebSocket: an own connection to the core (so that the core asks exactly this window for a login),
// every message through the page gate, every event of the core passed on. Finds the core again when it went away. Called by host.ts.
import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { RawData, WebSocket } from 'ws'
import type { CoreConnection } from '../../client/connect.ts'
import { PosternError } from '../../shared/errors.ts'
import { RPC_LINE_MAX_BYTES } from '../../shared/rpc.ts'
import type { SHELL_EVENTS } from '../../shared/shell.ts'
import type { z } from 'zod'
import { createPageGate, PAGE_EVENTS, type PageReply, type ShellHandlers } from '../page-gate.ts'
import type { LoginWindow, PageAttention } from './login-window.ts'

/** A page that does not read is cut off when so much waits for it; it comes back and subscribes anew. In bytes. */
const UNSENT_MAX_BYTES = 4 * RPC_LINE_MAX_BYTES
/** I3: a page that was stopped is noticed within 45 s. */
const PING_EVERY_MS = 30_000
const PONG_DEADLINE_MS = 15_000
const FIRST_PAUSE_MS = 250
const LONGEST_PAUSE_MS = 5000

export type PageOptions = {
  /** Connects to the core as a host of kind `page`, starting it if none runs. */
  connect: (signal: AbortSignal) => Promise<CoreConnection>
  shell: CommonShell
  /** Hears what this page is asked, and whether anybody looks at it. */
  loginWindow: LoginWindow
  log: Logger
}

/** What the shell answers to every page alike. */
export type CommonShell = Omit<ShellHandlers, keyof PageAttention['calls']>

/** Serves the page until its WebSocket closes; then its connection to the core is closed too. Never rejects. */
export async function servePage(socket: WebSocket, options: PageOptions): Promise<void> {
  const { log } = options
  const lifetime = new AbortController()
  const send = (message: PageReply): void => {
    if (socket.readyState !== socket.OPEN) return
    socket.send(JSON.stringify(message))
    if (socket.bufferedAmount > UNSENT_MAX_BYTES) socket.terminate()
  }

  const attention = options.loginWindow.pageCame((login) => send({ event: 'shell.takeLogin', payload: login }))
  const core = attachForGood(options, send, attention, lifetime.signal)
  const gate = createPageGate({
    core: () => core,
    shell: { ...options.shell, ...attention.calls },
    send,
    onRefused: (why) => log.warn({ why }, 'a page was refused a call'),
    onBug: (error) => log.error({ err: error }, 'a call of a page failed'),
  })
  socket.on('message', (data: RawData, isBinary) => void gate.receive(isBinary ? data : textOf(data)))
  socket.on('error', (error) => log.info({ err: error }, 'WebSocket of a page broke'))
  const stopPings = keepAlive(socket)

  await new Promise<void>((resolve) => socket.once('close', () => resolve()))
  stopPings()
  attention.left()
  gate.close()
  lifetime.abort(new PosternError('core_unreachable', 'the page has gone'))
  await core.ended
}

type LastingCore = Pick<CoreConnection, 'call'> & { readonly ended: Promise<void> }

/** A connection to the core that is made again whenever it breaks; calls wait for the one that is being made. */
function attachForGood(
  { connect, log }: PageOptions,
  send: (message: PageReply) => void,
  attention: PageAttention,
  signal: AbortSignal,
): LastingCore {
  let current = tryToConnect()

  function tryToConnect(): Promise<CoreConnection> {
    const connecting = connect(signal)
    // Whoever calls hears of it; so does the loop below.
    connecting.catch(() => undefined)
    return connecting
  }

  const tell = (state: z.input<(typeof SHELL_EVENTS)['shell.coreState']>): void =>
    send({ event: 'shell.coreState', payload: state })

  // A function, since the compiler believes that `aborted` cannot change while we wait.
  const isOver = (): boolean => signal.aborted
  const run = async (): Promise<void> => {
    for (let pauseMs = FIRST_PAUSE_MS; ;) {
      const connection = await current.catch((error: unknown) => {
        if (!signal.aborted) log.error({ err: error }, 'no connection to the core')
        return error instanceof PosternError ? error.message : 'the Postern core could not be started; see core.log'
      })
      if (typeof connection === 'string') {
        if (isOver()) return
        tell({ state: 'failed', text: connection })
        await delay(pauseMs, undefined, { signal }).catch(() => undefined)
        if (isOver()) return
        pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)
      } else {
        pauseMs = FIRST_PAUSE_MS
        passOn(connection, send)
        connection.on('login.requested', (prompt) => attention.requested(prompt))
        connection.on('login.closed', ({ requestId }) => attention.closed(requestId))
        tell({ state: 'connected', text: null })
        await Promise.race([connection.closed, aborted(signal)])
        if (isOver()) return connection.close()
        log.warn('the core went away')
        tell({ state: 'restarting', text: null })
      }
      current = tryToConnect()
    }
  }

  return {
    ended: run(),
    async call(method, params, options) {
      return (await current).call(method, params, options)
    },
  }
}

/**
 * Passes all events on, each a turn later than it came: the answer to a call that came before it in the same packet is then
 * sent first, so that no patch overtakes the state that it belongs to.
 */
function passOn(connection: CoreConnection, send: (message: PageReply) => void): void {
  for (const event of PAGE_EVENTS) connection.on(event, (payload) => void setImmediate(send, { event, payload }))
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })

/** Sends pings; a page that answers none is gone. Returns how to stop. */
function keepAlive(socket: WebSocket): () => void {
  let overdue: NodeJS.Timeout | undefined
  const ping = setInterval(() => {
    if (socket.readyState !== socket.OPEN) return
    socket.ping()
    overdue ??= setTimeout(() => socket.terminate(), PONG_DEADLINE_MS)
  }, PING_EVERY_MS)
  socket.on('pong', () => {
    clearTimeout(overdue)
    overdue = undefined
  })
  return () => {
    clearInterval(ping)
    clearTimeout(overdue)
  }
}

function textOf(data: RawData): string {
  if (Array.isArray(data)) return Buffer.concat(data).toString('utf8')
  return Buffer.isBuffer(data) ? data.toString('utf8') : Buffer.from(data).toString('utf8')
}
