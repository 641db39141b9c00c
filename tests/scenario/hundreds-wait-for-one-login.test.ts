// 300 connections over five gateways of one profile and 100 over two of another, all with an expired login: nobody is refused,
// each profile asks once, and however the wait ends, it ends for everybody. The core is a process of its own.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Waiting } from '../support/light-client.ts'
import { InterfaceProbe, percentile } from '../support/interface-probe.ts'
import { LOADS, ManyHeld, tally } from '../support/many-held.ts'
import { until } from '../support/run.ts'

/**
 * What the requirement says is 1 s, and the bench shows it; hundreds of clients in one process of a busy machine may need longer to
 * see it. Without the cancel they would wait for minutes. In ms.
 */
const ERROR_DEADLINE_MS = 20_000
/** The core holds sockets and little else: far less than this for 400 connections, in MiB. */
const HELD_MAX_MIB = 100
/** The interface is to answer in 100 ms, and the bench shows it; so much slower would be a core that stands still, in ms. */
const ANSWER_MAX_MS = 3000

let many: ManyHeld
let probe: InterfaceProbe
beforeAll(async () => {
  many = await ManyHeld.start()
  probe = await InterfaceProbe.attach(many.home)
  await many.expire()
})
afterAll(async () => {
  await probe.close()
  await many.close()
})
beforeEach(async () => {
  await many.untilGateways(({ state }) => state === 'needs login', 'nobody waits and no cool-down runs')
  many.asked.length = many.closed.length = 0
})

const all = (connections: ReadonlyMap<string, Waiting[]>): Waiting[] => [...connections.values()].flat()

/** Starts everybody and waits until all are held. */
async function holdAll(): Promise<Map<string, Waiting[]>> {
  const connections = many.connectAll()
  for (const { profile, connections: count } of LOADS) await many.untilWaiting(profile, count)
  return connections
}

const outcomesOf = async (clients: readonly Waiting[]): Promise<Record<string, number>> =>
  tally(clients, await Promise.all(clients.map(({ outcome }) => outcome)))

/** Profiles that were asked, in the order of their names: one question each. */
const askedProfiles = (): string[] => many.asked.map(({ profile }) => profile).toSorted()

describe('hundreds of connections', () => {
  it('G7: a cancelled login answers all of them in their own protocol, and new ones at once', async () => {
    const beforeMiB = await many.coreMiB()
    const connections = await holdAll()
    expect(askedProfiles()).toEqual(['first', 'second'])
    expect((await many.coreMiB()) - beforeMiB).toBeLessThan(HELD_MAX_MIB)

    const cancelledAt = performance.now()
    for (const { requestId } of [...many.asked])
      await many.core.call('login.cancel', { requestId, outcome: 'cancelled' })
    expect(await outcomesOf(connections.get('first') ?? [])).toEqual({ '28000': 300 })
    // Plain TCP has no errors: it is closed.
    expect(await outcomesOf(connections.get('second') ?? [])).toEqual({ '28000': 50, closed: 50 })
    const last = Math.max(...all(connections).map(({ settledAt }) => settledAt ?? Infinity))
    expect(last - cancelledAt).toBeLessThan(ERROR_DEADLINE_MS)

    const late = LOADS.flatMap(({ profile }) => many.connect(profile, 20))
    expect(await outcomesOf(late)).toEqual({ '28000': 30, closed: 10 })
    expect(askedProfiles()).toEqual(['first', 'second'])
    // A login ends the cool-down.
    await many.expire()
  })

  it('G8: half of them hang up and the others go on waiting; when all have, the question is taken back', async () => {
    const connections = await holdAll()
    const leaving = all(connections).filter((_, at) => at % 2 === 0)
    const staying = all(connections).filter((_, at) => at % 2 === 1)
    for (const client of leaving) client.hangUp()
    for (const { profile, connections: count } of LOADS) await many.untilWaiting(profile, count / 2)
    expect(many.closed).toEqual([])
    expect(staying.some(({ isSettled }) => isSettled)).toBe(false)

    for (const client of staying) client.hangUp()
    await until(() => many.closed.length === LOADS.length, 'the questions are taken back', 60_000)
    expect(new Set(many.closed.map(({ profile, outcome }) => `${profile} ${outcome}`))).toEqual(
      new Set(['first withdrawn', 'second withdrawn']),
    )
    expect(askedProfiles()).toEqual(['first', 'second'])
  })

  it('G5, G6, G12, G13, DB6: one login of each profile lets all 400 through on the connections that waited, and the interface answers meanwhile', async () => {
    await probe.take()
    const connections = await holdAll()
    expect(askedProfiles()).toEqual(['first', 'second'])
    await many.logIn('first')
    expect(await outcomesOf(connections.get('first') ?? [])).toEqual({ 'own row': 300 })
    // The other cluster's login is the other cluster's.
    expect(await many.waiting('second')).toBe(100)
    await many.logIn('second')
    expect(await outcomesOf(connections.get('second') ?? [])).toEqual({ 'own row': 100 })
    expect(askedProfiles()).toEqual(['first', 'second'])
    expect(many.closed.every(({ outcome }) => outcome === 'succeeded')).toBe(true)

    const { answers, patches } = await probe.take()
    expect(answers.length).toBeGreaterThan(0)
    expect(percentile([...answers, ...patches], 0.5)).toBeLessThan(ANSWER_MAX_MS)
    // Nothing is held back for those who have gone.
    for (const client of all(connections)) client.end()
    await until(
      async () => (await many.core.call('gateway.list', {})).gateways.every((gateway) => gateway.connections === 0),
      'all connections are over',
      60_000,
    )
  })
})
