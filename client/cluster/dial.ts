// Dials the cluster for one connection: TLS 1.3 with the route certificate, the protocol's ALPN name, then the preamble (C5).
// Never takes silence for success. Called by gateways/connection.ts.
import { readPreamble } from '../../link/preamble.ts'
import { linkOf, type Link } from '../../link/link.ts'
import { PosternError } from '../../shared/errors.ts'
import { ALPN, type Alpn, type RouteIdentity } from '../../shared/names.ts'
import type { Cluster } from './address.ts'
import type { NoteServerTime } from './clock.ts'
import { dialTurn } from './dial-turns.ts'
import type { KeyedCertificate } from './keyed-certificate.ts'
import { connectTls, unreachable } from './tls.ts'

export type DialOptions = {
  cluster: Cluster
  alpn: Alpn
  certificate: KeyedCertificate<RouteIdentity>
  noteServerTime: NoteServerTime
  signal: AbortSignal
}

export type DialedRoute = { link: Link; sessionId: string }

/** For connecting, the handshake and the preamble together; the server dials its target only after it. In ms. */
const DIAL_DEADLINE_MS = 15_000
/** For its turn among the dials of its route, where hundreds come at once; in ms. The time of the dial itself counts from there. */
const TURN_DEADLINE_MS = 60_000

/**
 * Opens one connection of a route. The caller owns the link.
 * @throws PosternError the server's refusal (code, text, error id), `server_unreachable`, `server_untrusted`, `protocol`; the
 * signal's reason if that aborts
 */
export async function dialRoute(options: DialOptions): Promise<DialedRoute> {
  const { alpn, certificate, signal } = options
  // A cancel request waits for nobody (DB1).
  if (alpn === ALPN.postgresCancel) return dialNow(options)
  const late = AbortSignal.timeout(TURN_DEADLINE_MS)
  const endTurn = await dialTurn(certificate.identity.routeId, AbortSignal.any([late, signal])).catch(
    (error: unknown) => {
      if (signal.aborted || !late.aborted) throw error
      const why = `too many connect at once, and this one had no turn within ${TURN_DEADLINE_MS / 1000} s`
      throw unreachable(options.cluster.address, why, error)
    },
  )
  try {
    return await dialNow(options)
  } finally {
    endTurn()
  }
}

async function dialNow(options: DialOptions): Promise<DialedRoute> {
  const { cluster, alpn, certificate, noteServerTime } = options
  const deadline = AbortSignal.timeout(DIAL_DEADLINE_MS)
  const signal = AbortSignal.any([deadline, options.signal])
  try {
    const { socket, transport } = await connectTls({
      address: cluster.address,
      alpn,
      context: certificate.contextFor(cluster.caPems),
      isResumable: true,
      signal,
    })
    const link = linkOf(socket, transport)
    try {
      const preamble = await readPreamble(socket, signal)
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
  } catch (error) {
    if (options.signal.aborted) throw options.signal.reason
    if (deadline.aborted) throw unreachable(cluster.address, `no answer within ${DIAL_DEADLINE_MS / 1000} s`, error)
    throw error
  }
}
