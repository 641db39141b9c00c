// How long the audit log is kept: deletes what is older than `audit.retention`, in small batches, and says so in the log itself.
// Started by start.ts where the setting is there; without it nothing is ever deleted.
import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { AuditLog, Clock } from '../seams.ts'
import type { Db } from '../store/store.ts'

/** How often it is looked, in ms; the first time is at the start. */
const INTERVAL_MS = 3_600_000
/** Rows of one DELETE: a few milliseconds of the store, so that nobody else waits for it. */
const BATCH_ROWS = 200
/** Between two of them, in ms. */
const PAUSE_MS = 20

export type RetentionOptions = { db: Db; audit: AuditLog; retentionMs: number; now: Clock; log: Logger }

/**
 * Looks at once and then every hour, until it is stopped. A store that fails is logged and looked at again the next time.
 * @returns what stops it; resolves when nothing is under way any more
 */
export function keepRetention(options: RetentionOptions): () => Promise<void> {
  const stopped = new AbortController()
  const work = (async () => {
    while (!stopped.signal.aborted) {
      await prune(options, stopped.signal).catch((error: unknown) =>
        options.log.error(
          { err: error },
          'old events of the audit log could not be deleted; it is tried again in an hour',
        ),
      )
      await delay(INTERVAL_MS, undefined, { signal: stopped.signal, ref: false }).catch(() => undefined)
    }
  })()
  return () => {
    stopped.abort()
    return work
  }
}

/** Deletes what is older than the retention at this moment, never what is younger. Returns how many events. */
export async function prune(
  { db, audit, retentionMs, now, log }: RetentionOptions,
  signal: AbortSignal,
): Promise<number> {
  const before = new Date(now().getTime() - retentionMs).toISOString()
  let deleted = 0
  let lastSeq = 0
  try {
    for (let isMore = true; isMore && !signal.aborted;) {
      const rows = await db
        .deleteFrom('audit')
        .where('seq', 'in', (audit) =>
          audit.selectFrom('audit').select('seq').where('time', '<', before).orderBy('time').limit(BATCH_ROWS),
        )
        .returning('seq')
        .execute()
      deleted += rows.length
      lastSeq = rows.reduce((highest, { seq }) => Math.max(highest, seq), lastSeq)
      isMore = rows.length === BATCH_ROWS
      if (isMore) await delay(PAUSE_MS)
    }
  } finally {
    // Also of a run that was broken off: what is gone is gone.
    if (deleted > 0) {
      audit.record({ event: 'audit.pruned', detail: { before, deleted, lastSeq } })
      log.info({ before, deleted }, 'old events of the audit log were deleted')
    }
  }
  if (deleted > 0) await audit.flush()
  return deleted
}
