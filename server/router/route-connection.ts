// One connection on a protocol's ALPN name, from the handshake to its engine: certificate → identity, login, route → role and
// grant → session → engine, which says ok in the preamble. Every refusal is said in the preamble (C5), logged, and audited.
import type { X509Certificate } from 'node:crypto'
import type { Logger } from 'pino'
import { ALPN, PROTOCOL_VERSION, type ResourceProtocol } from '../../shared/names.ts'
import { PosternError } from '../../shared/errors.ts'
import type { Link } from '../../link/link.ts'
import { encodePreamble } from '../../link/preamble.ts'
import { ClientGone, TimeLimit } from '../../link/time-limit.ts'
import {
  SessionEnded,
  type AccessCheck,
  type AuthenticRoute,
  type AuditLog,
  type Clock,
  type Engine,
  type ReportError,
  type Route,
  type RouteAccess,
} from '../seams.ts'
import { STORE_TROUBLES, storeTroubleOf } from '../store/store-trouble.ts'
import type { SessionLease, Sessions } from '../sessions/sessions.ts'
import { untilAborted } from '../until-aborted.ts'

export type RouteConnectionOptions = {
  access: AccessCheck
  sessions: Sessions
  engines: Record<ResourceProtocol, Engine>
  audit: AuditLog
  reportError: ReportError
  now: Clock
  newId: () => string
  /** Aborts when the server stops. */
  stopping: AbortSignal
  log: Logger
}

const PROTOCOL_OF: Readonly<Record<string, ResourceProtocol | undefined>> = {
  [ALPN.postgres]: 'postgres',
  [ALPN.postgresCancel]: 'postgres',
  [ALPN.tcp]: 'tcp',
}

/**
 * How long it may take to find out who connects and to register the session, in ms: less than the gateways' own deadline for dial
 * and preamble, so that the client is told.
 */
const ADMISSION_TIMEOUT_MS = 8000

/** How long a refused client may take to read why before its socket is dropped, in ms. */
const REFUSAL_LINGER_MS = 2000

/** Who connects: a finished handshake whose certificate was not yet judged, whatever carries its bytes. */
export type RoutePeer = {
  link: Link
  /** Undefined: it presented none. */
  certificate: X509Certificate | undefined
  /** The protocol's ALPN name: of the handshake, or as a stream of a tunnel was opened for (then it may be any name). */
  alpn: string
  /** Where it comes from, HOST:PORT. */
  address: string
}

/** Serves one connection to its end. Resolves when everything that it opened is released; never rejects. */
export async function serveRouteConnection(peer: RoutePeer, options: RouteConnectionOptions): Promise<void> {
  const { audit, now } = options
  const { link, alpn, address } = peer
  const connectionId = options.newId()
  /** Made where it is needed: it is no small part of what a connection costs here. */
  const newLog = (more: object = {}): Logger => options.log.child({ connection: connectionId, address, alpn, ...more })
  let route: Route | undefined
  const progress = { isAdmitted: false }
  const sayOk = (sessionId: string): Promise<void> => {
    progress.isAdmitted = true
    return write(link, okPreamble(sessionId, now()))
  }
  const patience = new TimeLimit(options.stopping, ADMISSION_TIMEOUT_MS, link.stream)
  try {
    const authentic = await untilAborted(authenticate(peer, options), patience.signal)
    route = authentic.route
    const engine = options.engines[route.protocol]
    if (alpn === ALPN.postgresCancel) {
      patience.end()
      await sayOk('')
      await engine.cancel?.(link, route, (id) => options.sessions.isActive(id), newLog())
    } else {
      const { access, lease } = await joinWithin(patience.signal, join(authentic, peer, options))
      try {
        patience.end()
        // A stop of the server ends all sessions.
        const { session, signal } = lease
        signal.throwIfAborted()
        await engine.serve({
          link,
          connectionId,
          session,
          access,
          address,
          progress: lease.progress,
          activity: lease.activity,
          signal,
          admit: () => sayOk(session.id),
          log: newLog({ session: session.id, resource: route.resource }),
        })
      } finally {
        lease.release()
      }
    }
  } catch (error) {
    if (progress.isAdmitted) {
      // The protocol's bytes have begun: a preamble now would be garbage in them. Engines say their own errors.
      options.reportError('internal', error, newLog())
      return
    }
    if (error instanceof ClientGone) return
    const refusal = asRefusal(error, options, newLog)
    // A target that is down denies nothing; the engine has logged its connection.
    if (refusal.kind !== 'unreachable') {
      audit.record({
        event: 'access.denied',
        user: route?.user,
        login: route?.loginId,
        connection: connectionId,
        resource: route?.resource,
        account: route?.account,
        address,
        detail: { code: refusal.code, text: refusal.message },
      })
    }
    await refuse(link, refusal, now())
  } finally {
    patience.end()
    link.destroy()
    await link.closed
  }
}

/** What is done with a session that is there only after its connection gave up waiting: it is let go, and lives on (S2). */
async function joinWithin(patience: AbortSignal, joining: ReturnType<typeof join>): ReturnType<typeof join> {
  try {
    return await untilAborted(joining, patience)
  } catch (error) {
    joining.then(({ lease }) => lease.release()).catch(() => undefined)
    throw error
  }
}

/** Certificate → identity, login, route, for this ALPN name. A cancel request is let in on an expired certificate (DB1). */
async function authenticate({ certificate, alpn }: RoutePeer, { access }: RouteConnectionOptions) {
  const authentic = await access.authenticateRoute(certificate, { allowExpired: alpn === ALPN.postgresCancel })
  if (authentic.route.protocol !== PROTOCOL_OF[alpn])
    throw new PosternError('wrong_identity', `this certificate is for another protocol than ${alpn}`)
  return authentic
}

/**
 * Role and grant, then the session. All is looked at again after a new session is registered, since whatever ended login or grant in
 * between found no session to end; one that was there already is ended by it, and its connections with it.
 */
async function join(
  authentic: AuthenticRoute,
  { certificate, address }: RoutePeer,
  { access, sessions }: RouteConnectionOptions,
): Promise<{ access: RouteAccess; lease: SessionLease }> {
  const authorised = authentic.authorise()
  const lease = await sessions.open(authorised, address)
  if (!lease.isNew) return { access: authorised, lease }
  try {
    const again = await access.authenticateRoute(certificate)
    return { access: again.authorise(), lease }
  } catch (error) {
    lease.release()
    // A store that could not be asked has revoked nothing: the session waits for its next connection.
    const isRefused = error instanceof PosternError && ['denied', 'expired', 'not_found'].includes(error.kind)
    if (isRefused) await sessions.end(lease.session.id, 'revoked')
    throw error
  }
}

const okPreamble = (sessionId: string, time: Date): Buffer =>
  encodePreamble({ ok: { version: PROTOCOL_VERSION, sessionId, serverTime: time.toISOString() } })

/** What the client may know of an error; everything unforeseen becomes `internal` with an id that finds it in the log (E1). */
function asRefusal(
  error: unknown,
  { reportError, stopping }: Pick<RouteConnectionOptions, 'reportError' | 'stopping'>,
  newLog: () => Logger,
): PosternError {
  // A misconfiguration is for the administrator: its text names files of the server.
  if (error instanceof PosternError && error.kind !== 'internal' && error.code !== 'misconfigured') return error
  if (error instanceof SessionEnded) return new PosternError('session_ended', error.message)
  if (stopping.aborted)
    return new PosternError('server_unreachable', 'the access server is shutting down; connect again in a moment')
  if (error instanceof DOMException && error.name === 'TimeoutError')
    return new PosternError(
      'server_unreachable',
      'the access server is too busy to look this up; try again in a moment',
    )
  const errorId = reportError('internal', error, newLog())
  const trouble = storeTroubleOf(error)
  const what = trouble ? `cannot let anybody in: ${STORE_TROUBLES[trouble]}` : 'failed'
  const text = `the access server ${what}; its administrator finds error ${errorId} in its log`
  return new PosternError('internal', text, { errorId })
}

async function refuse({ stream }: Link, refusal: PosternError, time: Date): Promise<void> {
  if (stream.destroyed) return
  const body = refusal.toBody()
  const preamble = encodePreamble({
    refused: {
      version: PROTOCOL_VERSION,
      code: body.code,
      text: body.text,
      ...(body.errorId === undefined ? {} : { errorId: body.errorId }),
      serverTime: time.toISOString(),
    },
  })
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, REFUSAL_LINGER_MS)
    // Reading on lets the client's FIN in; dropping unread bytes would turn our answer into a reset.
    stream.resume()
    stream.end(preamble)
    stream.once('close', () => {
      clearTimeout(timer)
      resolve()
    })
  })
}

const write = ({ stream }: Link, bytes: Buffer): Promise<void> =>
  new Promise((resolve, reject) => {
    stream.write(bytes, (error) => (error ? reject(error) : resolve()))
  })
