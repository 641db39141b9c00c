// The upgrade of GET /v1/control to a WebSocket, in this order (W3): authenticate, room, register, and only then look again at the
// login, which may have ended meanwhile. Refusals are framed HTTP answers (E2), denials are in the audit log (W8). Called by
// web/web-app.ts.
import type { IncomingMessage } from 'node:http'
import { TLSSocket } from 'node:tls'
import type { Duplex } from 'node:stream'
import type { Logger } from 'pino'
import { WebSocketServer } from 'ws'
import { CONTROL_PATH, type LoginEndReason } from '../../shared/control.ts'
import { PosternError } from '../../shared/errors.ts'
import { answerError } from '../web/answer-error.ts'
import { authenticateRequest, peerOf } from '../web/authenticate.ts'
import type { Actor, ApiParts } from '../web/endpoint.ts'
import { endWithAnswer } from '../web/http-answer.ts'
import { untilAborted } from '../until-aborted.ts'
import type { ControlStreams, RegisteredStream } from './hub.ts'
import { CONTROL_TIMINGS, openStream, type ControlTimings } from './stream.ts'

/** Authentication included, in ms. */
const UPGRADE_DEADLINE_MS = 10_000
/** Clients have next to nothing to say, in bytes. */
const CLIENT_MESSAGE_MAX_BYTES = 4096

type Parts = Pick<
  ApiParts,
  'access' | 'authority' | 'db' | 'audit' | 'sessions' | 'now' | 'version' | 'reportError' | 'log'
>

export type ControlUpgrade = {
  /** Whether this request is for the control stream, as the HTTP server asks before it gives up its socket. */
  isWanted(request: IncomingMessage): boolean
  /** Takes the socket over. Never throws. */
  handle(request: IncomingMessage, socket: Duplex, head: Buffer): void
}

/** @param options.stopping aborts when the server stops: no new streams then */
export function createControlUpgrade(options: {
  parts: Parts
  streams: ControlStreams
  timings?: ControlTimings | undefined
  stopping: AbortSignal
}): ControlUpgrade {
  const { parts, streams, timings = CONTROL_TIMINGS, stopping } = options
  /** A core that runs is back by then, as one that is stopped would be noticed by then (I3). */
  const backWithinMs = timings.pingEveryMs + timings.answerWithinMs
  const webSockets = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    autoPong: false,
    perMessageDeflate: false,
    maxPayload: CLIENT_MESSAGE_MAX_BYTES,
  })
  // A handshake that is no WebSocket's is refused in the words of the API, not in those of the library.
  webSockets.on('wsClientError', (error, socket) => {
    const body = new PosternError('bad_request', `this is no WebSocket handshake: ${error.message}`).toBody()
    answer(socket, 400, body)
  })
  const answer = (socket: Duplex, status: number, error: object): void =>
    endWithAnswer(socket, status, { error, serverTime: parts.now().toISOString() })

  async function serve(request: IncomingMessage, socket: TLSSocket, head: Buffer, log: Logger): Promise<void> {
    const signal = AbortSignal.any([stopping, AbortSignal.timeout(UPGRADE_DEADLINE_MS)])
    let actor: Actor | undefined
    const opened: RegisteredStream[] = []
    try {
      stopping.throwIfAborted()
      const who = await untilAborted(authenticateRequest(parts, socket, { allowExpired: false }), signal)
      actor = who
      streams.requireRoom(who)
      // All of this happens in one turn (there is nothing in between that waits): nobody's logout falls into a gap.
      webSockets.handleUpgrade(request, socket, head, (webSocket) => {
        const stream: RegisteredStream = openStream({
          ...{ socket: webSocket, who, version: parts.version, timings, now: parts.now, log },
          // One whose place was taken says nothing about the core, which has a stream that answers.
          onSilent: (since) => {
            if (streams.isCurrent(stream)) parts.sessions.noteCore(who.loginId, since)
          },
          onBroken: (since) => {
            if (streams.isCurrent(stream)) parts.sessions.noteCore(who.loginId, since, backWithinMs)
          },
        })
        const unregister = streams.register(stream)
        parts.sessions.noteCore(who.loginId, null)
        void stream.closed.finally(unregister)
        opened.push(stream)
        // Begun while this client was not there to hear it.
        if (who.isOnOldCa) stream.send({ type: 'cas.changed' })
      })
    } catch (error) {
      refuse(request, socket, error, actor, log)
    }
    for (const stream of opened) await lookAgain(socket, stream, log)
  }

  /** Whoever ended the login between its check and the registration did not find this stream. */
  async function lookAgain(socket: TLSSocket, stream: RegisteredStream, log: Logger): Promise<void> {
    try {
      await authenticateRequest(parts, socket, { allowExpired: false })
      log.debug('control stream open')
    } catch (error) {
      const reason = endReasonOf(error)
      if (reason === undefined) parts.reportError('internal', error, log)
      stream.end(reason ?? 'failed')
    }
  }

  function refuse(request: IncomingMessage, socket: TLSSocket, error: unknown, actor: Actor | undefined, log: Logger) {
    if (error instanceof PosternError && error.kind === 'denied')
      parts.audit.record({
        event: 'access.denied',
        user: actor?.user,
        login: actor?.loginId,
        address: peerOf(socket).address,
        detail: { code: error.code, text: error.message, request: `${request.method ?? ''} ${CONTROL_PATH}` },
      })
    if (stopping.aborted) {
      answer(socket, 503, new PosternError('server_unreachable', 'the access server is stopping').toBody())
      return
    }
    const { status, body } = answerError(error, parts.reportError, log)
    answer(socket, status, body)
  }

  return {
    isWanted: ({ url = '' }) => url.split('?', 1)[0] === CONTROL_PATH,
    handle(request, socket, head) {
      // The HTTP server has let go of the socket: an error that nobody listens to would end the process.
      socket.on('error', () => undefined)
      const log = parts.log.child({ request: `${request.method ?? ''} ${CONTROL_PATH}` })
      if (!(socket instanceof TLSSocket)) {
        socket.destroy()
        return
      }
      serve(request, socket, head, log).catch((error: unknown) => {
        log.error({ err: error }, 'a control stream could not be opened')
        socket.destroy()
      })
    },
  }
}

/** Why the login of a stream is over, going by the error of another look at it; undefined: it is not known to be. */
function endReasonOf(error: unknown): LoginEndReason | undefined {
  if (!(error instanceof PosternError)) return undefined
  return error.code === 'user_disabled' ? 'disabled' : error.code === 'login_expired' ? 'logout' : undefined
}
