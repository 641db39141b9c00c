// Which limits the sessions of a route have (S7), as pure functions: each role that allows the route brings its own, and of
// several the most generous counts, limit by limit. Called by access-check.ts.
import type { RoleSpec } from '../../shared/admin-api.ts'
import { parseDuration } from '../../shared/duration.ts'
import type { RoleLimit, SessionLimits } from '../seams.ts'

/** What holds for a role that does not say it, in ms; null: no such limit. */
export type LimitDefaults = Pick<SessionLimits, 'maxDurationMs' | 'idleTimeoutMs'>

/** Of a server whose settings say nothing (I2). */
export const DEFAULT_LIMITS: LimitDefaults = { maxDurationMs: null, idleTimeoutMs: 30 * 60_000 }

/** @param roles that allow the route; at least one */
export function limitsOf(roles: readonly RoleSpec[], defaults: LimitDefaults): Omit<SessionLimits, 'until'> {
  return {
    maxDurationMs: longest(roles.map(({ limits }) => durationMs(limits?.maxSessionDuration, defaults.maxDurationMs))),
    idleTimeoutMs: longest(roles.map(({ limits }) => durationMs(limits?.idleTimeout, defaults.idleTimeoutMs))),
    maxSessions: most(roles, (limits) => limits?.maxSessions),
    maxConnections: most(roles, (limits) => limits?.maxConnections),
    roles: roles.map(({ name }) => name),
  }
}

function durationMs(text: string | undefined, fallback: number | null): number | null {
  if (text === undefined) return fallback
  return text === 'none' ? null : (parseDuration(text) ?? fallback)
}

/** No limit (null) beats all. */
const longest = (durations: readonly (number | null)[]): number | null =>
  durations.reduce((longer, ms) => (longer === null || ms === null ? null : Math.max(longer, ms)), 0)

/** A role that does not say it has no such limit. */
function most(roles: readonly RoleSpec[], read: (limits: RoleSpec['limits']) => number | undefined): RoleLimit | null {
  let found: RoleLimit | null = null
  for (const { name, limits } of roles) {
    const value = read(limits)
    if (value === undefined) return null
    if (found === null || value > found.most) found = { most: value, role: name }
  }
  return found
}
