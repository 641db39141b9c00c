// A few of the rounds of tests/bench/kill-the-server.ts, which does a hundred.
import { expect, it } from 'vitest'
import { CrashRounds } from '../support/crash-rounds.ts'
import { seededRandom } from '../support/seeded-random.ts'

const ROUNDS = 6
/** On a machine that has much else to do, a round is over before much was answered. */
const MOST_ROUNDS = 30
/** The load is one if each kind of answer came at least once. */
const KINDS = [
  ...['login.succeeded', 'session.start', 'admin.change'],
  ...['session.end closed', 'session.end terminated', 'session.end revoked'],
]
const TIMEOUT_MS = 300_000

it(
  'S9, R5: killed under load, the server ends every session on record and has every event that it acknowledged',
  { timeout: TIMEOUT_MS },
  async () => {
    const crashes = await CrashRounds.start(seededRandom(6))
    try {
      const hasAll = (): boolean => KINDS.every((kind) => kind in crashes.acknowledged)
      while (crashes.rounds < ROUNDS || (!hasAll() && crashes.rounds < MOST_ROUNDS)) await crashes.round()
    } finally {
      await crashes.close()
    }
    expect(crashes.problems).toEqual([])
    expect(Object.keys(crashes.acknowledged)).toEqual(expect.arrayContaining(KINDS))
  },
)
