// Who is it, and may they? Judges client certificates and routes afresh on every call (C4), by the store as it is now.
// Called by the router on each connection, by the web API on each request, by sessions after a change of roles.
import { X509Certificate } from 'node:crypto'
import type { ResourceSpec } from '../../shared/admin-api.ts'
import { PosternError } from '../../shared/errors.ts'
import { identityFromSubjectAltName, isResourceProtocol, type Identity } from '../../shared/names.ts'
import type { Authority } from '../ca/authority.ts'
import type { AccessCheck, AuthorisedRoute, Clock, Route } from '../seams.ts'
import type { Db } from '../store/store.ts'
import { DEFAULT_LIMITS, limitsOf, type LimitDefaults } from './limits.ts'
import { readHeldRoles, readResources } from './records.ts'
import { allowanceFor, allowedAccounts, type Allowance } from './roles.ts'

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
  return {
    async authenticate(certificateDer, kind, { allowExpired = false } = {}) {
      const certificate = parseCertificate(certificateDer)
      const issuer = authority.issuerOf(certificate)
      // One of ours before a rotation was finished: a login (or for a route: the login's own certificate) helps (C7).
      if (issuer?.standing === 'dropped') throw droppedCa(kind)
      if (!issuer)
        throw new PosternError('bad_certificate', 'this certificate was not issued by this cluster; log in to it first')
      if (certificate.ca) throw new PosternError('bad_certificate', 'this is the certificate of a CA, not of a client')
      if (certificate.validFromDate.getTime() > now().getTime() + NOT_BEFORE_LEEWAY_MS)
        throw new PosternError('bad_certificate', 'this certificate is not valid yet: a clock of the cluster is wrong')

      const identity = identityFromSubjectAltName(certificate.subjectAltName)
      if (identity?.kind !== kind || identity.cluster !== cluster)
        throw new PosternError('wrong_identity', `this certificate is not for a ${kind} of the cluster ${cluster}`)
      // A certificate is good until notAfter itself, that second included (RFC 5280, 4.1.2.5).
      if (!allowExpired && certificate.validToDate < now()) throw expired(kind)
      await checkLogin(db, identity, allowExpired, now())
      if (identity.kind === 'route') await checkRouteOwner(identity.routeId, identity)
      return identity
    },

    async authoriseRoute(routeId): Promise<AuthorisedRoute> {
      const route = await findRoute(routeId)
      if (!route)
        throw new PosternError('not_found', 'this route is no longer known to the server; open the gateway again')
      const { resource, allowance } = await requireAccount(db, route, now())
      const limits = { ...limitsOf(allowance.roles, limitDefaults), until: allowance.until }
      return { route, resource, databases: allowance.databases, limits }
    },

    findRoute,
  }

  async function findRoute(routeId: string): Promise<Route | undefined> {
    const row = await db
      .selectFrom('routes')
      .innerJoin('logins', 'logins.id', 'routes.login_id')
      .select(['routes.login_id', 'logins.user_name', 'routes.resource', 'routes.protocol', 'routes.account'])
      .where('routes.id', '=', routeId)
      .executeTakeFirst()
    // Protocols that this version does not know may stand in a store that a newer one has used.
    if (!row || !isResourceProtocol(row.protocol)) return undefined
    return {
      routeId,
      loginId: row.login_id,
      user: row.user_name,
      resource: row.resource,
      protocol: row.protocol,
      account: row.account,
    }
  }

  /** The row that a route id names must belong to the login that the certificate names. */
  async function checkRouteOwner(routeId: string, identity: Identity): Promise<void> {
    const route = await findRoute(routeId)
    if (route?.loginId !== identity.loginId)
      throw new PosternError('wrong_identity', 'this certificate names a route that is not of its login')
  }
}

/**
 * What the person may do with this account.
 * @throws PosternError `resource_denied` (the same whether it is not allowed or not there), `account_denied`
 */
export async function requireAccount(
  db: Db,
  wanted: Pick<Route, 'user' | 'resource' | 'protocol' | 'account'>,
  now: Date,
): Promise<AccountAccess> {
  const [resource] = await readResources(db, wanted.resource)
  const roles = await readHeldRoles(db, wanted.user, now)
  const allowed = resource?.protocol === wanted.protocol ? allowedAccounts(resource, roles) : []
  if (resource === undefined || allowed.length === 0)
    throw new PosternError(
      'resource_denied',
      `there is no ${wanted.protocol} resource ${wanted.resource} that ${wanted.user} may use; \`postern resources ls\` lists those that are allowed`,
    )
  const allowance = allowanceFor(resource, wanted.account, roles)
  if (allowance === undefined)
    throw new PosternError(
      'account_denied',
      `${wanted.user} may not use account ${wanted.account} on ${wanted.resource}; allowed: ${allowed.join(', ')}`,
      { detail: { allowed } },
    )
  return { resource, allowance }
}

function parseCertificate(der: Buffer | undefined): X509Certificate {
  if (der === undefined) throw new PosternError('bad_certificate', 'this connection needs a client certificate')
  try {
    return new X509Certificate(der)
  } catch (cause) {
    throw new PosternError('bad_certificate', 'the client certificate cannot be read', { cause })
  }
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
async function checkLogin(db: Db, identity: Identity, allowExpired: boolean, now: Date): Promise<void> {
  const login = await db
    .selectFrom('logins')
    .innerJoin('users', 'users.name', 'logins.user_name')
    .select(['logins.user_name', 'logins.expires_at', 'logins.ended_at', 'users.disabled'])
    .where('logins.id', '=', identity.loginId)
    .executeTakeFirst()
  if (!login) throw new PosternError('login_expired', 'this login is not known to the server any more; log in again')
  if (login.user_name !== identity.user)
    throw new PosternError('wrong_identity', 'this certificate names a login of somebody else')
  if (login.disabled !== 0)
    throw new PosternError('user_disabled', `the account ${identity.user} is disabled; ask an administrator`)
  if (login.ended_at !== null) throw new PosternError('login_expired', 'this login was ended; log in again')
  if (!allowExpired && new Date(login.expires_at) < now) throw expired('user')
}
