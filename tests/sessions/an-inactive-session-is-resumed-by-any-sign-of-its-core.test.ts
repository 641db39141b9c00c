// A core that answers no more has its sessions become inactive, and no others; a stream, a connection or a byte of it makes them what
// they were. On a real store, with the owner as the server makes it.
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import type { AuditEntry } from '../../server/seams.ts'
import type { SessionLease, Sessions } from '../../server/sessions/sessions.ts'
import { limited, newSessionOwner } from '../support/session-owner.ts'
import { freshStore } from '../support/store.ts'

const SINCE = new Date('2026-11-22T10:00:00.000Z')

let store: Awaited<ReturnType<typeof freshStore>>
let events: AuditEntry[]
let sessions: Sessions
let first: SessionLease
let second: SessionLease
beforeEach(async () => {
  store = await freshStore()
  events = []
  const audit = { record: (entry: AuditEntry) => void events.push(entry), flush: () => Promise.resolve() }
  sessions = newSessionOwner({ db: store.db, audit })
  first = await open('r-1', 'l-1')
  second = await open('r-2', 'l-1')
  await open('r-3', 'l-2')
})
afterEach(() => store.close())

const open = (routeId: string, loginId: string) => sessions.open(limited({ routeId, loginId }), '127.0.0.1:1')
/** Since when each is inactive, in the order in which they began. */
const shown = () => sessions.live().map(({ inactiveSince }) => inactiveSince)
const told = (event: string) => events.filter((entry) => entry.event === event).map(({ session }) => session)

it('I3: all sessions of the login, since it was heard last; said once, and they are alive', () => {
  sessions.noteCore('l-1', SINCE)
  sessions.noteCore('l-1', new Date())
  expect(shown()).toEqual([SINCE, SINCE, null])
  expect(told('session.inactive')).toEqual([first.session.id, second.session.id])
  expect(events.find(({ event }) => event === 'session.inactive')?.detail).toEqual({ since: SINCE.toISOString() })
  expect(first.session.signal.aborted).toBe(false)
})

it('I3: its stream, or a connection of any of them, resumes them all', async () => {
  sessions.noteCore('l-1', SINCE)
  sessions.noteCore('l-1', null)
  expect(shown()).toEqual([null, null, null])
  sessions.noteCore('l-1', SINCE)
  await open('r-2', 'l-1')
  expect(shown()).toEqual([null, null, null])
  // One that begins is a sign as well.
  sessions.noteCore('l-1', SINCE)
  await open('r-4', 'l-1')
  expect(shown()).toEqual([null, null, null, null])
  expect(told('session.resumed')).toHaveLength(6)
})

it('I3: a byte of one resumes that one; bytes to it say nothing', async () => {
  sessions.noteCore('l-1', SINCE)
  first.progress.forward = 1
  second.progress.backward = 1_000_000
  expect(shown()).toEqual([null, SINCE, null])
  await sessions.reap()
  expect(told('session.resumed')).toEqual([first.session.id])
  sessions.noteCore('l-1', null)
  expect(told('session.resumed')).toEqual([first.session.id, second.session.id])
})

it('I3, S1: one that ends is over, and said no more of', async () => {
  sessions.noteCore('l-1', SINCE)
  await sessions.end(first.session.id, 'cancelled')
  sessions.noteCore('l-1', null)
  await sessions.reap()
  expect(told('session.resumed')).toEqual([second.session.id])
})

it('I3: whose stream broke off has some time to come back, and is inactive only after that', async () => {
  sessions.noteCore('l-1', SINCE, 20)
  expect(shown()).toEqual([null, null, null])
  await vi.waitFor(() => expect(shown()).toEqual([SINCE, SINCE, null]), { timeout: 10_000 })
  expect(told('session.inactive')).toEqual([first.session.id, second.session.id])
})

it('I3: a stream or a connection within that time is a sign of all of them, a byte of one of that one', async () => {
  sessions.noteCore('l-1', SINCE, 20)
  sessions.noteCore('l-1', null)
  sessions.noteCore('l-2', SINCE, 20)
  await vi.waitFor(() => expect(shown()[2]).toEqual(SINCE), { timeout: 10_000 })
  expect(shown()).toEqual([null, null, SINCE])
  sessions.noteCore('l-1', SINCE, 200)
  first.progress.forward = 1
  await vi.waitFor(() => expect(shown()[1]).toEqual(SINCE), { timeout: 10_000 })
  expect(shown()[0]).toBeNull()
})
