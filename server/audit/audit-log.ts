// The audit log (R5): entries in the order in which they were recorded, written in batches so that statements of busy
// connections share a transaction, searchable, and followed live by waiting readers.
import type { Kysely, Selectable } from 'kysely'
import type { Logger } from 'pino'
import { AuditEvent } from '../../shared/api.ts'
import type { Tables } from '../store/schema.ts'
import type { AuditEntry, AuditLog, AuditReader, Clock } from '../seams.ts'

/** How long an entry may wait for company before it is written, in ms. */
const BATCH_MS = 20
/** Rows of one INSERT: 10 columns each, well under SQLite's 32,766 and PostgreSQL's 65,535 parameters. */
const BATCH_ROWS = 500
/** How long to wait before a refused batch is tried again, in ms. Nothing is dropped meanwhile. */
const RETRY_MS = 1000

type Row = Omit<Selectable<Tables['audit']>, 'seq'>

export interface OwnedAuditLog extends AuditLog, AuditReader {
  /** Writes what waits and stops. */
  close(): Promise<void>
}

export function createAuditLog({ db, now, log }: { db: Kysely<Tables>; now: Clock; log: Logger }): OwnedAuditLog {
  let queue: Row[] = []
  let timer: NodeJS.Timeout | undefined
  let writing: Promise<void> | undefined
  const waiting = new Set<() => void>()

  const schedule = (delayMs: number) => {
    timer ??= setTimeout(() => {
      timer = undefined
      // A failure is logged in `write` and tried again by its own timer.
      void flush().catch(() => undefined)
    }, delayMs)
  }

  async function write(): Promise<void> {
    while (queue.length > 0) {
      const batch = queue.slice(0, BATCH_ROWS)
      try {
        await db.insertInto('audit').values(batch).execute()
      } catch (error) {
        log.error({ err: error, waiting: queue.length }, 'the audit log cannot be written; it is tried again')
        schedule(RETRY_MS)
        throw error
      }
      queue = queue.slice(batch.length)
    }
    for (const wake of waiting) wake()
  }

  function flush(): Promise<void> {
    if (writing) return writing.then(() => (queue.length > 0 ? flush() : undefined))
    if (queue.length === 0) return Promise.resolve()
    writing = write().finally(() => {
      writing = undefined
    })
    return writing
  }

  /** Resolves at the next written batch, after `waitMs`, or when the signal aborts. */
  const nextBatch = (waitMs: number, signal: AbortSignal) =>
    new Promise<void>((resolve) => {
      const settle = () => {
        clearTimeout(deadline)
        waiting.delete(settle)
        signal.removeEventListener('abort', settle)
        resolve()
      }
      const deadline = setTimeout(settle, waitMs)
      waiting.add(settle)
      signal.addEventListener('abort', settle, { once: true })
    })

  const select: AuditReader['query'] = async (query) => {
    let rows = db.selectFrom('audit').selectAll().limit(query.limit)
    if (query.user !== undefined) rows = rows.where('user_name', '=', query.user)
    if (query.session !== undefined) rows = rows.where('session_id', '=', query.session)
    if (query.resource !== undefined) rows = rows.where('resource', '=', query.resource)
    if (query.since !== undefined) rows = rows.where('time', '>=', new Date(query.since).toISOString())
    if (query.event !== undefined) {
      // `statement` finds statement.query, statement.execute and so on; a whole name finds itself.
      const event = query.event
      rows = rows.where((where) =>
        where.or([where('event', '=', event), where('event', 'like', `${event.replace(/[%_\\]/g, '')}.%`)]),
      )
    }
    if (query.after !== undefined)
      return (await rows.where('seq', '>', query.after).orderBy('seq', 'asc').execute()).map(toEvent)
    return (await rows.orderBy('seq', 'desc').execute()).reverse().map(toEvent)
  }

  return {
    record(entry) {
      queue.push(toRow(entry, now()))
      schedule(BATCH_MS)
    },
    flush,
    async query(query, signal) {
      const until = Date.now() + query.waitSeconds * 1000
      await flush()
      for (;;) {
        const events = await select(query, signal)
        const leftMs = until - Date.now()
        if (events.length > 0 || leftMs <= 0 || signal.aborted) return events
        await nextBatch(leftMs, signal)
      }
    },
    async close() {
      clearTimeout(timer)
      timer = undefined
      try {
        await flush()
      } finally {
        clearTimeout(timer)
      }
    },
  }
}

const toRow = (entry: AuditEntry, time: Date): Row => ({
  time: time.toISOString(),
  event: entry.event,
  user_name: entry.user ?? null,
  login_id: entry.login ?? null,
  session_id: entry.session ?? null,
  connection_id: entry.connection ?? null,
  resource: entry.resource ?? null,
  account: entry.account ?? null,
  address: entry.address ?? null,
  detail: JSON.stringify(entry.detail ?? {}),
})

const toEvent = (row: Selectable<Tables['audit']>): AuditEvent =>
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
