// One open control stream: what is sent over it, its heartbeat (I3), the end of its login, and a bound on what waits for a client
// that does not read. Made by upgrade.ts, told things by hub.ts. Promises that every end closes the socket, whatever the peer does.
import type { Logger } from 'pino'
import type { WebSocket } from 'ws'
import { startHeartbeat } from '../../link/heartbeat.ts'
import {
  CONTROL_ANSWER_WITHIN_MS,
  CONTROL_CLOSE,
  CONTROL_PING_EVERY_MS,
  encodeControlMessage,
  type ControlNews,
} from '../../shared/control.ts'
import type { Clock } from '../seams.ts'
import type { RegisteredStream } from './hub.ts'

/** More than this waiting for a client means that it does not read; it is dropped, in bytes. */
export const CONTROL_QUEUE_MAX_BYTES = 256 * 1024
/** The end of a login is looked at that often at least, because clocks are set and timers are late, in ms. */
const EXPIRY_LOOK_MAX_MS = 60_000
/** RFC 6455, 7.4.1: the server goes away, or something failed in it. */
const GOING_AWAY = 1001
const INTERNAL_ERROR = 1011
/** The same: no close frame came. */
const NO_GOODBYE = 1006
/** How long a peer may take to answer the closing handshake, in ms. */
const CLOSE_GRACE_MS = 2000

/** Times that tests shorten, in ms. */
export type ControlTimings = { pingEveryMs: number; answerWithinMs: number }
export const CONTROL_TIMINGS: ControlTimings = {
  pingEveryMs: CONTROL_PING_EVERY_MS,
  answerWithinMs: CONTROL_ANSWER_WITHIN_MS,
}

export type StreamOptions = {
  socket: WebSocket
  who: { user: string; loginId: string; loginEndsAt: Date }
  version: string
  timings: ControlTimings
  now: Clock
  /** The client answered no ping in time; it was heard last at `since`. */
  onSilent: (since: Date) => void
  /** Its connection is gone without a goodbye; it was heard last at `since`. Not after onSilent. */
  onBroken: (since: Date) => void
  log: Logger
}

const CODES = { ...CONTROL_CLOSE, stopping: GOING_AWAY, failed: INTERNAL_ERROR }

/** Takes the socket over and says hello. */
export function openStream({
  socket,
  who,
  version,
  timings,
  now,
  onSilent,
  onBroken,
  log,
}: StreamOptions): RegisteredStream {
  const { promise: closed, resolve } = Promise.withResolvers<undefined>()
  const time = (): string => now().toISOString()
  let grace: NodeJS.Timeout | undefined

  const drop = (why: string): void => {
    log.info({ why }, 'control stream dropped')
    socket.terminate()
  }
  const send = (news: ControlNews): void => {
    if (socket.readyState !== socket.OPEN) return
    if (socket.bufferedAmount > CONTROL_QUEUE_MAX_BYTES) drop('the client does not read')
    else socket.send(encodeControlMessage(news))
  }
  const end: RegisteredStream['end'] = (reason) => {
    const isLoginOver = reason !== 'replaced' && reason !== 'stopping' && reason !== 'failed'
    if (isLoginOver) send(reason === 'disabled' ? { type: 'person.disabled' } : { type: 'login.ended', reason })
    socket.close(CODES[reason], reason)
    grace ??= setTimeout(() => socket.terminate(), CLOSE_GRACE_MS)
  }

  let heardAt = now()
  let isSilent = false
  const heartbeat = startHeartbeat({
    everyMs: timings.pingEveryMs,
    answerWithinMs: timings.answerWithinMs,
    ask: () => socket.ping(),
    onSilent: () => {
      isSilent = true
      drop('no answer to a ping')
      onSilent(heardAt)
    },
  })
  let expiry: NodeJS.Timeout | undefined
  const lookAtExpiry = (): void => {
    // The last second is included, as in certificates (RFC 5280, 4.1.2.5).
    const leftMs = who.loginEndsAt.getTime() - now().getTime() + 1
    if (leftMs <= 0) {
      end('expired')
      return
    }
    expiry = setTimeout(lookAtExpiry, Math.min(leftMs, EXPIRY_LOOK_MAX_MS, timings.pingEveryMs))
    expiry.unref()
  }

  socket.on('pong', () => {
    heardAt = now()
    heartbeat.answered()
  })
  socket.on('ping', (data) => {
    heardAt = now()
    // Time first: once its pong is there, the client knows how old the time can be at most (C6).
    send({ type: 'time', serverTime: time() })
    socket.pong(data)
  })
  // Clients of this version say nothing; what newer ones say is skipped.
  socket.on('message', () => undefined)
  socket.on('error', (error) => log.debug({ err: error }, 'control stream failed'))
  socket.once('close', (code) => {
    heartbeat.stop()
    clearTimeout(expiry)
    clearTimeout(grace)
    log.debug({ code }, 'control stream closed')
    // `grace`: this side has said goodbye, and the answer to that is missing, no more.
    if (code === NO_GOODBYE && !isSilent && grace === undefined) onBroken(heardAt)
    resolve(undefined)
  })
  send({ type: 'hello', serverTime: time(), version, loginEndsAt: who.loginEndsAt.toISOString() })
  lookAtExpiry()
  return { loginId: who.loginId, user: who.user, send, end, closed }
}
