// The limits of a session as its owner enforces them (S7): refuses one connection or session too many by name, and says when a
// clock ends one. Which limits count is access/limits.ts' matter.
import { PosternError } from '../../shared/errors.ts'
import type { LimitedRoute, SessionLimits } from '../seams.ts'
import type { Live } from './live-session.ts'

/**
 * Refuses a session more than the person's role allows; those count that the same role allows, whatever their resource.
 * @throws PosternError `session_limit`
 */
export function requireRoomForSession({ route, limits }: LimitedRoute, living: Iterable<Live>): void {
  const limit = limits.maxSessions
  if (limit === null) return
  let count = 0
  for (const live of living) if (live.route.user === route.user && live.limits.roles.includes(limit.role)) count++
  if (count < limit.most) return
  throw new PosternError(
    'session_limit',
    `${route.user} has ${plural(count, 'session')} through the role ${limit.role} already, as many as it allows (maxSessions: ${limit.most}); end one of them (\`postern sessions ls\`), or close its gateway`,
  )
}

/** Refuses a connection more than the session may have at once. @throws PosternError `connection_limit` */
export function requireRoomForConnection(live: Live): void {
  const limit = live.limits.maxConnections
  if (limit === null || live.activity.connections < limit.most) return
  throw new PosternError(
    'connection_limit',
    `this session with ${live.route.resource} has ${plural(live.activity.connections, 'connection')} already, as many as the role ${limit.role} allows (maxConnections: ${limit.most}); close one of them first`,
  )
}

const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`

/** Whether its longest duration is over. */
export const isOverdue = (live: Live, monotonicMs: number): boolean =>
  live.limits.maxDurationMs !== null && monotonicMs - live.startedAtMs >= live.limits.maxDurationMs

/** Whether the last grant that allowed it has run out. */
export const isGrantOver = ({ until }: SessionLimits, now: Date): boolean => until !== null && until <= now

/** In how many ms a clock ends it, or undefined: duration and grant, not idleness, which the reaper looks at. */
export function msToDeadline(live: Live, monotonicMs: number, now: Date): number | undefined {
  const { maxDurationMs, until } = live.limits
  const ends = [
    ...(maxDurationMs === null ? [] : [live.startedAtMs + maxDurationMs - monotonicMs]),
    ...(until === null ? [] : [until.getTime() - now.getTime()]),
  ]
  return ends.length === 0 ? undefined : Math.max(0, Math.min(...ends))
}
