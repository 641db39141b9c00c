// One session that is not over, as its owner (sessions.ts) keeps it: starting → active → ending → ended. It changes state only
// there, in markActive and in ending.ts.
import type { AuditEntry, Clock, LiveSession, Route, SessionLimits } from '../seams.ts'
import type { SessionEndReason } from '../../shared/session-api.ts'
import { SessionActivity } from './activity.ts'
import type { EndCause } from './end-cause.ts'

export type Live = {
  readonly id: string
  readonly route: Route
  /** Where its first connection came from. */
  readonly address: string
  readonly startedAt: Date
  readonly startedAtMs: number
  readonly activity: SessionActivity
  /** Aborted with SessionEnded when it is over. */
  readonly controller: AbortController
  /** As that, one for each connection: to one signal that thousands listen to, each of them would be slow to add and to remove. */
  readonly holds: Set<AbortController>
  /** Its row is there. */
  registered: Promise<void>
  /** As its latest connection found them, or the latest judgement. */
  limits: SessionLimits
  state: 'starting' | 'active'
  activating: Promise<void> | undefined
  /** The strongest cause so far; it stands once its record is about to commit, or once clients were told. */
  cause: EndCause | undefined
  isCauseFinal: boolean
  /** From the first cause on; resolves with the result. */
  ended: Promise<SessionEndReason> | undefined
  /** A look at its access failed, and has to be taken again. */
  isUnjudged: boolean
  /** Its core answers no more: since when, and what had come from it by then. */
  inactive: { since: Date; bytesFromClient: number } | undefined
  /** Wakes its owner at the next limit that a clock reaches. */
  deadline: NodeJS.Timeout | undefined
}

export type Clocks = {
  now: Clock
  /** A clock that nobody sets, in ms. */
  monotonicMs: () => number
}

export function newLive(
  session: Pick<Live, 'id' | 'route' | 'address' | 'limits'>,
  { now, monotonicMs }: Clocks,
): Live {
  return {
    ...session,
    startedAt: now(),
    startedAtMs: monotonicMs(),
    activity: new SessionActivity(monotonicMs),
    controller: new AbortController(),
    holds: new Set(),
    registered: Promise.resolve(),
    state: 'starting',
    activating: undefined,
    cause: undefined,
    isCauseFinal: false,
    ended: undefined,
    isUnjudged: false,
    inactive: undefined,
    deadline: undefined,
  }
}

/** What the audit log says of it in every event. */
export const auditFields = ({ id, route }: Pick<Live, 'id' | 'route'>): Omit<AuditEntry, 'event'> => ({
  user: route.user,
  login: route.loginId,
  session: id,
  resource: route.resource,
  account: route.account,
})

/** What is known of it at this moment; a look at its activity. */
export function viewOf(live: Live, { now, monotonicMs }: Clocks): LiveSession {
  const { lastStatementAtMs, ...counts } = live.activity.look()
  const { inactive } = live
  const { maxDurationMs, idleTimeoutMs, until } = live.limits
  const nowMs = now().getTime()
  const { idleMs } = live.activity
  const ends = [
    ...(maxDurationMs === null ? [] : [nowMs + live.startedAtMs + maxDurationMs - monotonicMs()]),
    ...(until === null ? [] : [until.getTime()]),
  ]
  return {
    sessionId: live.id,
    inactiveSince: inactive?.bytesFromClient === counts.bytesFromClient ? inactive.since : null,
    ...counts,
    lastStatementAt: lastStatementAtMs === null ? null : new Date(lastStatementAtMs),
    lastActivityAt: new Date(nowMs - idleMs),
    endsAt: ends.length === 0 ? null : new Date(Math.min(...ends)),
    idleEndsAt: idleTimeoutMs === null ? null : new Date(nowMs - idleMs + idleTimeoutMs),
  }
}
