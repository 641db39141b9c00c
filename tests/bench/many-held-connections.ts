// 400 connections over the gateways of two profiles, all held, then let through by one login each: how long it takes, how much
// memory the core needs for it, how quickly the interface answers meanwhile. Run by hand: `node tests/bench/many-held-connections.ts
// [--rounds 1]`; prints one JSON object (times in ms, memory in MiB). Judges nothing: figures of a busy machine are no test.
import { once } from 'node:events'
import { loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { LOADS, ManyHeld, tally } from '../support/many-held.ts'
import { InterfaceProbe, percentile, type ProbeTimes } from '../support/interface-probe.ts'
import type { Waiting } from '../support/light-client.ts'

const round = (ms: number): number => Math.round(ms * 10) / 10
const spread = (values: readonly number[]) => ({
  n: values.length,
  min: round(percentile(values, 0)),
  p50: round(percentile(values, 0.5)),
  p99: round(percentile(values, 0.99)),
  max: round(percentile(values, 1)),
})
const interfaceOf = ({ answers, patches }: ProbeTimes) => ({ answer: spread(answers), patch: spread(patches) })

/** When each client had its answer, counted from `from`. */
async function answered(clients: readonly Waiting[], from: number) {
  const outcomes = await Promise.all(clients.map(({ outcome }) => outcome))
  return {
    outcomes: tally(clients, outcomes),
    afterMs: spread(clients.map(({ settledAt }) => (settledAt ?? 0) - from)),
  }
}

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '1' } } })
await using stack = new AsyncDisposableStack()
const many = await ManyHeld.start()
stack.defer(() => many.close())
const probe = await InterfaceProbe.attach(many.home)
stack.defer(() => probe.close())
const result: Record<string, unknown> = { load1: round(loadavg()[0] ?? 0) }

await many.expire()
await probe.take()
const idleMiB = await many.coreMiB()
await new Promise((resolve) => setTimeout(resolve, 1000))
result['idle'] = { ...interfaceOf(await probe.take()), coreMiB: idleMiB }

async function holdAll(): Promise<{ clients: Waiting[]; ms: number }> {
  const from = performance.now()
  const clients = [...many.connectAll().values()].flat()
  await Promise.all(LOADS.map(({ profile, connections }) => many.untilWaiting(profile, connections)))
  return { clients, ms: round(performance.now() - from) }
}

const first = await holdAll()
result['arriving'] = { ...interfaceOf(await probe.take()), allHeldAfterMs: first.ms, asked: many.asked.length }
await new Promise((resolve) => setTimeout(resolve, 1000))
result['held'] = { ...interfaceOf(await probe.take()), coreMiB: await many.coreMiB() }

const cancelledAt = performance.now()
for (const { requestId } of [...many.asked]) await many.core.call('login.cancel', { requestId, outcome: 'cancelled' })
result['cancelled'] = { ...(await answered(first.clients, cancelledAt)), ...interfaceOf(await probe.take()) }
await many.untilGateways(({ state }) => state === 'needs login', 'the cool-down is over')

many.asked.length = 0
const second = await holdAll()
await probe.take()
const gone = second.clients.filter((_, at) => at % 2 === 0)
const leftAt = performance.now()
for (const client of gone) client.hangUp()
await Promise.all(LOADS.map(({ profile, connections }) => many.untilWaiting(profile, connections / 2)))
result['halfHungUp'] = { ...interfaceOf(await probe.take()), noticedAfterMs: round(performance.now() - leftAt) }

const stayed = second.clients.filter((_, at) => at % 2 === 1)
const more = LOADS.flatMap(({ profile, connections }) => many.connect(profile, connections / 2))
await Promise.all(LOADS.map(({ profile, connections }) => many.untilWaiting(profile, connections)))
await probe.take()
const loggedInAt = performance.now()
await Promise.all(LOADS.map(({ profile }) => many.logIn(profile)))
const loggedInAfterMs = round(performance.now() - loggedInAt)
const all = [...stayed, ...more]
result['loggedIn'] = {
  loginMs: loggedInAfterMs,
  ...(await answered(all, loggedInAt)),
  ...interfaceOf(await probe.take()),
  coreMiB: await many.coreMiB(),
  asked: many.asked.length,
}
for (const client of all) client.end()
await many.untilGateways(({ connections }) => connections === 0, 'all have left')
const afterwardsMiB = [await many.coreMiB()]
for (let again = 1; again < Number(values.rounds); again++) {
  await many.expire()
  const { clients } = await holdAll()
  await Promise.all(LOADS.map(({ profile }) => many.logIn(profile)))
  await answered(clients, 0)
  for (const client of clients) client.end()
  await many.untilGateways(({ connections }) => connections === 0, 'all have left')
  afterwardsMiB.push(await many.coreMiB())
}
result['afterwards'] = { coreMiB: afterwardsMiB }
if (!process.stdout.write(`${JSON.stringify(result, null, 2)}\n`)) await once(process.stdout, 'drain')
