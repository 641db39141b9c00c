// Endpoints around gateways: which resources may I use, a certificate for a route, the gateway was closed.
import { randomUUID } from 'node:crypto'
import { type ResourceView, RouteRequest } from '../../shared/resource-api.ts'
import { PosternError } from '../../shared/errors.ts'
import { requireAccount } from '../access/access-check.ts'
import { readHeldRoles, readResources } from '../access/records.ts'
import { viewOf } from '../access/roles.ts'
import { parseCsr } from '../ca/csr.ts'
import type { Db } from '../store/store.ts'
import { signedIn, trustNews, type Actor, type Endpoint } from './endpoint.ts'

export const routeEndpoints: readonly Endpoint[] = [
  signedIn({
    method: 'GET',
    path: '/v1/resources',
    level: 'none',
    handle: async ({ parts, actor }) => {
      const roles = await readHeldRoles(parts.db, actor.user, parts.now())
      const resources = await readResources(parts.db)
      const views = resources
        .map((resource) => viewOf(resource, roles))
        .filter((view): view is ResourceView => view !== undefined)
      return { resources: views }
    },
  }),
  signedIn({
    method: 'POST',
    path: '/v1/routes',
    level: 'none',
    input: RouteRequest,
    handle: async (request, { csr, ...wanted }) => {
      const { parts, actor } = request
      const publicKey = parseCsr(csr)
      const now = parts.now()
      const { allowance } = await requireAccount(parts.db, { user: actor.user, ...wanted }, now)
      const routeId = await findOrMakeRoute(parts.db, actor, wanted, now)
      const certificate = parts.authority.issueRouteCertificate(
        { kind: 'route', cluster: parts.cluster, user: actor.user, loginId: actor.loginId, routeId },
        publicKey,
        parts.routeTtlMs,
        [actor.loginEndsAt, allowance.until],
      )
      const expiresAt = certificate.notAfter.toISOString()
      await parts.db
        .updateTable('routes')
        .set({ ca_id: certificate.caId, certificate_ends_at: expiresAt })
        .where('id', '=', routeId)
        .execute()
      return { routeId, certificate: certificate.pem, expiresAt, ...trustNews(request) }
    },
  }),
  signedIn({
    method: 'POST',
    path: '/v1/routes/:routeId/close',
    level: 'none',
    takesExpired: true,
    handle: async ({ parts, actor, params }) => {
      const route = await parts.access.findRoute(params['routeId'] ?? '')
      // The person's other logins too: the gateway may have been opened before the latest login.
      if (route?.user !== actor.user) throw new PosternError('not_found', 'you have no such route')
      return { sessionId: await parts.sessions.endRoute(route.routeId, 'closed') }
    },
  }),
]

/** The one row of (login, resource, protocol, account); two requests at once get the same one. */
async function findOrMakeRoute(
  db: Db,
  actor: Actor,
  wanted: { resource: string; protocol: string; account: string },
  now: Date,
): Promise<string> {
  const key = { login_id: actor.loginId, ...wanted }
  await db
    .insertInto('routes')
    .values({ id: randomUUID(), ...key, created_at: now.toISOString() })
    .onConflict((conflict) => conflict.columns(['login_id', 'resource', 'protocol', 'account']).doNothing())
    .execute()
  const row = await db
    .selectFrom('routes')
    .select('id')
    .where('login_id', '=', key.login_id)
    .where('resource', '=', key.resource)
    .where('protocol', '=', key.protocol)
    .where('account', '=', key.account)
    .executeTakeFirstOrThrow()
  return row.id
}
