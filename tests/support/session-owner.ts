// An owner of sessions as the server makes it, on whatever store, with access that the test decides. Used by tests of sessions.
import pino from 'pino'
import type { LimitedRoute, Route, SessionLimits } from '../../server/seams.ts'
import { createSessions, type Sessions, type SessionsOptions } from '../../server/sessions/sessions.ts'

export const ROUTE: Route = {
  routeId: 'r-1',
  loginId: 'l-1',
  user: 'alice',
  resource: 'orders',
  protocol: 'postgres',
  account: 'reader',
}

export const NO_LIMITS: SessionLimits = {
  maxDurationMs: null,
  maxDurationRole: null,
  idleTimeoutMs: null,
  idleTimeoutRole: null,
  maxSessions: null,
  maxConnections: null,
  until: null,
  roles: ['dev'],
}

/** A route that may be used, by default without limits. */
export const limited = (route: Partial<Route> = {}, limits: Partial<SessionLimits> = {}): LimitedRoute => ({
  route: { ...ROUTE, ...route },
  limits: { ...NO_LIMITS, ...limits },
})

/** The owner on this store and log; everything is allowed unless the test says something else. */
export function newSessionOwner(options: Pick<SessionsOptions, 'db' | 'audit'> & Partial<SessionsOptions>): Sessions {
  let count = 0
  return createSessions({
    access: {
      authoriseRoute: (routeId) => Promise.resolve({ ...limited({ routeId }), resource: {} as never, databases: [] }),
    },
    now: () => new Date(),
    monotonicMs: () => performance.now(),
    newId: () => `s-${++count}-${Math.random().toString(36).slice(2)}`,
    log: pino({ level: 'silent' }),
    ...options,
  })
}
