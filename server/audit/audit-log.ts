// The audit log's writing side (R5): entries in the order in which they were recorded, written in batches so that statements of
// busy connections share a transaction. audit-reader.ts reads it.
import type { Kysely } from 'kysely'
import type { Logger } from 'pino'
import { storeTroubleOf, type StoreTrouble } from '../store/store-trouble.ts'
import type { Tables } from '../store/schema.ts'
import type { AuditEntry, BoundedAuditLog, Clock, TransactionalAuditLog } from '../seams.ts'
import { createStoreRowWriter, writeInTransaction, type AuditRow, type RowWriter } from './row-writer.ts'

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
  /** Why it was, where the store says it. */
  trouble: StoreTrouble | undefined
}

export interface OwnedAuditLog extends BoundedAuditLog, TransactionalAuditLog {
  /** Called after each batch that is in the store. Returns what ends it. */
  onWritten(listener: () => void): () => void
  state(): AuditLogState
  /** Writes what waits and stops. */
  close(): Promise<void>
}

export type AuditLogOptions = {
  /** Where transactions are; batches, too, unless there is a writer. */
  db: Kysely<Tables>
  /** Closed with the log. */
  writer?: RowWriter
  now: Clock
  log: Logger
}

export function createAuditLog({ db, now, log, writer = createStoreRowWriter(db) }: AuditLogOptions): OwnedAuditLog {
  let queue: AuditRow[] = []
  /** Entries that were ever recorded: `queue` holds the last of them. */
  let recorded = 0
  let timer: NodeJS.Timeout | undefined
  let writing: Promise<void> | undefined
  const count: Omit<AuditLogState, 'waiting'> = { written: 0, failures: 0, isFailing: false, trouble: undefined }
  const listeners = new Set<() => void>()
  const timeText = textOfTime()
  /** Transactions of others that wrote rows, and how many of those the disk has for sure. */
  let committed = 0
  let synced = 0

  const schedule = (delayMs: number) => {
    timer ??= setTimeout(() => {
      timer = undefined
      // A failure is logged in `write` and tried again by its own timer.
      void flush().catch(() => undefined)
    }, delayMs)
  }

  /** Up to the entry that is the last one now. What comes meanwhile waits for company of its own: small batches cost most. */
  async function write(): Promise<void> {
    const toSync = committed
    for (let left = queue.length; left > 0 || synced < toSync;) {
      const batch = queue.slice(0, Math.min(left, BATCH_ROWS))
      // Before it begins: a transaction that commits meanwhile is synced by a later one.
      const before = committed
      try {
        // A batch syncs whatever was committed before it.
        if (batch.length > 0) await writer.write(batch)
        else await writer.sync?.()
      } catch (error) {
        count.failures++
        count.isFailing = true
        count.trouble = storeTroubleOf(error)
        log.error({ err: error, waiting: queue.length }, 'the audit log cannot be written; it is tried again')
        schedule(RETRY_MS)
        throw error
      }
      synced = before
      left -= batch.length
      queue = queue.slice(batch.length)
      count.written += batch.length
      count.isFailing = false
    }
    if (queue.length > 0) schedule(BATCH_MS)
    for (const tell of [...listeners]) tell()
  }

  async function flush(): Promise<void> {
    const [upTo, toSync] = [recorded, committed]
    while (upTo > recorded - queue.length || synced < toSync)
      await (writing ??= write().finally(() => {
        writing = undefined
      }))
  }

  return {
    record(entry) {
      queue.push(toRow(entry, timeText(now())))
      recorded++
      schedule(BATCH_MS)
    },
    flush,
    async transaction(change, recordsOf) {
      // What cannot be written now comes later in the log; the change has its own try.
      await flush().catch(() => undefined)
      const { outcome, rows } = await db.transaction().execute(async (trx) => {
        const outcome = await change(trx)
        const rows = recordsOf(outcome).map((entry) => toRow(entry, timeText(now())))
        await writeInTransaction(trx, rows)
        return { outcome, rows: rows.length }
      })
      if (rows > 0) {
        count.written += rows
        committed++
        // Followers are told by the next flush, whoever asks for it.
        schedule(BATCH_MS)
      }
      return outcome
    },
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
        // What is recorded while others stop, too.
        do await flush()
        while (queue.length > 0 || synced < committed)
      } finally {
        clearTimeout(timer)
        await writer.close()
      }
    },
  }
}

/** Times as they stand in the log; made once for all entries of a millisecond, which a busy connection fills. */
function textOfTime(): (time: Date) => string {
  let last = { ms: NaN, text: '' }
  return (time) => {
    const ms = time.getTime()
    if (ms !== last.ms) last = { ms, text: time.toISOString() }
    return last.text
  }
}

const toRow = (entry: AuditEntry, time: string): AuditRow => ({
  time,
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
