// The decision before every dial (G2, G3): is the route certificate good? Decided from its notAfter by the server's clock,
// never from a dial error. Only expiry (or none at all) starts a renewal; a certificate for somebody else ends the connection.
import { PosternError } from '../../shared/errors.ts'
import type { Profile } from '../profiles/profile.ts'
import type { Wanting } from '../renewal/login-requests.ts'
import type { Renewal } from '../renewal/renewal.ts'
import { isOthers, othersGateway, type Route, type RouteCertificate } from '../renewal/route-certificates.ts'

export type Verdict = 'good' | 'expired' | 'missing'

/**
 * Looks at a route certificate.
 * @param nowMs by the server's clock
 * @throws PosternError `wrong_identity` if it was issued to another person or by another cluster: no login mends that (G3)
 */
export function judgeCertificate(
  certificate: RouteCertificate | undefined,
  wanted: { cluster: string; user: string | null },
  nowMs: number,
): Verdict {
  if (!certificate) return 'missing'
  const { cluster, user } = certificate.identity
  if (cluster !== wanted.cluster || user !== wanted.user) {
    throw new PosternError(
      'wrong_identity',
      `this gateway has a certificate of ${user} on ${cluster}, but you are ${wanted.user ?? 'nobody'} on ${wanted.cluster}; close the gateway and open it again`,
    )
  }
  return certificate.notAfterMs > nowMs ? 'good' : 'expired'
}

/**
 * A certificate that is good now, renewed first if need be.
 * @throws PosternError as judgeCertificate and Renewal.renew do; the signal's reason if that aborts
 */
export async function obtainGoodCertificate(
  profile: Profile,
  renewal: Renewal,
  route: Route,
  wanting: Wanting,
  signal: AbortSignal,
): Promise<RouteCertificate> {
  if (isOthers(route, profile)) throw othersGateway(route, profile)
  const certificate = renewal.certificates.find(route.gatewayId)
  const verdict = judgeCertificate(certificate, { cluster: profile.name, user: profile.user }, profile.clock.now())
  return certificate && verdict === 'good' ? certificate : renewal.renew(route, wanting, signal)
}
