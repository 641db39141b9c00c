// The route certificates of one profile, one per open gateway, in memory only. Readers fetch at use; a change is built whole
// and published in one assignment, so that nobody ever sees half of a renewal (G12).
import { RouteResponse } from '../../shared/resource-api.ts'
import { PosternError } from '../../shared/errors.ts'
import type { ResourceProtocol, RouteIdentity } from '../../shared/names.ts'
import { createKeyRequest } from '../cluster/csr.ts'
import { buildKeyedCertificate, type KeyedCertificate } from '../cluster/keyed-certificate.ts'
import type { Profile } from '../profiles/profile.ts'

export type RouteCertificate = KeyedCertificate<RouteIdentity>

/** What the core needs to know to reissue a route without looking the resource up again (G4). */
export type Route = {
  readonly gatewayId: string
  readonly resource: string
  readonly protocol: ResourceProtocol
  readonly account: string
  /** Whose gateway it is: with another person logged in it is of no use (G3). null: nobody has logged in yet. */
  readonly user: string | null
}

/** Whether it was opened by another person than the one who is logged in now. */
export const isOthers = ({ user }: Route, profile: Pick<Profile, 'user'>): boolean =>
  user !== null && profile.user !== null && user !== profile.user

/** The error for its connections: no login of the person who is there mends that (G3), opening it anew does. */
export const othersGateway = ({ user, resource }: Route, profile: Pick<Profile, 'name' | 'user'>): PosternError =>
  new PosternError(
    'wrong_identity',
    `this gateway was opened by ${user ?? 'nobody'}, but you are ${profile.user ?? 'nobody'} on ${profile.name} now; ` +
      `to make it yours, open it again: postern gateway open ${resource}`,
  )

export class RouteCertificates {
  #published: ReadonlyMap<string, RouteCertificate> = new Map()

  find(gatewayId: string): RouteCertificate | undefined {
    return this.#published.get(gatewayId)
  }

  /** Replaces those that are named, all at once; the others stay. */
  publish(fresh: ReadonlyMap<string, RouteCertificate>): void {
    this.#published = new Map([...this.#published, ...fresh])
  }

  remove(gatewayId: string): void {
    this.#published = new Map([...this.#published].filter(([id]) => id !== gatewayId))
  }

  /** On purpose: logout, or another CA. The next connection starts a renewal (G3). */
  clear(): void {
    this.#published = new Map()
  }
}

/**
 * Asks the server for a route certificate on a fresh key and checks that it is what was asked for. Publishes nothing.
 * @throws PosternError of the server (kind `expired`: a login would help), `wrong_identity`, `server_unreachable`
 */
export async function issueRouteCertificate(
  profile: Profile,
  route: Route,
  signal: AbortSignal,
): Promise<RouteCertificate> {
  if (isOthers(route, profile)) throw othersGateway(route, profile)
  const user = await profile.certificateToPresent(signal)
  const { keyPem, csrPem } = await createKeyRequest(user.identity.user)
  const body = { resource: route.resource, protocol: route.protocol, account: route.account, csr: csrPem }
  const answer = await profile.callSignedIn({ method: 'POST', path: '/v1/routes', body }, RouteResponse, signal)
  const certificate = buildKeyedCertificate(
    { certificatePem: answer.certificate, keyPem, caPems: profile.cluster.caPems },
    'route',
  )
  const { cluster, user: name, routeId } = certificate.identity
  if (cluster !== profile.name || name !== user.identity.user || routeId !== answer.routeId) {
    throw new PosternError('wrong_identity', 'the server issued a route certificate for somebody or something else')
  }
  return certificate
}
