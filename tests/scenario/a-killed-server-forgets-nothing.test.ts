// A few of the rounds of tests/bench/kill-the-server.ts, which does a hundred.
import { expect, it } from 'vitest'
import { CrashRounds } from '../support/crash-rounds.ts'
import { seededRandom } from '../support/seeded-random.ts'

const ROUNDS = 6
const TIMEOUT_MS = 300_000

it(
  'S9, R5: killed under load, the server ends every session on record and has every event that it acknowledged',
  { timeout: TIMEOUT_MS },
  async () => {
    const crashes = await CrashRounds.start(seededRandom(6))
    try {
      while (crashes.rounds < ROUNDS) await crashes.round()
    } finally {
      await crashes.close()
    }
    expect(crashes.problems).toEqual([])
    // The load was one: each kind of answer came at least once.
    const kinds = [
      ...['login.succeeded', 'session.start', 'admin.change'],
      ...['session.end closed', 'session.end terminated', 'session.end revoked'],
    ]
    expect(Object.keys(crashes.acknowledged)).toEqual(expect.arrayContaining(kinds))
  },
)
