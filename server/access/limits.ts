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
  const duration = longest(roles, (limits) => limits?.maxSessionDuration, defaults.maxDurationMs)
  const idle = longest(roles, (limits) => limits?.idleTimeout, defaults.idleTimeoutMs)
  return {
    maxDurationMs: duration.ms,
    maxDurationRole: duration.role,
    idleTimeoutMs: idle.ms,
    idleTimeoutRole: idle.role,
    maxSessions: most(roles, (limits) => limits?.maxSessions),
    maxConnections: most(roles, (limits) => limits?.maxConnections),
    roles: roles.map(({ name }) => name),
  }
}

/** A limit of time, and the role that says it; null where none does. */
type TimeLimit = { ms: number | null; role: string | null }

/** No limit (null) beats all; a role that does not say it has the server's. */
function longest(
  roles: readonly RoleSpec[],
  read: (limits: RoleSpec['limits']) => string | undefined,
  fallback: number | null,
): TimeLimit {
  let found: TimeLimit | null = null
  for (const { name, limits } of roles) {
    const text = read(limits)
    const ms = text === undefined ? fallback : text === 'none' ? null : (parseDuration(text) ?? fallback)
    const limit = { ms, role: text === undefined ? null : name }
    if (ms === null) return limit
    if (found === null || found.ms === null || ms > found.ms) found = limit
  }
  return found ?? { ms: fallback, role: null }
}

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
