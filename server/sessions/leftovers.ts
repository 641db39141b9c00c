// What a crash or a kill has left over of sessions is put right at the next start, before anybody connects (S9): sessions that
// run no more end as *restart*, and an end whose event did not reach the audit log is told there. Called by the owner.
import type { Kysely, Selectable } from 'kysely'
import type { AuditLog, Clock } from '../seams.ts'
import type { Tables } from '../store/schema.ts'

/** The event of an end follows its row at once; what is older than the newest event by more than this was told, in ms. */
const TOLD_WITHIN_MS = 600_000

type Row = Selectable<Tables['sessions']>
type Options = { db: Kysely<Tables>; audit: AuditLog; now: Clock }

/** @returns how many sessions were ended. Rejects if the store cannot take it: then nobody may connect. */
export async function endLeftovers({ db, audit, now }: Options): Promise<number> {
  const untold = await readUntoldEnds(db)
  const leftovers = await db.selectFrom('sessions').selectAll().where('state', '!=', 'ended').execute()
  await db
    .updateTable('sessions')
    .set({ state: 'ended', ended_at: now().toISOString(), end_reason: 'restart' })
    .where('state', '!=', 'ended')
    .execute()
  for (const row of [...untold, ...leftovers])
    audit.record({
      event: 'session.end',
      user: row.user_name,
      login: row.login_id,
      session: row.id,
      resource: row.resource,
      account: row.account,
      detail: {
        reason: row.end_reason ?? 'restart',
        ...(row.ended_by === null ? {} : { by: row.ended_by }),
        ...(row.end_why === null ? {} : { why: row.end_why }),
      },
    })
  await audit.flush()
  return leftovers.length
}

/** Sessions that have their end in their row but not in the log: the crash came in between. */
async function readUntoldEnds(db: Kysely<Tables>): Promise<Row[]> {
  const newest = await db.selectFrom('audit').select('time').orderBy('seq', 'desc').limit(1).executeTakeFirst()
  if (!newest) return []
  const since = new Date(new Date(newest.time).getTime() - TOLD_WITHIN_MS).toISOString()
  return await db
    .selectFrom('sessions')
    .selectAll()
    .where('state', '=', 'ended')
    .where('ended_at', '>=', since)
    .where((where) => {
      const told = where
        .selectFrom('audit')
        .select('audit.seq')
        .whereRef('audit.session_id', '=', 'sessions.id')
        .where('audit.event', '=', 'session.end')
      return where.not(where.exists(told))
    })
    .execute()
}
