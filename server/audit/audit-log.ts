// The audit log's writing side (R5): entries in the order in which they were recorded, written in batches so that statements of
// busy connections share a transaction. audit-reader.ts reads it.
import type { Kysely } from 'kysely'
import type { Logger } from 'pino'
import type { Tables } from '../store/schema.ts'
import type { AuditEntry, BoundedAuditLog, Clock } from '../seams.ts'
import { createStoreRowWriter, type AuditRow, type RowWriter } from './row-writer.ts'

/** How long an entry may wait for company before it is written, in ms: each batch costs the disk one flush. */
const BATCH_MS = 100
/** Rows of one batch: 10 columns each, well under SQLite's 32,766 and PostgreSQL's 65,535 parameters. */
const BATCH_ROWS = 1000
/** So many entries may wait before those who make statements have to wait too; some 10 MB of short statements. */
const MAX_WAITING = 20_000
/** How long to wait before a refused batch is tried again, in ms. Nothing is dropped meanwhile. */
const RETRY_MS = 1000

/** How the writing goes, for metrics and readiness. */
export type AuditLogState = {
  /** Entries that are recorded and not yet in the store. */
  waiting: number
  /** Entries that this process has written. */
  written: number
  /** Batches that the store refused. */
  failures: number
  /** The latest batch was refused. */
  isFailing: boolean
}

export interface OwnedAuditLog extends BoundedAuditLog {
  /** Called after each batch that is in the store. Returns what ends it. */
  onWritten(listener: () => void): () => void
  state(): AuditLogState
  /** Writes what waits and stops. */
  close(): Promise<void>
}

export type AuditLogOptions = {
  /** Written to unless there is a writer. */
  db: Kysely<Tables>
  /** Closed with the log. */
  writer?: RowWriter
  now: Clock
  log: Logger
}

export function createAuditLog({ db, now, log, writer = createStoreRowWriter(db) }: AuditLogOptions): OwnedAuditLog {
  let queue: AuditRow[] = []
  let timer: NodeJS.Timeout | undefined
  let writing: Promise<void> | undefined
  const count = { written: 0, failures: 0, isFailing: false }
  const listeners = new Set<() => void>()

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
        await writer.write(batch)
      } catch (error) {
        count.failures++
        count.isFailing = true
        log.error({ err: error, waiting: queue.length }, 'the audit log cannot be written; it is tried again')
        schedule(RETRY_MS)
        throw error
      }
      queue = queue.slice(batch.length)
      count.written += batch.length
      count.isFailing = false
    }
    for (const tell of [...listeners]) tell()
  }

  function flush(): Promise<void> {
    if (writing) return writing.then(() => (queue.length > 0 ? flush() : undefined))
    if (queue.length === 0) return Promise.resolve()
    writing = write().finally(() => {
      writing = undefined
    })
    return writing
  }

  return {
    record(entry) {
      queue.push(toRow(entry, now()))
      schedule(BATCH_MS)
    },
    flush,
    room: () => (queue.length < MAX_WAITING ? undefined : flush()),
    onWritten(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    state: () => ({ waiting: queue.length, ...count }),
    async close() {
      clearTimeout(timer)
      timer = undefined
      try {
        await flush()
      } finally {
        clearTimeout(timer)
        await writer.close()
      }
    },
  }
}

const toRow = (entry: AuditEntry, time: Date): AuditRow => ({
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
