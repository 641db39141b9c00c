// How rows of the audit log get into the store: the seam between the queue (audit-log.ts) and what writes. On PostgreSQL the
// store's own connections do it, which are asynchronous anyway; on SQLite a thread does (sqlite-row-writer.ts).
import { PostgresAdapter, sql, type Selectable } from 'kysely'
import type { Tables } from '../store/schema.ts'
import type { Db } from '../store/store.ts'

export type AuditRow = Omit<Selectable<Tables['audit']>, 'seq'>

export interface RowWriter {
  /** Writes all of the rows in their order, or none; resolves once they are committed. */
  write(rows: readonly AuditRow[]): Promise<void>
  /** Where a commit of the store may still be lost to a power cut: resolves when none up to now can be any more. */
  sync?(): Promise<void>
  /** Releases what it holds; nothing is written after it. Idempotent. */
  close(): Promise<void>
}

/**
 * Writes rows in a transaction of the store, as the last thing that it does. On PostgreSQL rows that others write meanwhile wait for
 * its end: a seq that is handed out before another one must be there before it, or followers would pass it by. SQLite has one writer.
 */
export async function writeInTransaction(trx: Db, rows: readonly AuditRow[]): Promise<void> {
  if (rows.length === 0) return
  if (trx.getExecutor().adapter instanceof PostgresAdapter)
    await sql`lock table audit in share row exclusive mode`.execute(trx)
  await trx.insertInto('audit').values(rows).execute()
}

/** Writes through the store that everybody uses. */
export const createStoreRowWriter = (db: Db): RowWriter => ({
  write: async (rows) => {
    await db.insertInto('audit').values(rows).execute()
  },
  close: () => Promise.resolve(),
})
