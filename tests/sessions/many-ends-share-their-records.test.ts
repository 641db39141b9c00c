// Hundreds of sessions that end at once: few transactions, each its own reason, and a store that refuses one of those loses no end.
import type { Kysely } from 'kysely'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { PosternError } from '../../shared/errors.ts'
import type { AuditEntry, Session } from '../../server/seams.ts'
import type { Sessions } from '../../server/sessions/sessions.ts'
import type { Tables } from '../../server/store/schema.ts'
import { openScheduledStore, type StoreSteps } from '../support/scheduled-store.ts'
import { limited, newSessionOwner } from '../support/session-owner.ts'

const MANY = 400

let steps: StoreSteps
let db: Kysely<Tables>
let events: AuditEntry[]
let flushes = 0
let commits = 0
let sessions: Sessions
let open: Session[]
beforeEach(async () => {
  steps = { step: () => Promise.resolve(), refusals: 0, lostAnswers: 0, onCommit: () => (commits += 1) }
  db = await openScheduledStore(steps)
  events = []
  const audit = {
    record: (entry: AuditEntry) => void events.push(entry),
    flush: () => {
      flushes++
      return Promise.resolve()
    },
  }
  const access = { authoriseRoute: () => Promise.reject(new PosternError('resource_denied', 'not any more')) }
  sessions = newSessionOwner({ db, audit, access })
  open = []
  for (let at = 0; at < MANY; at++)
    open.push((await sessions.open(limited({ routeId: `r-${at}` }), '127.0.0.1:1')).session)
  flushes = commits = 0
})
afterEach(() => db.destroy())

const rows = () => db.selectFrom('sessions').select(['id', 'state', 'end_reason', 'ended_by']).execute()
const told = () =>
  new Map(events.filter(({ event }) => event === 'session.end').map((one) => [one.session, one.detail]))

it('S8: a role that hundreds stood on ends them in few transactions, each with its row, its event and its signal', async () => {
  await sessions.endDisallowed('root')
  expect(new Set((await rows()).map((row) => `${row.state} ${row.end_reason} ${row.ended_by}`))).toEqual(
    new Set(['ended revoked root']),
  )
  expect(told().size).toBe(MANY)
  expect(open.every(({ signal }) => signal.aborted)).toBe(true)
  expect(sessions.live()).toEqual([])
  expect(commits).toBeLessThanOrEqual(MANY / 20)
  expect(flushes).toBeLessThanOrEqual(MANY / 20)
})

it('S1, S8: a stronger cause for one of them, while all are being written, is the one on record for that one', async () => {
  const [first, second] = open
  // While the first transaction is about to commit: one that may be in it, and is too late or not.
  let isFirst = true
  steps.step = (what) => {
    if (isFirst && what.startsWith('commit')) {
      isFirst = false
      void sessions.end(first?.id ?? '', 'cancelled', 'alice')
    }
    return Promise.resolve()
  }
  const ending = sessions.endDisallowed('root')
  const cancelled = sessions.end(second?.id ?? '', 'cancelled', 'alice')
  await ending
  expect(await cancelled).toBe('cancelled')
  expect(told().get(second?.id)).toEqual({ reason: 'cancelled', by: 'alice' })
  for (const row of await rows()) expect(told().get(row.id)?.['reason']).toBe(row.end_reason)
})

it('S9: of a batch that the store refuses, every end is written at the next look, once', async () => {
  steps.refusals = 1
  await sessions.endDisallowed('root')
  expect(open.every(({ signal }) => signal.aborted)).toBe(true)
  await sessions.reap()
  expect((await rows()).every(({ state, end_reason: reason }) => state === 'ended' && reason === 'revoked')).toBe(true)
  expect(events.filter(({ event }) => event === 'session.end')).toHaveLength(MANY)
})
