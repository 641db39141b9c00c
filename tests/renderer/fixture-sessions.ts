// Sessions for the fixture host: a few of every kind with people's names for things, what one of them ran, and answers to the calls
// about them. Used by renderer tests.
import type { AuditEvent } from '../../shared/audit-api.ts'
import type { SessionView } from '../../shared/session-api.ts'
import { PosternError } from '../../shared/errors.ts'
import type { EventPayload } from '../../shared/rpc.ts'
import type { FixtureHost, Responder } from './fixture-host.ts'

const MINUTE = 60_000
const iso = (offsetMs: number): string => new Date(Date.now() + offsetMs).toISOString()
const idOf = (number: number): string => `${number.toString(16).padStart(8, '0')}-3c1d-4b8e-9f20-5d7a1c0e4b6f`

/** A live session; `part` over it. */
export function session(number: number, part: Partial<SessionView> = {}): SessionView {
  return {
    id: idOf(0x3f2a91b0 + number),
    user: 'alice',
    resource: 'orders',
    protocol: 'postgres',
    account: 'app_rw',
    address: '10.4.1.17:51234',
    state: 'active',
    startedAt: iso(-(number + 1) * 17 * MINUTE),
    activeAt: iso(-(number + 1) * 17 * MINUTE + 40),
    endedAt: null,
    endReason: null,
    endedBy: null,
    connections: 3,
    connectionsTotal: 7,
    bytesFromClient: 96_300,
    bytesToClient: 1_842_000,
    lastActivityAt: iso(-1000),
    lastStatementAt: iso(-9000),
    statements: 42,
    endsAt: iso(7 * 60 * MINUTE),
    idleEndsAt: iso(29 * MINUTE),
    inactiveSince: null,
    endWhy: null,
    ...part,
  }
}

/** One that is over. */
export const endedSession = (
  number: number,
  endReason: string,
  endedBy: string | null,
  part: Partial<SessionView> = {},
): SessionView =>
  session(number, {
    ...{ state: 'ended', endedAt: iso(-number * MINUTE), endReason, endedBy, connections: 0 },
    ...{ endsAt: null, idleEndsAt: null },
    ...part,
  })

export const demoSessions = (): SessionView[] => [
  session(0),
  session(1, { resource: 'billing-replica', account: 'analyst', connections: 1, lastActivityAt: iso(-12 * MINUTE) }),
  session(2, {
    ...{ user: 'bob', resource: 'build-cache', protocol: 'tcp', account: 'tcp', statements: 0, lastStatementAt: null },
    ...{ endsAt: null, idleEndsAt: null, bytesToClient: 2_410_000_000 },
  }),
  session(3, { user: 'carol', resource: 'analytics', account: 'analyst', state: 'starting', connections: 1 }),
  endedSession(4, 'terminated', 'root', { user: 'bob', resource: 'warehouse', account: 'etl' }),
  endedSession(5, 'idle', null, { resource: 'hr', account: 'hr_ro' }),
  session(6, { user: 'مريم', resource: 'مستودع-البيانات', account: 'قراءة', connections: 0 }),
]

export function statementEvent(seq: number, sql: string, part: Record<string, unknown> = {}): AuditEvent {
  return {
    ...{ seq, time: iso(-(200 - seq) * 9000), event: 'statement.query', user: 'alice', login: 'l-1' },
    ...{ session: idOf(0x3f2a91b0), connection: 'c0ffee01-0000-4000-8000-000000000000' },
    ...{ resource: 'orders', account: 'app_rw', address: '10.4.1.17:51234' },
    detail: { sql, outcomes: [{ outcome: 'completed', tag: 'SELECT 12', rows: 12 }], durationMs: 3.2, ...part },
  }
}

export const demoStatements = (): AuditEvent[] => [
  statementEvent(120, 'select id, customer, total from orders where state = $1 order by created_at desc limit 50', {
    ...{ outcomes: [{ outcome: 'completed', tag: 'SELECT 50', rows: 50 }], durationMs: 12.4 },
  }),
  statementEvent(119, 'update orders set state = $1 where id = 118423', {
    ...{ outcomes: [{ outcome: 'completed', tag: 'UPDATE 1', rows: 1 }], durationMs: 1.9 },
  }),
  statementEvent(118, 'delete from orders_archive where created_at < now() - interval $1', {
    outcomes: [{ outcome: 'error', code: '42501', class: 'insufficient privilege', severity: 'ERROR' }],
    durationMs: 0.4,
  }),
  statementEvent(
    117,
    `with spent as (\n  select customer, sum(total) as total\n  from orders\n  where created_at >= date_trunc('month', now())\n  group by customer\n)\nselect customer, total, rank() over (order by total desc)\nfrom spent\nwhere total > 1000\norder by total desc\nlimit 100`,
    { outcomes: [{ outcome: 'completed', tag: 'SELECT 100', rows: 100 }], durationMs: 1843 },
  ),
  statementEvent(116, 'begin', { outcomes: [{ outcome: 'completed', tag: 'BEGIN' }], durationMs: 0.1 }),
]

/** Sends a watch its first update, and answers the other calls about sessions; undefined for any other call. */
export function respondSessions(
  sessions: () => readonly SessionView[],
  statements: () => readonly AuditEvent[] = demoStatements,
): Responder {
  return (method, params, host) => {
    const asked = Object(params) as Record<string, unknown>
    switch (method) {
      case 'sessions.watch': {
        const { watch, session: one, scope, state } = asked
        const found = sessions().filter(
          (view) =>
            (one === undefined || view.id === one) &&
            (one !== undefined || scope === 'all' || view.user === 'alice') &&
            (one !== undefined || state !== 'ended' || view.state === 'ended'),
        )
        setImmediate(() => tellSessions(host, { watch: String(watch), isWhole: true, sessions: [...found] }))
        return { profile: 'acme-prod' }
      }
      case 'sessions.unwatch':
        return {}
      case 'sessions.end':
        return { reason: 'cancelled' }
      case 'sessions.statements': {
        const search = typeof asked['search'] === 'string' ? asked['search'].toLowerCase() : ''
        const events = statements().filter(({ detail }) => String(detail['sql']).toLowerCase().includes(search))
        return { events, next: null }
      }
      default:
        return undefined
    }
  }
}

/** An update of a watch, `ready` and a part if it does not say otherwise. */
export function tellSessions(host: FixtureHost, update: Partial<EventPayload<'sessions.updated'>>): void {
  host.event('sessions.updated', {
    ...{ watch: '', profile: 'acme-prod', status: 'ready', error: null, isWhole: false, sessions: [], removed: [] },
    ...{ hasMore: false, asOf: new Date().toISOString() },
    ...update,
  })
}

/** The name of the page's newest watch of that kind. */
export function newestWatch(host: FixtureHost): string {
  const call = host.calls.filter(({ method }) => method === 'sessions.watch').at(-1)
  return String(Object(call?.params)['watch'])
}

export const expired = (): PosternError => new PosternError('login_expired', 'your login to acme-prod has expired')
