// What a session ran, from the audit log: page by page in either order, with a search in the text of the statements. Called by
// session-endpoints.ts.
import type { AuditEvent } from '../../shared/audit-api.ts'
import type { SessionStatementsQuery } from '../../shared/session-api.ts'
import { toEvent } from '../audit/audit-reader.ts'
import type { Db } from '../store/store.ts'

/** Events of a session that count as what it ran. */
const RAN = ['statement.%', 'query.cancel']
/** Events looked through for one answer of a search, at most: what is rare is found in several steps, each of them quick. */
const SCAN_MAX = 5000
const SCAN_STEP = 1000

/** @returns `next` is null once there is nothing beyond; a search that looked far enough for one answer has one, too */
export async function readStatements(
  db: Db,
  sessionId: string,
  { order, after, search, limit }: SessionStatementsQuery,
  signal: AbortSignal,
): Promise<{ events: AuditEvent[]; next: number | null }> {
  const wanted = search?.toLowerCase()
  const step = wanted === undefined ? limit : SCAN_STEP
  const events: AuditEvent[] = []
  let from = after
  for (let scanned = 0; scanned < (wanted === undefined ? limit : SCAN_MAX);) {
    signal.throwIfAborted()
    const rows = await readStep(db, sessionId, order, from, step)
    scanned += rows.length
    for (const event of rows) {
      from = event.seq
      if (wanted === undefined || textOf(event).toLowerCase().includes(wanted)) events.push(event)
      if (events.length === limit) return { events, next: from }
    }
    if (rows.length < step) return { events, next: null }
  }
  return { events, next: from ?? null }
}

async function readStep(
  db: Db,
  sessionId: string,
  order: 'oldest' | 'newest',
  after: number | undefined,
  count: number,
): Promise<AuditEvent[]> {
  let rows = db
    .selectFrom('audit')
    .selectAll()
    .where('session_id', '=', sessionId)
    .where((where) => where.or(RAN.map((event) => where('event', 'like', event))))
  if (after !== undefined) rows = rows.where('seq', order === 'oldest' ? '>' : '<', after)
  const found = await rows
    .orderBy('seq', order === 'oldest' ? 'asc' : 'desc')
    .limit(count)
    .execute()
  return found.map(toEvent)
}

const textOf = ({ detail }: AuditEvent): string => (typeof detail['sql'] === 'string' ? detail['sql'] : '')
