// The limits of roles and settings (S7, I2): which of several counts, what is refused, what is ended, and what is known of a session
// while it lives and after. Clocks are the test's; the store is real.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { DEFAULT_LIMITS, limitsOf } from '../../server/access/limits.ts'
import type { AuditEntry, SessionLimits } from '../../server/seams.ts'
import type { SessionLease, Sessions } from '../../server/sessions/sessions.ts'
import { RoleSpec } from '../../shared/admin-api.ts'
import { PosternError } from '../../shared/errors.ts'
import { limited, newSessionOwner, NO_LIMITS } from '../support/session-owner.ts'
import { freshStore } from '../support/store.ts'

const role = (name: string, limits?: RoleSpec['limits']): RoleSpec => RoleSpec.parse({ kind: 'role', name, limits })

describe('S7: of several roles that allow a route the most generous counts, limit by limit', () => {
  it('S7, I2: a role that says nothing has the defaults of the server, and no limit of numbers', () => {
    expect(limitsOf([role('dev')], DEFAULT_LIMITS)).toEqual({
      maxDurationMs: null,
      maxDurationRole: null,
      idleTimeoutMs: 30 * 60_000,
      idleTimeoutRole: null,
      maxSessions: null,
      maxConnections: null,
      roles: ['dev'],
    })
  })

  it('S7: the longer time, the larger number; none and nothing said are more than any', () => {
    const defaults = { maxDurationMs: 4 * 3_600_000, idleTimeoutMs: 60_000 }
    const strict = role('strict', { maxSessionDuration: '1h', idleTimeout: '10s', maxSessions: 1, maxConnections: 2 })
    const wide = role('wide', { maxSessionDuration: '8h', idleTimeout: 'none', maxSessions: 3, maxConnections: 2 })
    const both = { maxSessions: { most: 3, role: 'wide' }, maxConnections: { most: 2, role: 'strict' } }
    expect(limitsOf([strict, wide], defaults)).toEqual({
      maxDurationMs: 8 * 3_600_000,
      maxDurationRole: 'wide',
      idleTimeoutMs: null,
      idleTimeoutRole: 'wide',
      ...both,
      roles: ['strict', 'wide'],
    })
    expect(limitsOf([strict, role('dev')], defaults)).toMatchObject({
      maxDurationMs: 4 * 3_600_000,
      maxDurationRole: null,
      idleTimeoutMs: 60_000,
      idleTimeoutRole: null,
      maxSessions: null,
      maxConnections: null,
    })
  })

  it('E3: a limit that is none is named', () => {
    expect(() => role('dev', { idleTimeout: '8 hours' })).toThrow('this is neither a duration such as 30s')
    expect(() => role('dev', { maxSessions: 0 })).toThrow()
  })
})

describe('the owner of sessions', () => {
  let store: Awaited<ReturnType<typeof freshStore>>
  let sessions: Sessions
  let events: AuditEntry[]
  let told: ReadonlySet<string>[]
  let nowMs: number
  let judge: (routeId: string) => Promise<SessionLimits>

  beforeEach(async () => {
    store = await freshStore()
    events = []
    told = []
    nowMs = 1_000_000
    judge = () => Promise.resolve(NO_LIMITS)
    sessions = newSessionOwner({
      db: store.db,
      audit: { record: (entry) => void events.push(entry), flush: () => Promise.resolve() },
      access: {
        authoriseRoute: async (routeId) => ({
          ...limited({ routeId }, await judge(routeId)),
          resource: {} as never,
          databases: [],
        }),
      },
      control: { sessionEnded: () => undefined, accessChanged: (users) => void told.push(new Set(users)) },
      now: () => new Date(nowMs),
      monotonicMs: () => nowMs,
    })
  })
  afterEach(async () => {
    await sessions.endAll()
    await store.close()
  })

  const open = (limits: Partial<SessionLimits>, route = {}): Promise<SessionLease> =>
    sessions.open(limited(route, limits), '127.0.0.1:1')
  const reasonOf = ({ session }: SessionLease): unknown => session.signal.reason
  const aborted = ({ session: { signal } }: SessionLease): Promise<unknown> =>
    signal.aborted ? Promise.resolve() : new Promise((resolve) => signal.addEventListener('abort', resolve))

  it('S7: as many sessions at once as the role allows, over all resources; one that ended makes room', async () => {
    const limits = { maxSessions: { most: 2, role: 'dev' } }
    const first = await open(limits)
    await open(limits, { routeId: 'r-2', resource: 'stock' })
    await open({ roles: ['other'] }, { routeId: 'r-3' })
    await open(limits, { routeId: 'r-4', user: 'bob' })
    const refused = open(limits, { routeId: 'r-5', resource: 'third' })
    await expect(refused).rejects.toMatchObject({
      code: 'session_limit',
      message: expect.stringMatching(/^alice has 2 sessions through the role dev already.*maxSessions: 2/) as string,
    })
    // A connection more of a session that there is is no session more; and one that is not used any more still is one.
    first.release()
    await open(limits)
    await expect(open(limits, { routeId: 'r-5' })).rejects.toMatchObject({ code: 'session_limit' })
    await sessions.end(first.session.id, 'cancelled')
    expect((await open(limits, { routeId: 'r-5' })).isNew).toBe(true)
  })

  it('S7: when many come at once no more than that get in', async () => {
    const limits = { maxSessions: { most: 3, role: 'dev' } }
    const all = await Promise.allSettled(Array.from({ length: 20 }, (_, n) => open(limits, { routeId: `r-${n}` })))
    expect(all.filter(({ status }) => status === 'fulfilled')).toHaveLength(3)
    expect(await store.db.selectFrom('sessions').selectAll().execute()).toHaveLength(3)
  })

  it('S7: as many connections of a session as the role allows; one that is over makes room', async () => {
    const limits = { maxConnections: { most: 1, role: 'dev' } }
    const first = await open(limits)
    await expect(open(limits)).rejects.toMatchObject({
      code: 'connection_limit',
      message: expect.stringMatching(
        /^this session with orders has 1 connection already.*role dev.*maxConnections: 1/,
      ) as string,
    })
    first.release()
    expect((await open(limits)).session.id).toBe(first.session.id)
  })

  it('I2: idle is a session on none of whose connections a byte has moved in either direction', async () => {
    const limits = { idleTimeoutMs: 1000, idleTimeoutRole: 'readers' }
    const one = await open(limits)
    const other = await open(limits)
    for (let round = 0; round < 5; round++) {
      nowMs += 900
      // One way on one of them is enough, whichever.
      if (round % 2 === 0) one.progress.forward += 1
      else other.progress.backward += 1
      await sessions.reap()
      expect(one.session.signal.aborted).toBe(false)
    }
    nowMs += 999
    await sessions.reap()
    expect(one.session.signal.aborted).toBe(false)
    nowMs += 1
    await sessions.reap()
    const why = 'nothing has moved on it for 1s, the longest idle time, set by the role readers (idleTimeout)'
    expect(reasonOf(one)).toMatchObject({ reason: 'idle', why })
    // Its row says it too, for whoever looks later.
    expect(await store.db.selectFrom('sessions').select('end_why').execute()).toEqual([{ end_why: why }])
  })

  it('I2: a session without connections times out too, counted from the end of the last one', async () => {
    const held = await open({ idleTimeoutMs: 1000 })
    nowMs += 800
    held.progress.backward = 10
    held.release()
    nowMs += 900
    await sessions.reap()
    expect(held.session.signal.aborted).toBe(false)
    nowMs += 100
    await sessions.reap()
    expect(reasonOf(held)).toMatchObject({ reason: 'idle' })
  })

  it('I2: whoever sets the clock of the machine ends nothing by it', async () => {
    let wallMs = 5_000_000
    const owner = newSessionOwner({
      db: store.db,
      audit: { record: () => undefined, flush: () => Promise.resolve() },
      now: () => new Date(wallMs),
      monotonicMs: () => nowMs,
    })
    const held = await owner.open(
      limited({ routeId: 'r-9' }, { idleTimeoutMs: 1000, maxDurationMs: 60_000 }),
      '127.0.0.1:1',
    )
    wallMs += 86_400_000
    await owner.reap()
    expect(held.session.signal.aborted).toBe(false)
    expect(owner.live()[0]?.endsAt).toEqual(new Date(wallMs + 60_000))
    await owner.endAll()
  })

  it('S7: the longest duration ends a busy session when it is reached, not at a later round', async () => {
    const owner = newSessionOwner({
      db: store.db,
      audit: { record: (entry) => void events.push(entry), flush: () => Promise.resolve() },
    })
    const held = await owner.open(limited({}, { maxDurationMs: 50 }), '127.0.0.1:1')
    await aborted(held)
    expect(reasonOf(held)).toMatchObject({
      reason: 'expired',
      why: 'its time limit of 0s was reached, set by the access server (sessions.maxDuration)',
    })
    expect(events.at(-1)).toMatchObject({ event: 'session.end', detail: { reason: 'expired' } })
  })

  it('S8: a grant that runs out ends its sessions then and tells their person; one that was prolonged does not', async () => {
    judge = () => Promise.reject(new PosternError('resource_denied', 'not any more'))
    const held = await open({ until: new Date(nowMs + 30) })
    nowMs += 30
    await aborted(held)
    expect(reasonOf(held)).toMatchObject({ reason: 'expired', why: 'the grant that allowed it has run out' })
    expect(told).toEqual([new Set(['alice'])])
    let asked = 0
    judge = () => Promise.resolve({ ...NO_LIMITS, until: new Date(nowMs + 60_000 + asked++) })
    const prolonged = await open({ until: new Date(nowMs + 20) })
    nowMs += 20
    await vi.waitFor(() => expect(asked).toBe(1), { timeout: 10_000 })
    expect(prolonged.session.signal.aborted).toBe(false)
    expect(sessions.live()[0]?.endsAt).toEqual(new Date(nowMs + 60_000))
  })

  it('S8: a store that cannot be asked revokes nothing by that; it is asked again', async () => {
    const held = await open({})
    judge = () => Promise.reject(new Error('the store is gone'))
    await sessions.endDisallowed('root')
    await sessions.reap()
    expect(held.session.signal.aborted).toBe(false)
    judge = () => Promise.reject(new PosternError('account_denied', 'no'))
    await sessions.reap()
    expect(reasonOf(held)).toMatchObject({ reason: 'revoked' })
  })

  it('S7: a change of the limits counts for sessions that live', async () => {
    const held = await open({ idleTimeoutMs: 60_000 })
    judge = () => Promise.resolve({ ...NO_LIMITS, idleTimeoutMs: 1000 })
    await sessions.endDisallowed()
    nowMs += 1000
    await sessions.reap()
    expect(reasonOf(held)).toMatchObject({ reason: 'idle' })
  })

  it('S1: what it moved is known while it lives, over all of its connections, and kept with its end', async () => {
    const one = await open({ maxDurationMs: 60_000, idleTimeoutMs: 5000 })
    const startedMs = nowMs
    nowMs += 1000
    const two = await open({ maxDurationMs: 60_000, idleTimeoutMs: 5000 })
    Object.assign(one.progress, { forward: 10, backward: 100 })
    Object.assign(one.activity, { statements: 2, lastStatementAtMs: nowMs - 5 })
    one.release()
    one.release()
    nowMs += 1000
    Object.assign(two.progress, { forward: 1, backward: 2 })
    Object.assign(two.activity, { statements: 1, lastStatementAtMs: nowMs - 100 })
    const seen = {
      sessionId: one.session.id,
      inactiveSince: null,
      connections: 1,
      connectionsTotal: 2,
      bytesFromClient: 11,
      bytesToClient: 102,
      statements: 3,
      lastStatementAt: new Date(nowMs - 100),
      lastActivityAt: new Date(nowMs),
      endsAt: new Date(startedMs + 60_000),
      idleEndsAt: new Date(nowMs + 5000),
    }
    expect(sessions.live()).toEqual([seen])
    nowMs += 500
    expect(sessions.live()).toEqual([seen])
    expect(await sessions.end(one.session.id, 'terminated', 'root')).toBe('terminated')
    expect(sessions.live()).toEqual([])
    expect(await store.db.selectFrom('sessions').selectAll().execute()).toMatchObject([
      {
        state: 'ended',
        end_reason: 'terminated',
        ended_by: 'root',
        connections_total: 2,
        bytes_from_client: 11,
        bytes_to_client: 102,
        statements: 3,
        last_activity_at: new Date(nowMs - 500).toISOString(),
        last_statement_at: new Date(nowMs - 600).toISOString(),
      },
    ])
    expect(events.at(-1)).toMatchObject({ event: 'session.end', detail: { reason: 'terminated', by: 'root' } })
    expect(await store.db.selectFrom('sessions').select('end_why').execute()).toEqual([{ end_why: null }])
  })
})
