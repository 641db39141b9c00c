// Endpoints of administration: lists, apply, removals, the audit log. Viewers read; editors write resources and roles;
// admins write people and grants. Sessions that a change concerns are over when its answer comes (S8).
import { type AdminDocument, ApplyRequest } from '../../shared/admin-api.ts'
import { AuditQuery } from '../../shared/audit-api.ts'
import { readResources } from '../access/records.ts'
import { applyDocuments, nameOf } from '../admin/apply.ts'
import { listGrants, listRoles, listUsers } from '../admin/lists.ts'
import { LEVEL_TO_WRITE, requireLevel } from '../admin/permission.ts'
import { describeRemoval, remove, type Removal } from '../admin/remove.ts'
import { signedIn, type Actor, type ApiRequest, type Endpoint } from './endpoint.ts'

export const adminEndpoints: readonly Endpoint[] = [
  signedIn({
    method: 'GET',
    path: '/v1/audit',
    level: 'viewer',
    input: AuditQuery,
    handle: async ({ parts, signal }, query) => await parts.auditReader.query(query, signal),
  }),
  signedIn({
    method: 'GET',
    path: '/v1/admin/users',
    level: 'viewer',
    handle: async ({ parts }) => ({ users: await listUsers(parts.db) }),
  }),
  signedIn({
    method: 'GET',
    path: '/v1/admin/roles',
    level: 'viewer',
    handle: async ({ parts }) => ({ roles: await listRoles(parts.db) }),
  }),
  signedIn({
    method: 'GET',
    path: '/v1/admin/resources',
    level: 'viewer',
    handle: async ({ parts }) => ({ resources: await readResources(parts.db) }),
  }),
  signedIn({
    method: 'GET',
    path: '/v1/admin/grants',
    level: 'viewer',
    handle: async ({ parts }) => ({ grants: await listGrants(parts.db) }),
  }),
  signedIn({
    method: 'POST',
    path: '/v1/admin/apply',
    // The lowest level that may write anything; each document asks for its own below.
    level: 'editor',
    input: ApplyRequest,
    handle: (request, { documents }) => apply(request, documents),
  }),
  removal('/v1/admin/users/:name', 'user'),
  removal('/v1/admin/roles/:name', 'role'),
  removal('/v1/admin/resources/:name', 'resource'),
  removal('/v1/admin/grants/:user/:role', 'grant'),
]

async function apply(request: ApiRequest & { actor: Actor }, documents: readonly AdminDocument[]) {
  const { parts, actor, peer } = request
  for (const document of documents)
    requireLevel(actor, LEVEL_TO_WRITE[document.kind], `writing ${document.kind} ${nameOf(document)}`)
  const { applied, endedLogins, concerned } = await applyDocuments(
    { db: parts.db, masterKey: parts.masterKey, now: parts.now() },
    documents,
  )
  const changes = applied.filter(({ change }) => change !== 'unchanged')
  for (const detail of changes)
    parts.audit.record({
      event: 'admin.change',
      user: actor.user,
      login: actor.loginId,
      address: peer.address,
      ...(detail.kind === 'resource' ? { resource: detail.name } : {}),
      detail,
    })
  for (const { user, loginId } of endedLogins) {
    parts.audit.record({ event: 'login.ended', user, login: loginId, detail: { reason: 'disabled', by: actor.user } })
    parts.control.loginEnded(loginId, 'disabled')
  }
  if (changes.length > 0) parts.control.accessChanged(concerned)
  // The kills do not wait for the log, the answer waits for both.
  await Promise.all([
    ...endedLogins.map(({ loginId }) => parts.sessions.endLogin(loginId, 'revoked', actor.user)),
    changes.some(({ kind }) => kind !== 'user') ? parts.sessions.endDisallowed(actor.user, concerned) : undefined,
    parts.audit.flush(),
  ])
  return { applied }
}

function removal(path: string, kind: AdminDocument['kind']): Endpoint {
  return signedIn({
    method: 'DELETE',
    path,
    level: LEVEL_TO_WRITE[kind],
    handle: async ({ parts, actor, peer, params }) => {
      const { name = '', user = '', role = '' } = params
      const removed: Removal = kind === 'grant' ? { kind, user, role } : { kind, name }
      const { endedLogins, concerned } = await remove(parts.db, removed, parts.now())
      parts.audit.record({
        event: 'admin.change',
        user: actor.user,
        login: actor.loginId,
        address: peer.address,
        ...(kind === 'resource' ? { resource: name } : {}),
        detail: { kind, name: describeRemoval(removed).slice(kind.length + 1), change: 'removed' },
      })
      for (const login of endedLogins) {
        parts.audit.record({ event: 'login.ended', user: name, login, detail: { reason: 'revoked', by: actor.user } })
        parts.control.loginEnded(login, 'removed')
      }
      parts.control.accessChanged(concerned)
      await Promise.all([
        removed.kind === 'user'
          ? parts.sessions.endUser(removed.name, 'revoked', actor.user)
          : parts.sessions.endDisallowed(actor.user, concerned),
        parts.audit.flush(),
      ])
      return {}
    },
  })
}
