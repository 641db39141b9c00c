// The audit log's reading side (R5): searched, paged and followed live by waiting readers. Called by the web API.
//
// Followers miss nothing and get nothing twice because one process writes, in the order of `seq`: what is in the store up to the
// highest seq is all that there will ever be up to it.
import type { Selectable } from 'kysely'
import { AuditEvent, type AuditQuery } from '../../shared/audit-api.ts'
import type { AuditReader } from '../seams.ts'
import type { Tables } from '../store/schema.ts'
import type { Db } from '../store/store.ts'
import type { OwnedAuditLog } from './audit-log.ts'

/** Rows asked of the store at once: it must not hand out a thousand long statements in one piece. */
const CHUNK_ROWS = 100
/** An answer ends after this many characters of detail; clients take 3 MiB, and a character may be three bytes. */
const ANSWER_MAX_CHARACTERS = 512 * 1024

type Row = Selectable<Tables['audit']>
type Filter = Omit<AuditQuery, 'after' | 'limit' | 'waitSeconds'>
type Found = { rows: Row[]; isCut: boolean }

export function createAuditReader({
  db,
  audit,
}: {
  db: Db
  audit: Pick<OwnedAuditLog, 'flush' | 'onWritten'>
}): AuditReader {
  async function lastSeq(): Promise<number> {
    const row = await db
      .selectFrom('audit')
      .select(({ fn }) => fn.max('seq').as('seq'))
      .executeTakeFirst()
    return row?.seq ?? 0
  }

  const matching = (filter: Filter) => {
    let rows = db.selectFrom('audit').selectAll()
    if (filter.user !== undefined) rows = rows.where('user_name', '=', filter.user)
    if (filter.login !== undefined) rows = rows.where('login_id', '=', filter.login)
    if (filter.session !== undefined) rows = rows.where('session_id', '=', filter.session)
    if (filter.resource !== undefined) rows = rows.where('resource', '=', filter.resource)
    if (filter.account !== undefined) rows = rows.where('account', '=', filter.account)
    if (filter.since !== undefined) rows = rows.where('time', '>=', new Date(filter.since).toISOString())
    if (filter.until !== undefined) rows = rows.where('time', '<', new Date(filter.until).toISOString())
    if (filter.event !== undefined) {
      // `statement` finds statement.query, statement.execute and so on; a whole name finds itself.
      const event = filter.event
      rows = rows.where((where) =>
        where.or([where('event', '=', event), where('event', 'like', `${event.replace(/[%_\\]/g, '')}.%`)]),
      )
    }
    return rows
  }

  /** Reads in chunks until there are `limit` rows, or they are long enough for one answer; in the order of `read`. */
  async function gather(limit: number, read: (count: number, last: Row | undefined) => Promise<Row[]>): Promise<Found> {
    const rows: Row[] = []
    for (let characters = 0; rows.length < limit;) {
      const wanted = Math.min(CHUNK_ROWS, limit - rows.length)
      const chunk = await read(wanted, rows.at(-1))
      for (const row of chunk) {
        characters += row.detail.length
        if (characters > ANSWER_MAX_CHARACTERS && rows.length > 0) return { rows, isCut: true }
        rows.push(row)
      }
      if (chunk.length < wanted) return { rows, isCut: false }
    }
    return { rows, isCut: true }
  }

  /** The oldest after a seq, up to another one. */
  const readOn = (filter: Filter, limit: number, after: number, upTo: number): Promise<Found> =>
    gather(limit, (count, last) =>
      matching(filter)
        .where('seq', '>', last?.seq ?? after)
        .where('seq', '<=', upTo)
        .orderBy('seq', 'asc')
        .limit(count)
        .execute(),
    )

  /** The newest up to a seq, oldest first. */
  async function readNewest(filter: Filter, limit: number, upTo: number): Promise<Row[]> {
    const { rows } = await gather(limit, (count, last) =>
      matching(filter)
        .where('seq', '<=', last === undefined ? upTo : last.seq - 1)
        .orderBy('seq', 'desc')
        .limit(count)
        .execute(),
    )
    return rows.reverse()
  }

  return {
    async query({ after: wantedAfter, limit, waitSeconds, ...filter }, signal) {
      const deadline = Date.now() + waitSeconds * 1000
      await audit.flush()
      for (let after = wantedAfter; ;) {
        // Before the look at the store: what is written in between must not be slept through.
        const next = nextWritten(audit)
        try {
          const upTo = Math.max(await lastSeq(), after ?? 0)
          const found =
            after === undefined
              ? { rows: await readNewest(filter, limit, upTo), isCut: false }
              : await readOn(filter, limit, after, upTo)
          const leftMs = deadline - Date.now()
          if (found.rows.length > 0 || leftMs <= 0 || signal.aborted) {
            const lookedUpTo = found.isCut ? (found.rows.at(-1)?.seq ?? upTo) : upTo
            return { events: found.rows.map(toEvent), upTo: lookedUpTo, more: lookedUpTo < upTo }
          }
          after = upTo
          await next.within(leftMs, signal)
        } finally {
          next.forget()
        }
      }
    },
  }
}

/** The next written batch, from this moment on. */
function nextWritten(audit: Pick<OwnedAuditLog, 'onWritten'>) {
  const { promise, resolve } = Promise.withResolvers<undefined>()
  const wake = () => resolve(undefined)
  const forget = audit.onWritten(wake)
  return {
    forget,
    /** Resolves at it, after `waitMs`, or when the signal aborts. */
    async within(waitMs: number, signal: AbortSignal): Promise<void> {
      const timer = setTimeout(wake, waitMs)
      signal.addEventListener('abort', wake, { once: true })
      if (signal.aborted) wake()
      await promise
      clearTimeout(timer)
      signal.removeEventListener('abort', wake)
    },
  }
}

/** A row of the log as readers see it. @throws if the row is none of ours */
export const toEvent = (row: Row): AuditEvent =>
  AuditEvent.parse({
    seq: row.seq,
    time: row.time,
    event: row.event,
    user: row.user_name,
    login: row.login_id,
    session: row.session_id,
    connection: row.connection_id,
    resource: row.resource,
    account: row.account,
    address: row.address,
    detail: JSON.parse(row.detail) as unknown,
  })
