// Reads sessions from the store as people see them (shared/session-api.ts): the row, and beside it what is known of a live one at
// this moment. Called by session-endpoints.ts.
import type { Selectable } from 'kysely'
import type { SessionsQuery, SessionView } from '../../shared/session-api.ts'
import type { LiveSession } from '../seams.ts'
import type { Tables } from '../store/schema.ts'
import type { Db } from '../store/store.ts'

type Row = Selectable<Tables['sessions']>

/**
 * Sessions that match, newest first; `limit` of them at most.
 * @param user only this person's, whatever the query says
 */
export async function readSessions(
  db: Db,
  live: readonly LiveSession[],
  query: SessionsQuery,
  user: string | undefined,
): Promise<SessionView[]> {
  let rows = db.selectFrom('sessions').selectAll().limit(query.limit)
  for (const name of [user, query.user]) if (name !== undefined) rows = rows.where('user_name', '=', name)
  if (query.resource !== undefined) rows = rows.where('resource', '=', query.resource)
  // The schema lets no wildcard of LIKE through.
  if (query.id !== undefined) rows = rows.where('id', 'like', `${query.id.toLowerCase()}%`)
  const { state, endedSince, before, beforeId } = query
  if (state === 'ended') rows = rows.where('state', '=', 'ended')
  if (state === 'live')
    rows = rows.where((where) =>
      where.or([
        where('state', '!=', 'ended'),
        ...(endedSince === undefined ? [] : [where('ended_at', '>=', asStored(endedSince))]),
      ]),
    )
  if (before !== undefined) {
    const time = asStored(before)
    rows = rows.where((where) =>
      where.or([
        where('started_at', '<', time),
        ...(beforeId === undefined ? [] : [where.and([where('started_at', '=', time), where('id', '<', beforeId)])]),
      ]),
    )
  }
  const found = await rows.orderBy('started_at', 'desc').orderBy('id', 'desc').execute()
  const byId = new Map(live.map((one) => [one.sessionId, one]))
  return found.map((row) => viewOf(row, byId.get(row.id)))
}

/** One session by its whole id. */
export async function readSession(
  db: Db,
  live: readonly LiveSession[],
  sessionId: string,
): Promise<SessionView | undefined> {
  const row = await db.selectFrom('sessions').selectAll().where('id', '=', sessionId).executeTakeFirst()
  return (
    row &&
    viewOf(
      row,
      live.find((one) => one.sessionId === row.id),
    )
  )
}

/** Times are compared as text in the store: all have the one form that `toISOString` makes. */
const asStored = (time: string): string => new Date(time).toISOString()

/** @param live undefined for one that is over, or that another process of the server has */
function viewOf(row: Row, live: LiveSession | undefined): SessionView {
  const isOver = row.state === 'ended'
  return {
    id: row.id,
    user: row.user_name,
    resource: row.resource,
    protocol: row.protocol,
    account: row.account,
    address: row.address,
    state: row.state,
    startedAt: row.started_at,
    activeAt: row.active_at,
    endedAt: row.ended_at,
    endReason: row.end_reason,
    endedBy: row.ended_by,
    endWhy: row.end_why,
    connections: isOver ? 0 : (live?.connections ?? 0),
    connectionsTotal: (isOver ? undefined : live?.connectionsTotal) ?? row.connections_total ?? 0,
    bytesFromClient: (isOver ? undefined : live?.bytesFromClient) ?? row.bytes_from_client ?? 0,
    bytesToClient: (isOver ? undefined : live?.bytesToClient) ?? row.bytes_to_client ?? 0,
    lastActivityAt: (isOver ? undefined : live?.lastActivityAt.toISOString()) ?? row.last_activity_at,
    lastStatementAt: (isOver ? undefined : live?.lastStatementAt?.toISOString()) ?? row.last_statement_at,
    statements: (isOver ? undefined : live?.statements) ?? row.statements ?? 0,
    endsAt: isOver ? null : (live?.endsAt?.toISOString() ?? null),
    idleEndsAt: isOver ? null : (live?.idleEndsAt?.toISOString() ?? null),
    inactiveSince: isOver ? null : (live?.inactiveSince?.toISOString() ?? null),
  }
}
