// One control stream (C9): a TLS connection with the user certificate, upgraded to a WebSocket. Owns its heartbeat and what it says
// of the server's clock; hands every other message on. Called by profile-stream.ts.
import type { TLSSocket } from 'node:tls'
import WebSocket from 'ws'
import { startHeartbeat, type Heartbeat } from '../../link/heartbeat.ts'
import {
  CONTROL_MESSAGE_MAX_BYTES,
  CONTROL_PATH,
  parseControlMessage,
  type ControlMessage,
} from '../../shared/control.ts'
import { PosternError } from '../../shared/errors.ts'
import { ALPN, type UserIdentity } from '../../shared/names.ts'
import type { Address, Cluster } from '../cluster/address.ts'
import { refusalOf } from '../cluster/api.ts'
import type { NoteServerTime } from '../cluster/clock.ts'
import { readJsonAnswer } from '../cluster/exchange.ts'
import type { KeyedCertificate } from '../cluster/keyed-certificate.ts'
import { connectTls, unreachable } from '../cluster/tls.ts'
import type { ControlTimings } from './timings.ts'

/** What the server says besides its time. */
export type ControlEvent = Exclude<ControlMessage, { type: 'hello' | 'time' }>

export type ControlStream = {
  /** Resolves with the close code when it is over; 1006 where there was none. */
  readonly closed: Promise<number>
  /** Asks the server now whether it is there: the machine may have slept. */
  askNow(): void
  /** Says goodbye and lets go of the socket. Idempotent. */
  close(): void
}

export type StreamOptions = {
  cluster: Cluster
  certificate: KeyedCertificate<UserIdentity>
  timings: ControlTimings
  /** Wall time of this machine, in ms. */
  now: () => number
  noteServerTime: NoteServerTime
  onEvent: (event: ControlEvent) => void
  signal: AbortSignal
}

/**
 * The server's time counts only if it cannot be older than this, in ms: what lay in a buffer while the machine slept would set the
 * clock back (C6).
 */
const TIME_MAX_AGE_MS = 2000
/** How long the server may take to answer the closing handshake, in ms. */
const CLOSE_GRACE_MS = 2000
/** RFC 6455, 7.4.1: normal closure, and a message that makes no sense. */
const NORMAL = 1000
const PROTOCOL_ERROR = 1002

/**
 * Opens a stream; resolves when the server has said hello.
 * @throws PosternError the server's refusal, `server_unreachable`, `server_untrusted`, `protocol`; the signal's reason if that
 * aborts
 */
export async function openControlStream(options: StreamOptions): Promise<ControlStream> {
  const { cluster, certificate, timings } = options
  const deadline = AbortSignal.timeout(timings.openWithinMs)
  const signal = AbortSignal.any([deadline, options.signal])
  try {
    const startedMs = options.now()
    const { address } = cluster
    const context = certificate.contextFor(cluster.caPems)
    const { socket } = await connectTls({ address, alpn: ALPN.control, context, signal })
    return await upgrade(socket, startedMs, options, signal)
  } catch (error) {
    if (options.signal.aborted) throw options.signal.reason
    if (deadline.aborted) throw unreachable(cluster.address, `no answer within ${timings.openWithinMs / 1000} s`, error)
    throw error
  }
}

function upgrade(
  socket: TLSSocket,
  startedMs: number,
  options: StreamOptions,
  signal: AbortSignal,
): Promise<ControlStream> {
  const { timings, now, noteServerTime, onEvent } = options
  const { address } = options.cluster
  const webSocket = new WebSocket(`ws://${address.text}${CONTROL_PATH}`, {
    createConnection: () => socket,
    perMessageDeflate: false,
    maxPayload: CONTROL_MESSAGE_MAX_BYTES,
  })
  const { promise: opened, resolve, reject } = Promise.withResolvers<ControlStream>()
  const { promise: closed, resolve: hasClosed } = Promise.withResolvers<number>()

  let asked = { number: 0, atMs: now() }
  let heard: { serverTime: string } | undefined
  const noteFresh = (serverTime: string, askedAtMs: number): void => {
    const ageMs = now() - askedAtMs
    if (ageMs >= 0 && ageMs <= TIME_MAX_AGE_MS) noteServerTime(Date.parse(serverTime))
  }
  const ask = (): void => {
    asked = { number: asked.number + 1, atMs: now() }
    heard = undefined
    if (webSocket.readyState === WebSocket.OPEN) webSocket.ping(String(asked.number))
  }
  let heartbeat: Heartbeat | undefined
  let grace: NodeJS.Timeout | undefined
  const close = (code: number): void => {
    webSocket.close(code)
    grace ??= setTimeout(() => webSocket.terminate(), CLOSE_GRACE_MS)
    grace.unref()
  }
  const stream: ControlStream = { closed, askNow: () => heartbeat?.askNow(), close: () => close(NORMAL) }

  const take = (message: ControlMessage | undefined): void => {
    if (message?.type === 'hello') {
      noteFresh(message.serverTime, startedMs)
      heartbeat ??= startHeartbeat({
        everyMs: timings.pingEveryMs,
        answerWithinMs: timings.answerWithinMs,
        ask,
        onSilent: () => webSocket.terminate(),
      })
      resolve(stream)
    } else if (message?.type === 'time') {
      heard = message
    } else if (message) {
      onEvent(message)
    }
  }
  webSocket.on('message', (data: Buffer) => {
    try {
      take(parseControlMessage(data.toString()))
    } catch (error) {
      reject(new PosternError('protocol', `the control stream of ${address.text} makes no sense`, { cause: error }))
      close(PROTOCOL_ERROR)
    }
  })
  webSocket.on('pong', (data) => {
    heartbeat?.answered()
    // Sent just before this pong, so after our ping: no older than the way there and back.
    if (heard && data.toString() === String(asked.number)) noteFresh(heard.serverTime, asked.atMs)
  })
  webSocket.on('unexpected-response', (_request, response) => {
    readRefusal(response, address)
      .then(reject, reject)
      .finally(() => socket.destroy())
  })
  webSocket.on('error', (error) => reject(unreachable(address, 'its control stream broke off', error)))
  webSocket.once('close', (code) => {
    heartbeat?.stop()
    clearTimeout(grace)
    signal.removeEventListener('abort', onAbort)
    reject(unreachable(address, 'it closed its control stream'))
    hasClosed(code)
  })
  const onAbort = (): void => {
    reject(signal.reason as Error)
    webSocket.terminate()
    socket.destroy()
  }
  signal.addEventListener('abort', onAbort, { once: true })
  if (signal.aborted) onAbort()
  return opened.finally(() => signal.removeEventListener('abort', onAbort))
}

async function readRefusal(response: Parameters<typeof readJsonAnswer>[0], address: Address): Promise<PosternError> {
  const { status, json } = await readJsonAnswer(response, address)
  return refusalOf(status, json, address)
}
