// Endpoints of administration: lists, apply, removals, the audit log. Viewers read; editors write resources and roles;
// admins write people and grants. Sessions that a change concerns are over when its answer comes (S8).
import { type AdminDocument, ApplyRequest } from '../../shared/admin-api.ts'
import { AUDIT_EVENTS, AuditQuery } from '../../shared/audit-api.ts'
import { PosternError } from '../../shared/errors.ts'
import { readResources } from '../access/records.ts'
import { applyDocuments, type Applied, type ApplyOutcome } from '../admin/apply.ts'
import { listGrants, listRoles, listUsers } from '../admin/lists.ts'
import { LEVEL_TO_WRITE, requireLevel } from '../admin/permission.ts'
import { describeRemoval, remove, type Removal } from '../admin/remove.ts'
import { nameOf } from '../admin/write-document.ts'
import type { AuditEntry } from '../seams.ts'
import { signedIn, type Actor, type ApiRequest, type Endpoint } from './endpoint.ts'

export const adminEndpoints: readonly Endpoint[] = [
  signedIn({
    method: 'GET',
    path: '/v1/audit',
    level: 'viewer',
    input: AuditQuery,
    handle: async ({ parts, signal }, query) => {
      if (query.event !== undefined) requireKnownEvent(query.event)
      return await parts.auditReader.query(query, signal)
    },
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

/** A mistyped name finds nothing, and nothing found means that nothing happened: it is an error. @throws PosternError `bad_request` */
function requireKnownEvent(name: string): void {
  const families = [...new Set(AUDIT_EVENTS.map((event) => event.split('.', 1)[0] ?? event))]
  if (AUDIT_EVENTS.some((event) => event === name || event.startsWith(`${name}.`))) return
  const text = `event: "${name}" is neither an event nor a family of events; families are ${families.join(', ')}`
  throw new PosternError('bad_request', text, { detail: { field: 'event' } })
}

async function apply(request: ApiRequest & { actor: Actor }, documents: readonly AdminDocument[]) {
  const { parts, actor } = request
  for (const document of documents)
    requireLevel(actor, LEVEL_TO_WRITE[document.kind], `writing ${document.kind} ${nameOf(document)}`)
  const { db, masterKey, audit } = parts
  const { applied, endedLogins, concerned } = await applyDocuments(
    { db, masterKey, audit, now: parts.now() },
    documents,
    (outcome) => [
      ...changesIn(outcome).map((detail) => changeBy(request, detail)),
      ...outcome.endedLogins.map((login) => loginEnded(login, 'disabled', actor)),
    ],
  )
  for (const { loginId } of endedLogins) parts.control.loginEnded(loginId, 'disabled')
  const changes = changesIn({ applied })
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
    handle: async (request) => {
      const { parts, actor, params } = request
      const { name = '', user = '', role = '' } = params
      const removed: Removal = kind === 'grant' ? { kind, user, role } : { kind, name }
      const change = { kind, name: describeRemoval(removed).slice(kind.length + 1), change: 'removed' }
      const { endedLogins, concerned } = await parts.audit.transaction(
        (trx) => remove(trx, removed, parts.now()),
        (outcome) => [
          changeBy(request, change),
          ...outcome.endedLogins.map((loginId) => loginEnded({ user: name, loginId }, 'revoked', actor)),
        ],
      )
      for (const login of endedLogins) parts.control.loginEnded(login, 'removed')
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

const changesIn = ({ applied }: Pick<ApplyOutcome, 'applied'>): Applied[] =>
  applied.filter(({ change }) => change !== 'unchanged')

const changeBy = (
  { actor, peer }: ApiRequest & { actor: Actor },
  detail: { kind: AdminDocument['kind']; name: string; change: string },
): AuditEntry => ({
  event: 'admin.change',
  user: actor.user,
  login: actor.loginId,
  address: peer.address,
  ...(detail.kind === 'resource' ? { resource: detail.name } : {}),
  detail,
})

const loginEnded = (
  { user, loginId }: { user: string; loginId: string },
  reason: 'disabled' | 'revoked',
  { user: by }: Actor,
): AuditEntry => ({ event: 'login.ended', user, login: loginId, detail: { reason, by } })
