// The names that all sides agree on: what people, resources, roles and clusters may be called, the ALPN protocols,
// and the one SPIFFE-style URI that carries an identity in a certificate (C3). Pure.
import { z } from 'zod'

/** Names of people, resources, roles and clusters; also legal SPIFFE path segments and (lower case) trust domains. */
export const NAME_PATTERN = /^[a-z0-9][a-z0-9._-]{0,62}$/
export const NAME_RULE =
  'a name starts with a-z or 0-9, goes on with a-z, 0-9, ".", "_" or "-", and has at most 63 characters'
export const Name = z.string().regex(NAME_PATTERN, NAME_RULE)

/** An account on a resource: a database user, so anything that PostgreSQL allows in a role name but control characters. */
export const AccountName = z
  .string()
  .min(1)
  .max(63)
  // eslint-disable-next-line no-control-regex -- the point is to refuse them
  .regex(/^[^\u0000-\u001f\u007f]+$/, 'an account has no control characters')

/** Protocols that a resource can speak today. */
export const RESOURCE_PROTOCOLS = ['postgres', 'tcp'] as const
export type ResourceProtocol = (typeof RESOURCE_PROTOCOLS)[number]
export const isResourceProtocol = (protocol: string): protocol is ResourceProtocol =>
  RESOURCE_PROTOCOLS.some((known) => known === protocol)

/** The one account of a resource that has none of its own. */
export const TCP_ACCOUNT = 'tcp'
/** Whether its resources have accounts and databases that a person chooses among. */
export const hasAccounts = (protocol: ResourceProtocol): boolean => protocol !== 'tcp'

/** ALPN names of the public port. `web` carries the JSON API before the login, `control` the same API after it. */
export const ALPN = {
  web: 'http/1.1',
  control: 'postern-control',
  postgres: 'postern-postgres',
  /** A PostgreSQL CancelRequest only: accepted on an expired route certificate while its session is active (DB1). */
  postgresCancel: 'postern-postgres-cancel',
  /** Anything behind a HOST:PORT, byte for byte (DB6). */
  tcp: 'postern-tcp',
  /** Many streams over one connection, each for one of the protocols (link/tunnel). */
  tunnel: 'postern-tunnel',
} as const
export type Alpn = (typeof ALPN)[keyof typeof ALPN]

/** Version of the preamble, the API and the control messages; contracts only grow. */
export const PROTOCOL_VERSION = 1

/** The port of the access server where an address names none. */
export const DEFAULT_SERVER_PORT = 3443

export type UserIdentity = { kind: 'user'; cluster: string; user: string; loginId: string }
export type RouteIdentity = { kind: 'route'; cluster: string; user: string; loginId: string; routeId: string }
export type Identity = UserIdentity | RouteIdentity

/** Ids inside identities: UUIDs without anything that a SPIFFE path segment forbids. */
const ID_PATTERN = /^[A-Za-z0-9_-]{1,64}$/

/**
 * The URI SAN of an identity: `spiffe://CLUSTER/user/NAME/login/ID[/route/ID]`.
 * Source: SPIFFE-ID specification, section 2 (path segments: letters, digits, ".", "-", "_"; lower-case trust domain).
 */
export function formatIdentity(identity: Identity): string {
  const user = `spiffe://${identity.cluster}/user/${identity.user}/login/${identity.loginId}`
  return identity.kind === 'route' ? `${user}/route/${identity.routeId}` : user
}

/** Reads the URI SAN of an identity; `undefined` for anything that is not exactly one of ours. */
export function parseIdentity(uri: string): Identity | undefined {
  const match = /^spiffe:\/\/([^/]+)\/user\/([^/]+)\/login\/([^/]+)(?:\/route\/([^/]+))?$/.exec(uri)
  if (!match) return undefined
  const [, cluster = '', user = '', loginId = '', routeId] = match
  if (!NAME_PATTERN.test(cluster) || !NAME_PATTERN.test(user) || !ID_PATTERN.test(loginId)) return undefined
  if (routeId === undefined) return { kind: 'user', cluster, user, loginId }
  return ID_PATTERN.test(routeId) ? { kind: 'route', cluster, user, loginId, routeId } : undefined
}

/**
 * Reads the identity out of `X509Certificate.subjectAltName` as Node prints it. Exactly one URI entry is an identity;
 * none, two, or anything beside it is not (a certificate lacking what its ALPN name needs is refused, C3).
 */
export function identityFromSubjectAltName(subjectAltName: string | undefined): Identity | undefined {
  if (!subjectAltName?.startsWith('URI:') || subjectAltName.includes(',')) return undefined
  return parseIdentity(subjectAltName.slice('URI:'.length))
}
