// The races of a session's ends with each other and with everything else that happens to it, on SQLite: each order of steps is
// checked against the same rules (tests/support/session-race.ts).
import fc from 'fast-check'
import type { Kysely } from 'kysely'
import { afterAll, beforeAll, it } from 'vitest'
import type { Tables } from '../../server/store/schema.ts'
import { noSteps, openScheduledStore } from '../support/scheduled-store.ts'
import { ACTIONS, PAIRS, Race } from '../support/session-race.ts'

const steps = noSteps()
let db: Kysely<Tables>
beforeAll(async () => {
  db = await openScheduledStore(steps)
})
afterAll(() => db.destroy())

it.each(PAIRS)('S1, S5: %s while: %s', async (one, other) => {
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), async (scheduler) => {
      await new Race(scheduler, { db, steps }).run([one, other])
    }),
    { numRuns: 15 },
  )
})

it('S1, S3, S5, S9: any six at once, in any order', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      fc.array(fc.constantFrom(...ACTIONS), { minLength: 3, maxLength: 6 }),
      async (scheduler, actions) => {
        await new Race(scheduler, { db, steps }).run(actions)
      },
    ),
    { numRuns: 300 },
  )
})
