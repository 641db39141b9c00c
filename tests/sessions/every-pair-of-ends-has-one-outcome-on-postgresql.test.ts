// The same races as on SQLite, on PostgreSQL: as many connections as the server's own pool has, so that two changes of one session
// meet in the store, and one waits for the other's commit. The scheduler goes on when every statement is answered or waits for a lock.
import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startPostgresStore, type PostgresStore } from '../server/support/postgres-store.ts'
import { noSteps, openScheduledPostgres, type ScheduledPostgres } from '../support/scheduled-store.ts'
import { ACTIONS, PAIRS, Race } from '../support/session-race.ts'

const steps = noSteps()
let postgres: PostgresStore
let store: ScheduledPostgres
beforeAll(async () => {
  postgres = await startPostgresStore()
  store = await openScheduledPostgres(steps, await postgres.newDatabase('races'))
})
afterAll(async () => {
  await store.close()
  await postgres.stop()
})

const scheduler = () =>
  fc.scheduler({
    act: async (step) => {
      await step()
      await store.settled()
    },
  })

it.each(PAIRS)('S1, S5: %s while: %s', async (one, other) => {
  await fc.assert(
    fc.asyncProperty(scheduler(), async (scheduler) => {
      await new Race(scheduler, { db: store.db, steps }).run([one, other])
    }),
    { numRuns: 6 },
  )
})

it('S1, S3, S5, S9: any six at once, in any order', async () => {
  await fc.assert(
    fc.asyncProperty(
      scheduler(),
      fc.array(fc.constantFrom(...ACTIONS), { minLength: 3, maxLength: 6 }),
      async (scheduler, actions) => {
        await new Race(scheduler, { db: store.db, steps }).run(actions)
      },
    ),
    { numRuns: 250 },
  )
  expect(store.meetings(), 'transactions have met').toBeGreaterThan(0)
})
