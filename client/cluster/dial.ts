// Dials the cluster for one connection: as a stream of a tunnel where the server knows tunnels, else over TLS 1.3 with the route
// certificate and the protocol's ALPN name; then the preamble (C5). Never takes silence for success. Called by
// gateways/connection.ts and connection-test.ts.
import { readPreamble } from '../../link/preamble.ts'
import { linkOf, type Link } from '../../link/link.ts'
import { TimeLimit } from '../../link/time-limit.ts'
import { PosternError } from '../../shared/errors.ts'
import { ALPN, type Alpn, type RouteIdentity } from '../../shared/names.ts'
import type { Cluster } from './address.ts'
import type { NoteServerTime } from './clock.ts'
import { dialTurn } from './dial-turns.ts'
import type { KeyedCertificate } from './keyed-certificate.ts'
import type { RouteTunnels } from './route-tunnels.ts'
import { connectTls, unreachable } from './tls.ts'

export type DialOptions = {
  cluster: Cluster
  alpn: Alpn
  certificate: KeyedCertificate<RouteIdentity>
  /** Of this route; undefined: a connection of its own. */
  tunnels?: RouteTunnels | undefined
  noteServerTime: NoteServerTime
  signal: AbortSignal
}

export type DialedRoute = { link: Link; sessionId: string }

/** For connecting, the handshake and the preamble together; the server dials its target only after it. In ms. */
const DIAL_DEADLINE_MS = 15_000
/** For its turn among the dials of its route, where hundreds come at once; in ms. The time of the dial itself counts from there. */
const TURN_DEADLINE_MS = 60_000
/** A tunnel that was up before (and may have died in a machine's sleep) has to say something within this, in ms. */
const TUNNEL_SILENCE_MS = 3_000

/**
 * Opens one connection of a route. The caller owns the link.
 * @throws PosternError the server's refusal (code, text, error id), `server_unreachable`, `server_untrusted`, `protocol`; the
 * signal's reason if that aborts
 */
export async function dialRoute(options: DialOptions): Promise<DialedRoute> {
  const { alpn, certificate, signal } = options
  const streamed = await dialStream(options)
  if (streamed) return streamed
  // A cancel request waits for nobody (DB1).
  if (alpn === ALPN.postgresCancel) return dialNow(options)
  const turn = new TimeLimit(signal, TURN_DEADLINE_MS)
  let endTurn: () => void
  try {
    endTurn = await dialTurn(certificate.identity.routeId, turn.signal)
  } catch (error) {
    if (!turn.isLate) throw error
    const why = `too many connect at once, and this one had no turn within ${TURN_DEADLINE_MS / 1000} s`
    throw unreachable(options.cluster.address, why, error)
  } finally {
    turn.end()
  }
  try {
    return await dialNow(options)
  } finally {
    endTurn()
  }
}

/** As a stream of a tunnel. undefined: not to be had this way; nothing of the client's was sent, so another way may be tried. */
async function dialStream(options: DialOptions): Promise<DialedRoute | undefined> {
  const { tunnels, alpn, cluster, certificate } = options
  if (!tunnels) return undefined
  return withinDeadline(options, async (limit) => {
    const { signal } = limit
    const target = { cluster, certificate }
    const opened =
      alpn === ALPN.postgresCancel ? tunnels.openNow(alpn, target) : await tunnels.open(alpn, target, signal)
    if (!opened) return undefined
    const { tunnel } = opened
    const heard = { isSilent: false }
    void tunnel.isAliveWithin(TUNNEL_SILENCE_MS).then((isAlive) => {
      if (isAlive) return
      heard.isSilent = true
      limit.giveUp(new Error('the tunnel is silent'))
    })
    try {
      const dialed = await hearPreamble(opened.link, options, signal)
      if (alpn !== ALPN.postgresCancel) tunnels.dialAhead(target)
      return dialed
    } catch (error) {
      // It broke, or is silent, before the server said anything of this stream.
      const isItsFault = heard.isSilent || (error instanceof PosternError && error.code === 'server_unreachable')
      if (options.signal.aborted || limit.isLate || !isItsFault) throw error
      if (heard.isSilent) tunnel.drain()
      return undefined
    }
  })
}

function dialNow(options: DialOptions): Promise<DialedRoute> {
  const { cluster, alpn, certificate } = options
  return withinDeadline(options, async ({ signal }) => {
    const context = certificate.contextFor(cluster.caPems)
    const { socket, transport } = await connectTls({
      ...{ address: cluster.address, alpn, context, signal },
      isResumable: true,
    })
    return hearPreamble(linkOf(socket, transport), options, signal)
  })
}

/** What the server says of it; the link is destroyed where that is no. */
async function hearPreamble(link: Link, { noteServerTime }: DialOptions, signal: AbortSignal): Promise<DialedRoute> {
  try {
    const preamble = await readPreamble(link.stream, signal)
    if ('ok' in preamble) {
      noteServerTime(Date.parse(preamble.ok.serverTime))
      return { link, sessionId: preamble.ok.sessionId }
    }
    const { code, text, errorId, serverTime } = preamble.refused
    noteServerTime(Date.parse(serverTime))
    throw new PosternError(code, text, { errorId })
  } catch (error) {
    link.destroy()
    throw error
  }
}

async function withinDeadline<T>(options: DialOptions, run: (limit: TimeLimit) => Promise<T>): Promise<T> {
  const limit = new TimeLimit(options.signal, DIAL_DEADLINE_MS)
  try {
    return await run(limit)
  } catch (error) {
    if (options.signal.aborted) throw options.signal.reason
    if (limit.isLate) throw unreachable(options.cluster.address, `no answer within ${DIAL_DEADLINE_MS / 1000} s`, error)
    throw error
  } finally {
    limit.end()
  }
}
