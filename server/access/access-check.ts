// Who is it, and may they? Judges client certificates and routes afresh on every call (C4), by the store as it is now.
// Called by the router on each connection, by the web API on each request, by sessions after a change of roles.
import type { X509Certificate } from 'node:crypto'
import type { ResourceSpec } from '../../shared/admin-api.ts'
import { PosternError } from '../../shared/errors.ts'
import { identityFromSubjectAltName, type Identity } from '../../shared/names.ts'
import type { Authority } from '../ca/authority.ts'
import type { AccessCheck, AuthorisedRoute, Clock, Route } from '../seams.ts'
import type { Db } from '../store/store.ts'
import { DEFAULT_LIMITS, limitsOf, type LimitDefaults } from './limits.ts'
import { readHeldRoles, readLogin, readResources, type LoginRecord } from './records.ts'
import { allowanceFor, allowedAccounts, type Allowance, type HeldRole } from './roles.ts'
import { createRouteReader, type RouteRecord } from './route-reader.ts'

/** How much a certificate may be younger than our clock says, in ms: two servers of one cluster may differ. */
const NOT_BEFORE_LEEWAY_MS = 60_000

export type AccessOptions = {
  db: Db
  authority: Pick<Authority, 'issuerOf'>
  cluster: string
  now: Clock
  /** For roles that do not say it. */
  limitDefaults?: LimitDefaults
}

/** What one person may do with one account of one resource at this moment. */
export type AccountAccess = { resource: ResourceSpec; allowance: Allowance }

export function createAccessCheck(options: AccessOptions): AccessCheck {
  const { db, authority, cluster, now, limitDefaults = DEFAULT_LIMITS } = options
  const readRoute = createRouteReader(db)

  /** What a certificate says, if it is one of ours and of this time. */
  function identify<K extends Identity['kind']>(
    certificate: X509Certificate | undefined,
    kind: K,
    allowExpired: boolean,
  ): Extract<Identity, { kind: K }> {
    if (certificate === undefined)
      throw new PosternError('bad_certificate', 'this connection needs a client certificate')
    const issuer = authority.issuerOf(certificate)
    // One of ours before a rotation was finished: a login (or for a route: the login's own certificate) helps (C7).
    if (issuer?.standing === 'dropped') throw droppedCa(kind)
    if (!issuer)
      throw new PosternError('bad_certificate', 'this certificate was not issued by this cluster; log in to it first')
    if (certificate.ca) throw new PosternError('bad_certificate', 'this is the certificate of a CA, not of a client')
    if (certificate.validFromDate.getTime() > now().getTime() + NOT_BEFORE_LEEWAY_MS)
      throw new PosternError('bad_certificate', 'this certificate is not valid yet: a clock of the cluster is wrong')

    const identity = identityFromSubjectAltName(certificate.subjectAltName)
    if (!isOfKind(identity, kind) || identity.cluster !== cluster)
      throw new PosternError('wrong_identity', `this certificate is not for a ${kind} of the cluster ${cluster}`)
    // A certificate is good until notAfter itself, that second included (RFC 5280, 4.1.2.5).
    if (!allowExpired && certificate.validToDate < now()) throw expired(kind)
    return identity
  }

  function authorise({ route, resource, roles }: RouteRecord): AuthorisedRoute {
    const access = allowedAccess(route, resource, roles)
    const { databases, until } = access.allowance
    return {
      route,
      resource: access.resource,
      databases,
      limits: { ...limitsOf(access.allowance.roles, limitDefaults), until },
    }
  }

  return {
    async authenticateUser(certificate, { allowExpired = false } = {}) {
      const identity = identify(certificate, 'user', allowExpired)
      checkLogin(await readLogin(db, identity.loginId), identity, allowExpired, now())
      return identity
    },

    async authenticateRoute(certificate, { allowExpired = false } = {}) {
      const identity = identify(certificate, 'route', allowExpired)
      const record = await readRoute(identity.routeId, now())
      // The row that a route id names must belong to the login that the certificate names.
      const isOfLogin = record?.route.loginId === identity.loginId
      checkLogin(isOfLogin ? record.login : await readLogin(db, identity.loginId), identity, allowExpired, now())
      if (!isOfLogin)
        throw new PosternError('wrong_identity', 'this certificate names a route that is not of its login')
      return { route: record.route, authorise: () => authorise(record) }
    },

    async authoriseRoute(routeId) {
      const record = await readRoute(routeId, now())
      if (!record)
        throw new PosternError('not_found', 'this route is no longer known to the server; open the gateway again')
      return authorise(record)
    },

    findRoute: async (routeId) => (await readRoute(routeId, now()))?.route,
  }
}

const isOfKind = <K extends Identity['kind']>(
  identity: Identity | undefined,
  kind: K,
): identity is Extract<Identity, { kind: K }> => identity?.kind === kind

/** What an account of a resource is asked for. */
type WantedAccount = Pick<Route, 'user' | 'resource' | 'protocol' | 'account'>

/**
 * What the person may do with this account, by the store as it is now.
 * @throws PosternError `resource_denied` (the same whether it is not allowed or not there), `account_denied`
 */
export async function requireAccount(db: Db, wanted: WantedAccount, now: Date): Promise<AccountAccess> {
  const [resource] = await readResources(db, wanted.resource)
  return allowedAccess(wanted, resource, await readHeldRoles(db, wanted.user, now))
}

function allowedAccess(
  wanted: WantedAccount,
  resource: ResourceSpec | undefined,
  roles: readonly HeldRole[],
): AccountAccess {
  const isThere = resource?.protocol === wanted.protocol
  const allowance = isThere ? allowanceFor(resource, wanted.account, roles) : undefined
  if (isThere && allowance) return { resource, allowance }
  const allowed = isThere ? allowedAccounts(resource, roles) : []
  if (allowed.length === 0)
    throw new PosternError(
      'resource_denied',
      `there is no ${wanted.protocol} resource ${wanted.resource} that ${wanted.user} may use; \`postern resources ls\` lists those that are allowed`,
    )
  throw new PosternError(
    'account_denied',
    `${wanted.user} may not use account ${wanted.account} on ${wanted.resource}; allowed: ${allowed.join(', ')}`,
    { detail: { allowed } },
  )
}

const droppedCa = (kind: Identity['kind']): PosternError =>
  kind === 'user'
    ? new PosternError('login_expired', 'the CA that this login rests on was dropped; log in again')
    : new PosternError('certificate_expired', 'the CA that this route certificate rests on was dropped')

/** A user certificate ends with its login, so only a login helps; a route's is reissued without a person. */
const expired = (kind: Identity['kind']): PosternError =>
  kind === 'user'
    ? new PosternError('login_expired', 'the login has expired; log in again')
    : new PosternError('certificate_expired', 'the route certificate has expired')

/** @throws PosternError `login_expired`, `user_disabled`, `wrong_identity` */
function checkLogin(login: LoginRecord | undefined, identity: Identity, allowExpired: boolean, now: Date): void {
  if (!login) throw new PosternError('login_expired', 'this login is not known to the server any more; log in again')
  if (login.user_name !== identity.user)
    throw new PosternError('wrong_identity', 'this certificate names a login of somebody else')
  if (login.disabled !== 0)
    throw new PosternError('user_disabled', `the account ${identity.user} is disabled; ask an administrator`)
  if (login.ended_at !== null) throw new PosternError('login_expired', 'this login was ended; log in again')
  if (!allowExpired && new Date(login.expires_at) < now) throw expired('user')
}
