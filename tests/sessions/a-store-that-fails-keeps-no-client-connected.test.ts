// The end of a session on a store that refuses, hangs, or was cut off in the middle: the clients are told within a bound, the record
// comes later, once, with the reason that they were told.
import type { Kysely } from 'kysely'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { AuditEntry } from '../../server/seams.ts'
import type { Sessions } from '../../server/sessions/sessions.ts'
import type { Tables } from '../../server/store/schema.ts'
import { noSteps, openScheduledStore, type StoreSteps } from '../support/scheduled-store.ts'
import { limited, newSessionOwner, ROUTE } from '../support/session-owner.ts'

let steps: StoreSteps
let db: Kysely<Tables>
let events: AuditEntry[]
let sessions: Sessions
const audit = { record: (entry: AuditEntry) => void events.push(entry), flush: () => Promise.resolve() }
beforeEach(async () => {
  steps = noSteps()
  db = await openScheduledStore(steps)
  events = []
  sessions = newSessionOwner({ db, audit, recordTimeoutMs: 50 })
})
afterEach(() => db.destroy())

const ends = () => events.filter(({ event }) => event === 'session.end').map(({ detail }) => detail?.['reason'])
const rows = () => db.selectFrom('sessions').select(['state', 'end_reason']).execute()

it('S9: a store that refuses the end keeps nobody connected; the reaper writes it later, once', async () => {
  const { session } = await sessions.open(limited(), '127.0.0.1:1')
  steps.refusals = 1
  expect(await sessions.end(session.id, 'cancelled')).toBe('cancelled')
  expect(session.signal.reason).toMatchObject({ reason: 'cancelled' })
  expect(sessions.live()).toEqual([])
  expect(await rows()).toEqual([{ state: 'starting', end_reason: null }])
  expect(ends()).toEqual([])
  // Whoever comes after has the first result, on record or not.
  expect(await sessions.end(session.id, 'terminated')).toBe('cancelled')
  await sessions.reap()
  await sessions.reap()
  expect(await rows()).toEqual([{ state: 'ended', end_reason: 'cancelled' }])
  expect(ends()).toEqual(['cancelled'])
})

it('S9, S4: a store that hangs keeps nobody connected either; what it writes in the end is what clients were told', async () => {
  const { session } = await sessions.open(limited(), '127.0.0.1:1')
  const { promise: answer, resolve } = Promise.withResolvers<undefined>()
  steps.step = () => answer
  expect(await sessions.end(session.id, 'idle')).toBe('idle')
  expect(session.signal.reason).toMatchObject({ reason: 'idle' })
  // A stronger cause comes too late: clients were told.
  expect(await sessions.end(session.id, 'cancelled')).toBe('idle')
  resolve(undefined)
  await sessions.reap()
  expect(await rows()).toEqual([{ state: 'ended', end_reason: 'idle' }])
  expect(ends()).toEqual(['idle'])
})

it('S9: the route of an end that is not on record yet waits for the record, and then opens a new session', async () => {
  const first = await sessions.open(limited(), '127.0.0.1:1')
  steps.refusals = 2
  await sessions.end(first.session.id, 'closed')
  await expect(sessions.open(limited(), '127.0.0.1:2')).rejects.toThrow('the store refuses')
  const second = await sessions.open(limited(), '127.0.0.1:3')
  expect(second.isNew).toBe(true)
  expect(ends()).toEqual(['closed'])
})

it('S5, S9: a registration that fails half-way leaves no row that keeps the route closed', async () => {
  let isRefusing = true
  const owner = newSessionOwner({
    db,
    audit: {
      ...audit,
      flush: () => (isRefusing ? Promise.reject(new Error('the log refuses')) : Promise.resolve()),
    },
  })
  await expect(owner.open(limited(), '127.0.0.1:1')).rejects.toThrow('the log refuses')
  isRefusing = false
  const { isNew } = await owner.open(limited(), '127.0.0.1:1')
  expect(isNew).toBe(true)
  expect(owner.live()).toHaveLength(1)
  expect(ends()).toEqual(['closed'])
})

it('S5: a store that refuses "active" leaves the session starting, and the next connection makes it active', async () => {
  const { session } = await sessions.open(limited(), '127.0.0.1:1')
  steps.refusals = 1
  await expect(session.markActive()).rejects.toThrow('the store refuses')
  expect(sessions.isActive(session.id)).toBe(false)
  await Promise.all([session.markActive(), session.markActive()])
  expect(sessions.isActive(session.id)).toBe(true)
  expect(events.filter(({ event }) => event === 'session.active')).toHaveLength(1)
})

it('S9: a crash between the record of an end and its event is made good at the next start, once', async () => {
  const crashed = newSessionOwner({ db, audit: { record: () => undefined, flush: () => Promise.resolve() } })
  const { session } = await crashed.open(limited(), '127.0.0.1:1')
  await crashed.end(session.id, 'terminated', 'root')
  const other = await crashed.open(limited({ routeId: 'r-2' }), '127.0.0.1:1')
  // The log had something older in it.
  const time = new Date(Date.now() - 1000).toISOString()
  const row = { time, event: 'server.start', detail: '{}' }
  await db.insertInto('audit').values(row).execute()
  const next = newSessionOwner({ db, audit })
  expect(await next.recover()).toBe(1)
  expect(events.map(({ session: id, detail }) => [id, detail])).toEqual([
    [session.id, { reason: 'terminated', by: 'root' }],
    [other.session.id, { reason: 'restart' }],
  ])
  for (const { session: id } of events)
    await db
      .insertInto('audit')
      .values({ ...row, event: 'session.end', session_id: id ?? null })
      .execute()
  expect(await next.recover()).toBe(0)
  expect(events).toHaveLength(2)
  expect((await next.open(limited(), '127.0.0.1:1')).session.route).toEqual(ROUTE)
})

it('S10: a server that stops opens no session any more and says so', async () => {
  await sessions.endAll()
  await expect(sessions.open(limited(), '127.0.0.1:1')).rejects.toMatchObject({
    code: 'server_unreachable',
    message: 'the access server is shutting down; connect again in a moment',
  })
})
