// Writes the ends of sessions: row and audit event, each with its true reason. Ends that come while one is being written share the
// next transaction and one flush of the log, so that a role which 2,000 sessions stood on takes a second and not three (S8).
// Called by session-records.ts.
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Kysely } from 'kysely'
import type { Logger } from 'pino'
import type { AuditLog } from '../seams.ts'
import type { Tables } from '../store/schema.ts'
import { causeOf, type EndCause } from './end-cause.ts'
import { auditFields, viewOf, type Clocks, type Live } from './live-session.ts'

/** Ends of one transaction: some 10 ms of the loop that moves bytes. */
const BATCH_ENDS = 100

type Waiting = { live: Live; resolve: (cause: EndCause) => void; reject: (error: unknown) => void }
type Written = { live: Live; cause: EndCause; isThere: boolean }
type Options = Clocks & { db: Kysely<Tables>; audit: AuditLog; log: Logger }

/**
 * @returns what writes one end with the strongest cause that has come until it commits; from then on the cause is final. Rejects with
 * the store's error: nothing is written then, or it is not known whether it was
 */
export function createEndRecords({ db, audit, log, ...clocks }: Options): (live: Live) => Promise<EndCause> {
  const queue: Waiting[] = []
  let isWriting = false

  async function writeAll(): Promise<void> {
    isWriting = true
    while (queue.length > 0) {
      const batch = queue.splice(0, BATCH_ENDS)
      try {
        tell(batch, await writeRows(db, batch, clocks))
      } catch (error) {
        for (const { reject } of batch) reject(error)
      }
      // SQLite answers without ever leaving the turn: whoever waits for bytes is let in between.
      if (queue.length > 0) await nextTurn()
    }
    isWriting = false
  }

  /** The log has them before anybody is told; it keeps what it cannot write yet, and tries again by itself. */
  function tell(batch: readonly Waiting[], written: readonly Written[]): void {
    for (const { live, cause, isThere } of written) {
      // It was never registered: nothing has begun that could end.
      if (!isThere) continue
      const { reason, by, why } = cause
      const detail = { reason, ...(by === null ? {} : { by }), ...(why === null ? {} : { why }) }
      audit.record({ event: 'session.end', ...auditFields(live), detail })
    }
    void audit
      .flush()
      .catch((error: unknown) => log.error({ err: error, ends: batch.length }, 'ends of sessions wait in the log'))
      .then(() => {
        for (const [at, { cause }] of written.entries()) batch[at]?.resolve(cause)
      })
  }

  return (live) => {
    const { promise, resolve, reject } = Promise.withResolvers<EndCause>()
    queue.push({ live, resolve, reject })
    if (!isWriting) void writeAll()
    return promise
  }
}

/** All of them in one transaction, in their order. */
function writeRows(db: Kysely<Tables>, batch: readonly Waiting[], clocks: Clocks): Promise<Written[]> {
  return db.transaction().execute(async (transaction) => {
    const written = new Map<Live, Written>()
    const isStale = (live: Live): boolean => written.get(live)?.cause !== live.cause
    // Stronger causes may come while rows are being written: what commits is the strongest.
    for (let stale = batch.map(({ live }) => live); stale.length > 0; stale = stale.filter(isStale))
      for (const live of stale) written.set(live, await writeRow(transaction, live, clocks))
    // What comes while the store commits comes too late: it cannot be in the record any more.
    for (const { live } of batch) live.isCauseFinal = true
    return batch.flatMap(({ live }) => written.get(live) ?? [])
  })
}

async function writeRow(transaction: Kysely<Tables>, live: Live, clocks: Clocks): Promise<Written> {
  const cause = (live.cause ??= causeOf('closed'))
  const view = viewOf(live, clocks)
  const { numUpdatedRows } = await transaction
    .updateTable('sessions')
    .set({
      state: 'ended',
      ended_at: clocks.now().toISOString(),
      end_reason: cause.reason,
      ended_by: cause.by,
      end_why: cause.why,
      connections_total: view.connectionsTotal,
      bytes_from_client: view.bytesFromClient,
      bytes_to_client: view.bytesToClient,
      statements: view.statements,
      last_activity_at: view.lastActivityAt.toISOString(),
      last_statement_at: view.lastStatementAt?.toISOString() ?? null,
    })
    .where('id', '=', live.id)
    .executeTakeFirstOrThrow()
  return { live, cause, isThere: numUpdatedRows > 0n }
}
