// Looks at living sessions and ends those that may not go on: idle too long (I1, I2), past their longest duration, no longer
// allowed by roles and grants (S7, S8), unused after their login. Called by the owner: on deadlines, after changes, by the reaper.
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Kysely } from 'kysely'
import type { Logger } from 'pino'
import type { SessionEndReason } from '../../shared/session-api.ts'
import { formatDuration } from '../../shared/duration.ts'
import { PosternError } from '../../shared/errors.ts'
import type { AccessCheck, ControlHub } from '../seams.ts'
import type { Tables } from '../store/schema.ts'
import { causeOf, type EndCause } from './end-cause.ts'
import type { Clocks, Live } from './live-session.ts'
import { isGrantOver, isOverdue, msToDeadline } from './session-limits.ts'

/** So many sessions are looked up in the store at once. */
const AT_ONCE = 50
/** Longest time of one timer, in ms (Node's own limit is 2^31 - 1); the deadline is looked at again then. */
const LONGEST_TIMER_MS = 86_400_000

export type JudgeOptions = Clocks & {
  db: Kysely<Tables>
  access: Pick<AccessCheck, 'authoriseRoute'>
  control?: Pick<ControlHub, 'accessChanged'>
  living: () => Live[]
  end: (live: Live, cause: EndCause) => Promise<SessionEndReason>
  log: Logger
}

export interface Judge {
  /** Ends it when a clock reaches one of its limits. Called again whenever its limits may have changed. */
  watch(live: Live): void
  /** Ends, as *revoked*, all (or those of these people) whose route is not allowed any more; the others go on within the limits of now. */
  judgeAll(by?: string, users?: ReadonlySet<string> | 'all'): Promise<void>
  /** What the reaper does each time. */
  round(): Promise<void>
}

const GRANT_OVER = causeOf('expired', { why: 'the grant that allowed it has run out' })
const LOGIN_OVER = causeOf('expired', { why: 'it was not used any more when its login was over' })
/** Whoever can change the limit finds it by these words. */
const overdue = ({ limits: { maxDurationMs, maxDurationRole: role } }: Live): EndCause => {
  const by = role === null ? 'the access server (sessions.maxDuration)' : `the role ${role} (maxSessionDuration)`
  return causeOf('expired', {
    why: `its time limit of ${formatDuration(maxDurationMs ?? 0)} was reached, set by ${by}`,
  })
}
const idle = ({ limits: { idleTimeoutMs, idleTimeoutRole: role } }: Live): EndCause => {
  const by = role === null ? 'the access server (sessions.idleTimeout)' : `the role ${role} (idleTimeout)`
  const idleTime = formatDuration(idleTimeoutMs ?? 0)
  return causeOf('idle', { why: `nothing has moved on it for ${idleTime}, the longest idle time, set by ${by}` })
}

export function createJudge({ db, access, control, living, end, log, ...clocks }: JudgeOptions): Judge {
  const { now, monotonicMs } = clocks

  function watch(live: Live): void {
    clearTimeout(live.deadline)
    const waitMs = live.ended ? undefined : msToDeadline(live, monotonicMs(), now())
    if (waitMs === undefined) return
    live.deadline = setTimeout(() => void onDeadline(live), Math.min(waitMs, LONGEST_TIMER_MS))
    live.deadline.unref()
  }

  async function onDeadline(live: Live): Promise<void> {
    if (live.ended) return
    if (isOverdue(live, monotonicMs())) {
      await end(live, overdue(live))
      return
    }
    if (isGrantOver(live.limits, now())) {
      control?.accessChanged(new Set([live.route.user]))
      await judge(live, GRANT_OVER)
      // A store that could not be asked is asked again by the reaper.
      if (live.isUnjudged) return
    }
    watch(live)
  }

  /** By the roles and grants of now. A store that cannot be asked ends nothing: it is asked again. */
  async function judge(live: Live, cause: EndCause): Promise<void> {
    if (!(await isAllowed(live))) await end(live, cause)
  }

  /** Whether it may go on; then within the limits of now. */
  async function isAllowed(live: Live): Promise<boolean> {
    if (live.ended) return true
    try {
      const { limits } = await access.authoriseRoute(live.route.routeId)
      live.limits = limits
      live.isUnjudged = false
      watch(live)
    } catch (error) {
      if (error instanceof PosternError && (error.kind === 'denied' || error.kind === 'not_found')) return false
      live.isUnjudged = true
      log.error({ err: error, session: live.id }, 'it could not be looked up whether a session is still allowed')
    }
    return true
  }

  /** Unused, and the login of it is over: nobody can come back to it. */
  async function endUnusedOfEndedLogins(): Promise<void> {
    const unused = living().filter((live) => live.activity.connections === 0 && !live.ended)
    if (unused.length === 0) return
    const logins = [...new Set(unused.map((live) => live.route.loginId))]
    const ids: string[] = []
    for (let first = 0; first < logins.length; first += 500) {
      const rows = await db
        .selectFrom('logins')
        .select('id')
        .where('id', 'in', logins.slice(first, first + 500))
        .where((where) => where.or([where('expires_at', '<=', now().toISOString()), where('ended_at', 'is not', null)]))
        .execute()
      ids.push(...rows.map(({ id }) => id))
    }
    const over = new Set(ids)
    // Looked at again after the await: a connection may have come meanwhile.
    const stillUnused = unused.filter((live) => live.activity.connections === 0 && over.has(live.route.loginId))
    await Promise.all(stillUnused.map((live) => end(live, LOGIN_OVER)))
  }

  function isIdle(live: Live): boolean {
    live.activity.look()
    return live.limits.idleTimeoutMs !== null && live.activity.idleMs >= live.limits.idleTimeoutMs
  }

  return {
    watch,

    async judgeAll(by, users = 'all') {
      const all = living().filter(({ route }) => users === 'all' || users.has(route.user))
      const ends: Promise<unknown>[] = []
      for (let first = 0; first < all.length; first += AT_ONCE) {
        const some = all.slice(first, first + AT_ONCE)
        const allowed = await Promise.all(some.map(isAllowed))
        // Their ends are written while the next ones are looked up.
        for (const [at, live] of some.entries()) if (!allowed[at]) ends.push(end(live, causeOf('revoked', { by })))
        // SQLite answers without ever leaving the turn: whoever waits for bytes is let in between.
        await nextTurn()
      }
      await Promise.all(ends)
    },

    async round() {
      const ends: Promise<unknown>[] = []
      for (const live of living()) {
        if (live.ended) continue
        if (isOverdue(live, monotonicMs())) ends.push(end(live, overdue(live)))
        else if (isIdle(live)) ends.push(end(live, idle(live)))
        else if (isGrantOver(live.limits, now())) ends.push(judge(live, GRANT_OVER))
        else if (live.isUnjudged) ends.push(judge(live, causeOf('revoked')))
      }
      await Promise.all(ends)
      await endUnusedOfEndedLogins()
    },
  }
}
