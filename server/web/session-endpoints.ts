// Endpoints of sessions: who is connected to what, what they ran, and ending one. One's own for everybody; everyone's for viewers;
// ending somebody else's for administrators. Who may not see a session is told what they would be told of one that is not there.
import { SessionsQuery, SessionStatementsQuery, type SessionView } from '../../shared/session-api.ts'
import { PosternError } from '../../shared/errors.ts'
import { hasLevel, requireLevel } from '../admin/permission.ts'
import { signedIn, type Actor, type ApiParts, type ApiRequest, type Endpoint } from './endpoint.ts'
import { readStatements } from './session-statements.ts'
import { readSession, readSessions } from './session-views.ts'

/** How long an end waits for the record of who asked for it, in ms: a store that fails must not keep a client connected (S4). */
const RECORD_WITHIN_MS = 2000

export const sessionEndpoints: readonly Endpoint[] = [
  signedIn({
    method: 'GET',
    path: '/v1/sessions',
    // One's own; the query says when it is about everyone's.
    level: 'none',
    input: SessionsQuery,
    handle: async ({ parts, actor }, query) => {
      const isAboutAll = query.scope === 'all'
      if (isAboutAll) {
        requireLevel(actor, 'viewer', "seeing everyone's sessions")
        parts.control.looksAtEveryone(actor.loginId)
      }
      return {
        sessions: await readSessions(parts.db, parts.sessions.live(), query, isAboutAll ? undefined : actor.user),
      }
    },
  }),
  signedIn({
    method: 'GET',
    path: '/v1/sessions/:id',
    level: 'none',
    handle: async (request) => ({ session: await findVisible(request) }),
  }),
  signedIn({
    method: 'GET',
    path: '/v1/sessions/:id/statements',
    level: 'none',
    input: SessionStatementsQuery,
    handle: async (request, query) => {
      const { parts, signal } = request
      const { id } = await findVisible(request)
      await parts.audit.flush()
      return readStatements(parts.db, id, query, signal)
    },
  }),
  signedIn({
    method: 'POST',
    path: '/v1/sessions/:id/end',
    level: 'none',
    handle: async (request) => ({ reason: await endSession(request) }),
  }),
]

type SignedIn = ApiRequest & { actor: Actor }

/** @throws PosternError `not_found` for one that is not there, and for one that this person may not see */
async function findVisible({ parts, actor, params }: SignedIn): Promise<SessionView> {
  const session = await readSession(parts.db, parts.sessions.live(), params['id'] ?? '')
  if (session && (session.user === actor.user || hasLevel(actor.level, 'viewer'))) return session
  throw new PosternError('not_found', 'there is no such session, or it is none of yours')
}

/** Who asks for whose end is on record before anything happens; resolves once the session's own record is written. */
async function endSession(request: SignedIn): Promise<string> {
  const { parts, actor, peer } = request
  const session = await findVisible(request)
  const isOwn = session.user === actor.user
  if (!isOwn) requireLevel(actor, 'admin', `ending a session of ${session.user}`)
  if (session.state === 'ended') return session.endReason ?? 'closed'
  const reason = isOwn ? 'cancelled' : 'terminated'
  parts.audit.record({
    event: 'session.end.asked',
    user: actor.user,
    login: actor.loginId,
    session: session.id,
    resource: session.resource,
    account: session.account,
    address: peer.address,
    detail: { of: session.user, reason },
  })
  await recorded(parts, session.id)
  const ended = await parts.sessions.end(session.id, reason, actor.user)
  // Between the two looks a crash may have taken it; its row is there all the same.
  return ended ?? 'restart'
}

/** Resolves when the audit log has it; a log that fails or hangs is no reason to leave a session alive. */
async function recorded({ audit, log }: ApiParts, session: string): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('not written in time')), RECORD_WITHIN_MS)
  })
  try {
    await Promise.race([audit.flush(), late])
  } catch (error) {
    log.error({ err: error, session }, 'who ended a session is not in the audit log yet; it is tried again')
  } finally {
    clearTimeout(timer)
  }
}
