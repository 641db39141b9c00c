// The way of a byte for one accepted connection: local user → opening → middleware → dial and preamble → copy. Every way
// in which it can fail ends in an error of the client's own protocol. Called by gateway.ts.
import type { Socket } from 'node:net'
import type { Logger } from 'pino'
import { linkOf, type PumpProgress } from '../../link/link.ts'
import { StreamEndedError } from '../../link/read-bytes.ts'
import { TimeLimit } from '../../link/time-limit.ts'
import { watchForStall } from '../../link/write-stall.ts'
import { PosternError } from '../../shared/errors.ts'
import type { Alpn } from '../../shared/names.ts'
import { dialRoute, type DialedRoute } from '../cluster/dial.ts'
import type { RouteTunnels } from '../cluster/route-tunnels.ts'
import type { Profile } from '../profiles/profile.ts'
import type { Wanting } from '../renewal/login-requests.ts'
import type { Renewal } from '../renewal/renewal.ts'
import type { Route, RouteCertificate } from '../renewal/route-certificates.ts'
import { startStopwatch } from '../../shared/stopwatch.ts'
import { GOODBYE_DEADLINE_MS, HASTY_GOODBYE_DEADLINE_MS, sayGoodbye } from './goodbye.ts'
import { ClientGoneError, holdClient } from './held-client.ts'
import { entranceFor } from './entrance.ts'
import type { CheckLocalUser, PeerVerdict } from './local-user.ts'
import { obtainGoodCertificate } from './middleware.ts'
import type { ByteScreen } from './protocols/http-screen.ts'
import type { CheckPassword, GatewayProtocol, Opening } from './protocols/protocol.ts'
import { screenFirstBytes } from './screening.ts'

export type ConnectionContext = {
  profile: Profile
  renewal: Renewal
  route: Route
  protocol: GatewayProtocol
  tunnels: RouteTunnels
  checkLocalUser: CheckLocalUser
  /** For the client to say what it wants, where its protocol makes it speak first; in ms. */
  openingDeadlineMs: number
  /** How long bytes may wait for a client or a server that takes none, in ms. */
  writeStallMs: number
  /** Undefined where this gateway asks for none. */
  checkPassword: CheckPassword | undefined
  onWrongPassword: () => void
  /** The route certificate is good now: nobody would be asked to log in. */
  isReady: () => boolean
  /** What a login would be asked for, given the name of the client program. */
  wantingFor: (client: string | null) => Wanting
  /** How the server took it: undefined for a connection that stands, else why not. */
  onOutcome: (error: Error | undefined) => void
  /** How long dial and preamble took, in ms. */
  onDialed: (ms: number) => void
  /** Is added to as bytes of a connection that stands move: forward is what the client sends. */
  progress: PumpProgress
  /** Aborts when the gateway closes; its reason is the PosternError that held clients are told. */
  signal: AbortSignal
  log: Logger
}

/** For a cancel request, all in all, in ms. */
const CANCEL_DEADLINE_MS = 10_000

/** Errors are looked at where they matter; without a listener one would end the process. */
const noted = (): void => undefined

/** Serves one connection. Resolves when it is over and everything is released; never rejects. */
export async function carryConnection(socket: Socket, context: ConnectionContext): Promise<void> {
  socket.on('error', noted)
  const { log } = context
  try {
    const opening = await admit(socket, context)
    if (opening) await carrySession(socket, opening, context)
  } catch (error) {
    if (error instanceof StreamEndedError || socket.destroyed) log.debug('client went away before it said anything')
    else log.info({ err: error }, 'the client did not say what it wants')
  } finally {
    socket.destroy()
  }
}

// What follows waits in functions of its own, each over before the next begins: a connection may lie idle for hours, and what its
// beginning needed would lie there with it.

type SessionOpening = Extract<Opening, { kind: 'session' }>

/** What a client wants that is let in; undefined: it was answered, and is over. Rejects where it did not say what it wants. */
async function admit(socket: Socket, context: ConnectionContext): Promise<SessionOpening | undefined> {
  const { log, signal } = context
  const verdict = await context.checkLocalUser(socket)
  const entrance = entranceFor(verdict, context.checkPassword !== undefined)
  if (entrance === 'nobody') {
    log.info('client had gone before it was known whose it was')
    return undefined
  }
  const limit = new TimeLimit(signal, context.openingDeadlineMs)
  try {
    const bound = limit.signal
    const opening = await context.protocol.readOpening(socket, { signal: bound, isPersonNeeded: !context.isReady() })
    if (opening.kind === 'garbage') {
      log.info({ what: opening.text }, 'not a client of this protocol')
    } else if (entrance === 'refused') {
      log.warn({ verdict }, 'connection refused: not known to be of this local user')
      await refuse(socket, strangerError(verdict), context)
    } else if (opening.kind === 'cancel') {
      // It carries a secret of its own, which only the client of a running connection has.
      await carryCancel(opening, context)
    } else if (entrance === 'by password' && !(await context.checkPassword?.(socket, bound))) {
      log.warn('connection with a wrong gateway password refused')
      context.onWrongPassword()
      await refuse(socket, wrongPassword(), context)
    } else return opening
    return undefined
  } finally {
    limit.end()
  }
}

/** The way that the server has opened for it, and what the client said until then; undefined: it has gone, or was refused. */
async function dialHeld(
  socket: Socket,
  opening: SessionOpening,
  context: ConnectionContext,
): Promise<(DialedRoute & { said: Buffer }) | undefined> {
  const { log, signal, protocol } = context
  const held = holdClient(socket, protocol.isEndAHangUp, signal)
  try {
    const dialed = await dialWithGoodCertificate(context, context.wantingFor(opening.client), held.signal)
    // Together at most what is held; the pump goes on from there, with a FIN that came meanwhile too.
    return { ...dialed, said: Buffer.concat([opening.bytes, held.release()]) }
  } catch (error) {
    held.release()
    if (error instanceof ClientGoneError) {
      log.info('client hung up while it waited')
      return undefined
    }
    log.info({ err: error }, 'connection refused')
    if (!signal.aborted && error instanceof Error) context.onOutcome(error)
    await refuse(socket, error, context)
    return undefined
  }
}

async function carrySession(socket: Socket, opening: SessionOpening, context: ConnectionContext): Promise<void> {
  const { log, signal } = context
  const dialed = await dialHeld(socket, opening, context)
  if (!dialed) return
  const { sessionId, link, said } = dialed
  log.info({ session: sessionId }, 'connected')
  context.onOutcome(undefined)
  const here = linkOf(socket)
  const breakOff = () => {
    here.reset()
    link.reset()
  }
  signal.addEventListener('abort', breakOff, { once: true })
  const { progress } = context
  const stopWatching = watchForStall({
    ...{ near: socket, far: link.stream, progress, stallMs: context.writeStallMs },
    onStalled(side) {
      const stalled = side === 'near' ? 'client' : 'server'
      log.warn({ stalled, limitMs: context.writeStallMs }, 'a peer took no bytes for too long; the connection is ended')
      breakOff()
    },
  })
  try {
    if (signal.aborted) breakOff()
    const screened = opening.screen && screen(opening.screen)
    if (!screened && said.length > 0) link.stream.write(said)
    const { cause } = await here.pumpTo(link, progress, screened)
    log.info({ session: sessionId, ...(cause ? { err: cause } : {}) }, 'disconnected')

    async function screen(by: ByteScreen): Promise<void> {
      const count = (bytes: number): void => void (progress.forward += bytes)
      const refusal = await screenFirstBytes({ client: socket, server: link.stream, said, screen: by, count })
      if (refusal === undefined) return
      log.info({ what: refusal }, 'not a client of this protocol')
      breakOff()
    }
  } finally {
    stopWatching()
    signal.removeEventListener('abort', breakOff)
  }
}

/**
 * Dials with a certificate that is good by our reckoning. If the server still says that it has expired (the clocks disagree, or
 * the login was ended), it goes through renewal once, and then gives up.
 */
async function dialWithGoodCertificate(
  context: ConnectionContext,
  wanting: Wanting,
  signal: AbortSignal,
): Promise<DialedRoute> {
  const { profile, renewal, route, protocol } = context
  const certificate = await obtainGoodCertificate(profile, renewal, route, wanting, signal)
  try {
    return await dial(context, protocol.alpn, certificate, signal)
  } catch (error) {
    if (!(error instanceof PosternError) || error.kind !== 'expired') throw error
    context.log.info({ code: error.code }, 'the server says that the certificate has expired')
  }
  const swapped = renewal.certificates.find(route.gatewayId)
  const fresh = swapped && swapped !== certificate ? swapped : await renewal.renew(route, wanting, signal)
  return dial(context, protocol.alpn, fresh, signal)
}

async function dial(
  { profile, tunnels, onDialed }: ConnectionContext,
  alpn: Alpn,
  certificate: RouteCertificate,
  signal: AbortSignal,
): Promise<DialedRoute> {
  try {
    const { cluster, clock } = profile
    const elapsed = startStopwatch()
    const dialed = await dialRoute({ cluster, alpn, certificate, tunnels, noteServerTime: clock.note, signal })
    onDialed(elapsed())
    profile.noteReached()
    return dialed
  } catch (error) {
    profile.noteFailure(error, undefined)
    throw error
  }
}

/** A cancel request goes straight to the server with whatever certificate there is, and is never held (DB1). */
async function carryCancel(
  { bytes, alpn }: Extract<Opening, { kind: 'cancel' }>,
  context: ConnectionContext,
): Promise<void> {
  const { renewal, route, log } = context
  const certificate = renewal.certificates.find(route.gatewayId)
  if (!certificate) {
    log.info('cancel request without a certificate dropped')
    return
  }
  const signal = AbortSignal.any([context.signal, AbortSignal.timeout(CANCEL_DEADLINE_MS)])
  try {
    const { link } = await dial(context, alpn, certificate, signal)
    const stop = () => link.destroy()
    signal.addEventListener('abort', stop, { once: true })
    // The server answers a cancel request by closing; only then is it done, and the client waits for that.
    link.stream.end(bytes)
    link.stream.resume()
    link.stream.once('end', stop)
    await link.closed
    signal.removeEventListener('abort', stop)
    log.info('cancel request passed on')
  } catch (error) {
    log.info({ err: error }, 'cancel request not passed on')
  }
}

function refuse(
  socket: Socket,
  error: unknown,
  { profile, route, protocol, signal }: ConnectionContext,
): Promise<void> {
  const names = { profile: profile.name, resource: route.resource, account: route.account }
  const bytes = protocol.lastWordsFor(error, { ...names, loginCommand: profile.loginCommand() })
  return sayGoodbye(socket, bytes, signal.aborted ? HASTY_GOODBYE_DEADLINE_MS : GOODBYE_DEADLINE_MS)
}

const strangerError = (verdict: PeerVerdict): PosternError =>
  new PosternError(
    'local_user_denied',
    verdict === 'unreadable'
      ? 'it cannot be told whose connection this is (neither sock_diag nor /proc/net/tcp answers); open the gateway with a Unix socket: postern gateway open RESOURCE --socket DIRECTORY'
      : 'this gateway belongs to another user of this machine; open one of your own: postern gateway open RESOURCE',
  )

const wrongPassword = (): PosternError =>
  new PosternError(
    'gateway_password_wrong',
    'wrong password for this gateway: it has one of its own, which Postern made; "postern gateway open RESOURCE" and the page of the gateway show it in the URL',
  )
