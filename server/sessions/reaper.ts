// Looks at the sessions again and again (I2), and at grants that ran out since the last look: their people are told, whether they
// have a session or not. More often, what they moved is kept. One round at a time; a round that fails keeps no later one from
// running. Started and stopped with the server.
import type { Kysely } from 'kysely'
import type { Logger } from 'pino'
import type { Clock, ControlHub } from '../seams.ts'
import type { Tables } from '../store/schema.ts'
import type { Sessions } from './sessions.ts'

export type ReaperOptions = {
  sessions: Pick<Sessions, 'reap' | 'keepCounts'>
  control: Pick<ControlHub, 'accessChanged'>
  db: Kysely<Tables>
  now: Clock
  intervalMs: number
  log: Logger
}

/** What a crash may lose of a session's counts, in ms. */
const KEEP_COUNTS_EVERY_MS = 20_000
/** How long a stop waits for the rounds that run, in ms. */
const STOP_TIMEOUT_MS = 2000

export function startReaper(options: ReaperOptions): { stop(): Promise<void> } {
  const { sessions, control, db, now, intervalMs, log } = options
  let seenUntil = now()
  let isStopped = false

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

  const keepCounts = (): Promise<void> =>
    sessions.keepCounts().catch((error: unknown) => log.error({ err: error }, 'counts of sessions could not be kept'))

  const rounds = [
    { act: oneRound, everyMs: intervalMs },
    { act: keepCounts, everyMs: Math.min(intervalMs, KEEP_COUNTS_EVERY_MS) },
  ].map(({ act, everyMs }) => {
    const round: { timer: NodeJS.Timeout | undefined; running: Promise<void> } = {
      timer: undefined,
      running: Promise.resolve(),
    }
    const schedule = (): void => {
      round.timer = setTimeout(() => {
        round.running = act().then(() => {
          if (!isStopped) schedule()
        })
      }, everyMs)
      round.timer.unref()
    }
    schedule()
    return round
  })

  return {
    async stop() {
      isStopped = true
      for (const { timer } of rounds) clearTimeout(timer)
      const { promise: late, resolve } = Promise.withResolvers<undefined>()
      const deadline = setTimeout(() => resolve(undefined), STOP_TIMEOUT_MS)
      await Promise.race([Promise.all(rounds.map(({ running }) => running)), late])
      clearTimeout(deadline)
    },
  }
}
