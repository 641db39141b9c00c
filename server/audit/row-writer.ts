// How rows of the audit log get into the store: the seam between the queue (audit-log.ts) and what writes. On PostgreSQL the
// store's own connections do it, which are asynchronous anyway; on SQLite a thread does (sqlite-row-writer.ts).
import type { Selectable } from 'kysely'
import type { Tables } from '../store/schema.ts'
import type { Db } from '../store/store.ts'

export type AuditRow = Omit<Selectable<Tables['audit']>, 'seq'>

export interface RowWriter {
  /** Writes all of the rows in their order, or none; resolves once they are committed. */
  write(rows: readonly AuditRow[]): Promise<void>
  /** Releases what it holds; nothing is written after it. Idempotent. */
  close(): Promise<void>
}

/** Writes through the store that everybody uses. */
export const createStoreRowWriter = (db: Db): RowWriter => ({
  write: async (rows) => {
    await db.insertInto('audit').values(rows).execute()
  },
  close: () => Promise.resolve(),
})
