// Looks at the sessions again and again (I2), and at grants that ran out since the last look: their people are told, whether they
// have a session or not. One round at a time; a round that fails keeps no later one from running. Started and stopped with the
// server.
import type { Kysely } from 'kysely'
import type { Logger } from 'pino'
import type { Clock, ControlHub } from '../seams.ts'
import type { Tables } from '../store/schema.ts'
import type { Sessions } from './sessions.ts'

export type ReaperOptions = {
  sessions: Pick<Sessions, 'reap'>
  control: Pick<ControlHub, 'accessChanged'>
  db: Kysely<Tables>
  now: Clock
  intervalMs: number
  log: Logger
}

/** How long a stop waits for the round that runs, in ms. */
const STOP_TIMEOUT_MS = 2000

export function startReaper(options: ReaperOptions): { stop(): Promise<void> } {
  const { sessions, control, db, now, intervalMs, log } = options
  let seenUntil = now()
  let isStopped = false
  let timer: NodeJS.Timeout | undefined
  let round = Promise.resolve()

  async function tellOfEndedGrants(): Promise<void> {
    const until = now()
    const rows = await db
      .selectFrom('grants')
      .select('user_name')
      .where('until', '>', seenUntil.toISOString())
      .where('until', '<=', until.toISOString())
      .execute()
    seenUntil = until
    if (rows.length > 0) control.accessChanged(new Set(rows.map((row) => row.user_name)))
  }

  async function oneRound(): Promise<void> {
    await sessions.reap().catch((error: unknown) => log.error({ err: error }, 'a round of the reaper failed'))
    await tellOfEndedGrants().catch((error: unknown) => log.error({ err: error }, 'grants could not be looked through'))
  }

  const schedule = (): void => {
    timer = setTimeout(() => {
      round = oneRound().then(() => {
        if (!isStopped) schedule()
      })
    }, intervalMs)
    timer.unref()
  }
  schedule()

  return {
    async stop() {
      isStopped = true
      clearTimeout(timer)
      const { promise: late, resolve } = Promise.withResolvers<undefined>()
      const deadline = setTimeout(() => resolve(undefined), STOP_TIMEOUT_MS)
      await Promise.race([round, late])
      clearTimeout(deadline)
    },
  }
}
