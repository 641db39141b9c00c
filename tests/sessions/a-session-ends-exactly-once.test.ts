// The owner of sessions on a real store: one session per route, one end, the strongest cause, leftovers of a crash.
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import pino from 'pino'
import { createAuditLog, type OwnedAuditLog } from '../../server/audit/audit-log.ts'
import { SessionEnded } from '../../server/seams.ts'
import type { Sessions } from '../../server/sessions/sessions.ts'
import { SESSION_END_REASONS } from '../../shared/session-api.ts'
import { PosternError } from '../../shared/errors.ts'
import { auditEvents } from '../support/audit-events.ts'
import { limited, newSessionOwner, ROUTE } from '../support/session-owner.ts'
import { freshStore } from '../support/store.ts'

const log = pino({ level: 'silent' })
const route = ROUTE

let store: Awaited<ReturnType<typeof freshStore>>
let audit: OwnedAuditLog
let sessions: Sessions
let allowed: boolean

const build = () =>
  newSessionOwner({
    db: store.db,
    audit,
    access: {
      authoriseRoute: (routeId) =>
        allowed
          ? Promise.resolve({ ...limited({ routeId }), resource: {} as never, databases: [] })
          : Promise.reject(new PosternError('resource_denied', 'no')),
    },
  })

beforeEach(async () => {
  allowed = true
  store = await freshStore()
  audit = createAuditLog({ db: store.db, now: () => new Date(), log })
  sessions = build()
})
afterEach(async () => {
  await audit.close()
  await store.close()
})

const rows = () => store.db.selectFrom('sessions').selectAll().execute()
const ends = async () => (await auditEvents(store.db, audit)).filter((event) => event.event === 'session.end')

describe('sessions', () => {
  it('S5: is registered as starting before anything slow, and active only once the target was reached', async () => {
    const { session } = await sessions.open(limited(), '127.0.0.1:1')
    expect((await rows()).map((row) => row.state)).toEqual(['starting'])
    expect(sessions.isActive(session.id)).toBe(false)
    await session.markActive()
    expect((await rows()).map((row) => row.state)).toEqual(['active'])
    expect(sessions.isActive(session.id)).toBe(true)
  })

  it('S5: a session that ends while it becomes active is never called active after its end', async () => {
    const { session } = await sessions.open(limited(), '127.0.0.1:1')
    const [activated] = await Promise.allSettled([session.markActive(), sessions.end(session.id, 'cancelled')])
    expect(activated).toMatchObject({ status: 'rejected', reason: new SessionEnded('cancelled') })
    await audit.flush()
    const names = (await auditEvents(store.db, audit)).map((event) => event.event)
    expect(names).toEqual(['session.start', 'session.end'])
    expect(await rows()).toMatchObject([{ state: 'ended', end_reason: 'cancelled' }])
  })

  it('S1: connections of one route share one session, even when they come at once', async () => {
    const leases = await Promise.all(Array.from({ length: 20 }, () => sessions.open(limited(), '127.0.0.1:1')))
    expect(new Set(leases.map((lease) => lease.session.id)).size).toBe(1)
    expect(leases.filter((lease) => lease.isNew)).toHaveLength(1)
    expect(await rows()).toHaveLength(1)
  })

  it('S2: the end of a connection, even of the last one, does not end the session', async () => {
    const first = await sessions.open(limited(), '127.0.0.1:1')
    first.release()
    const second = await sessions.open(limited(), '127.0.0.1:2')
    expect(second.session.id).toBe(first.session.id)
    expect(second.session.signal.aborted).toBe(false)
  })

  it('S1: ends once with one record; every later caller gets the first result', async () => {
    const { session } = await sessions.open(limited(), '127.0.0.1:1')
    const results = await Promise.all([
      sessions.end(session.id, 'closed'),
      sessions.endRoute(route.routeId, 'closed'),
      sessions.end(session.id, 'closed'),
    ])
    expect(results).toEqual(['closed', session.id, 'closed'])
    expect(await sessions.end(session.id, 'cancelled')).toBe('closed')
    expect(await ends()).toHaveLength(1)
    expect(session.signal.reason).toEqual(new SessionEnded('closed'))
  })

  it('S1: of all causes that arrive before the record commits the strongest is recorded and told', async () => {
    for (const one of SESSION_END_REASONS) {
      for (const other of SESSION_END_REASONS) {
        const { session } = await sessions.open(limited({ routeId: `${one}-${other}` }), '127.0.0.1:1')
        const strongest = SESSION_END_REASONS.indexOf(one) <= SESSION_END_REASONS.indexOf(other) ? one : other
        expect(await Promise.all([sessions.end(session.id, one), sessions.end(session.id, other)])).toEqual([
          strongest,
          strongest,
        ])
        expect(session.signal.reason).toEqual(new SessionEnded(strongest))
        const row = await store.db
          .selectFrom('sessions')
          .select('end_reason')
          .where('id', '=', session.id)
          .executeTakeFirstOrThrow()
        expect(row.end_reason).toBe(strongest)
      }
    }
    expect(await ends()).toHaveLength(SESSION_END_REASONS.length ** 2)
  })

  it('S1: an ended session is final, the next connection opens a new one', async () => {
    const first = await sessions.open(limited(), '127.0.0.1:1')
    const [, second] = await Promise.all([
      sessions.end(first.session.id, 'cancelled'),
      sessions.open(limited(), '127.0.0.1:2'),
    ])
    expect(second.session.id).not.toBe(first.session.id)
    expect(second.session.signal.aborted).toBe(false)
    await expect(first.session.markActive()).rejects.toThrow(new SessionEnded('cancelled'))
    expect((await rows()).find((row) => row.id === first.session.id)?.state).toBe('ended')
  })

  it('S8: the end of a login, of a person, and of what the roles allow ends the sessions concerned and no others', async () => {
    const one = await sessions.open(limited(), '127.0.0.1:1')
    const two = await sessions.open(limited({ routeId: 'r-2', loginId: 'l-2' }), '127.0.0.1:1')
    const three = await sessions.open(limited({ routeId: 'r-3', loginId: 'l-3', user: 'bob' }), '127.0.0.1:1')
    await sessions.endLogin('l-1', 'revoked')
    expect([one, two, three].map((lease) => lease.session.signal.aborted)).toEqual([true, false, false])
    await sessions.endUser('alice', 'revoked')
    expect([two, three].map((lease) => lease.session.signal.aborted)).toEqual([true, false])
    await sessions.endDisallowed()
    expect(three.session.signal.aborted).toBe(false)
    allowed = false
    await sessions.endDisallowed()
    expect(three.session.signal.reason).toEqual(new SessionEnded('revoked'))
  })

  it('S9: what a crash left over ends as restart at the next start', async () => {
    const { session } = await sessions.open(limited(), '127.0.0.1:1')
    await session.markActive()
    const restarted = build()
    expect(await restarted.recover()).toBe(1)
    expect(await rows()).toMatchObject([{ state: 'ended', end_reason: 'restart' }])
    expect((await restarted.open(limited(), '127.0.0.1:1')).isNew).toBe(true)
  })

  it('S9: a session that nobody uses ends as expired once its login is over, one in use does not', async () => {
    const login = {
      address: '127.0.0.1:1',
      created_at: new Date(0).toISOString(),
      ended_at: null,
      ended_reason: null,
      user_name: 'alice',
    }
    await store.db
      .insertInto('users')
      .values({
        name: 'alice',
        email: null,
        level: 'none',
        disabled: 0,
        password_hash: null,
        totp_sealed: null,
        totp_pending_sealed: null,
        totp_last_step: 0,
        created_at: login.created_at,
      })
      .execute()
    await store.db
      .insertInto('logins')
      .values({ ...login, id: 'l-1', expires_at: new Date(1000).toISOString() })
      .execute()
    const held = await sessions.open(limited(), '127.0.0.1:1')
    await sessions.reap()
    expect(held.session.signal.aborted).toBe(false)
    held.release()
    await sessions.reap()
    expect(held.session.signal.reason).toMatchObject({ reason: 'expired' })
  })

  it('S5: a store that refuses the registration refuses the connection and leaves nothing behind', async () => {
    await store.db.schema.dropTable('sessions').execute()
    await expect(sessions.open(limited(), '127.0.0.1:1')).rejects.toThrow()
    await expect(sessions.open(limited(), '127.0.0.1:1')).rejects.toThrow()
  })
})
