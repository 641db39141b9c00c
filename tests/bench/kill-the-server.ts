// kill -9 of the access server under load, round after round: psql and tcp through gateways, logins, logouts, closed routes, admin
// changes. After each restart every session that a client saw begin is on record, every session has its one end, and every acknowledged
// event is in the audit log. Run by hand: `node tests/bench/kill-the-server.ts [--rounds 100] [--seed 1] [--json]`; exits 1 if anything
// was forgotten.
import { parseArgs } from 'node:util'
import { CrashRounds } from '../support/crash-rounds.ts'
import { percentile } from '../support/interface-probe.ts'
import { seededRandom } from '../support/seeded-random.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '100' },
    seed: { type: 'string', default: '1' },
    json: { type: 'boolean', default: false },
  },
})
const crashes = await CrashRounds.start(seededRandom(Number(values.seed)))
try {
  while (crashes.rounds < Number(values.rounds)) {
    const before = crashes.problems.length
    await crashes.round()
    if (values.json) continue
    // At once: what goes wrong later must not take it along.
    for (const problem of crashes.problems.slice(before)) console.log(problem)
    if (crashes.rounds % 10 === 0) console.log(`${crashes.rounds} rounds, ${crashes.problems.length} problems`)
  }
} finally {
  await crashes.close()
}
const { rounds, begun, acknowledged, problems, backAfterMs } = crashes
const backMs = { p50: Math.round(percentile(backAfterMs, 0.5)), max: Math.round(percentile(backAfterMs, 1)) }
const result = { rounds, seed: Number(values.seed), begun, acknowledged, backMs, problems }
if (values.json) console.log(JSON.stringify(result, null, 2))
else {
  console.table({
    rounds,
    'sessions that clients saw begin': begun,
    'problems found': problems.length,
    'back after, p50 ms': backMs.p50,
    'back after, max ms': backMs.max,
  })
  console.table(acknowledged)
}
process.exitCode = problems.length > 0 ? 1 : 0
