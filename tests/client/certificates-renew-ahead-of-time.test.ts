// G14: a hundred gateways renew before their certificates end, spread, also while the server is out of reach for a while. A day of
// it passes in a moment: the clock is the test's.
import { pino } from 'pino'
import { expect, it } from 'vitest'
import { AheadOfTime } from '../../client/renewal/ahead-of-time.ts'
import type { Route } from '../../client/renewal/route-certificates.ts'
import { PosternError } from '../../shared/errors.ts'

const SECOND_MS = 1000
const LIFE_MS = 600 * SECOND_MS
const GATEWAYS = 100

type Try = { atMs: number; gateway: string; isRenewed: boolean }

/** A hundred gateways of one profile, all issued at the same moment, as after a login; and a server that comes and goes. */
function prepare() {
  const state = { nowMs: 0, isUp: true, atOnce: 0, mostAtOnce: 0 }
  const tries: Try[] = []
  const certificates = new Map<string, { notAfterMs: number }>()
  const routes = Array.from({ length: GATEWAYS }, (_, index): Route => {
    const gatewayId = `g${index}`
    certificates.set(gatewayId, { notAfterMs: LIFE_MS })
    return { gatewayId, resource: gatewayId, protocol: 'postgres', account: 'reader', user: 'alice' }
  })
  // The same walk each time: a generator of its own instead of Math.random.
  let seed = 1
  const random = (): number => (seed = (seed * 16_807) % 2_147_483_647) / 2_147_483_647
  const login = { notAfterMs: 24 * 3600 * SECOND_MS } as never
  const ahead = new AheadOfTime({
    profile: {
      usableCertificate: login,
      clock: { now: () => state.nowMs, offsetMs: () => 0, note: () => undefined },
    },
    certificates: { find: (id) => certificates.get(id) },
    openRoutes: () => routes,
    isListening: () => true,
    async reissue({ gatewayId }) {
      state.atOnce += 1
      state.mostAtOnce = Math.max(state.mostAtOnce, state.atOnce)
      await new Promise((resolve) => setImmediate(resolve))
      state.atOnce -= 1
      tries.push({ atMs: state.nowMs, gateway: gatewayId, isRenewed: state.isUp })
      if (!state.isUp) throw new PosternError('server_unreachable', 'no network')
      certificates.set(gatewayId, { notAfterMs: state.nowMs + LIFE_MS })
    },
    random,
    log: pino({ level: 'silent' }),
  })
  /** Looks at every moment that is ahead, as the core does. */
  const passTo = async (untilMs: number): Promise<void> => {
    while (state.nowMs < untilMs) {
      const next = Math.max(5, Math.min(...ahead.momentsAheadMs()) + 5)
      state.nowMs = Math.min(untilMs, state.nowMs + next)
      await ahead.renew(new AbortController().signal)
    }
  }
  const endFirst = (): number => Math.min(...[...certificates.values()].map(({ notAfterMs }) => notAfterMs))
  return { state, tries, ahead, passTo, endFirst }
}

/** The most of them within one second. */
const mostInASecond = (tries: readonly Try[]): number =>
  Math.max(
    0,
    ...tries.map(({ atMs }) => tries.filter((other) => other.atMs >= atMs && other.atMs < atMs + SECOND_MS).length),
  )

it('G14: a hundred certificates of the same moment are renewed once each, at two thirds of their life, a tenth more or less', async () => {
  const { state, tries, passTo } = prepare()
  await passTo(500 * SECOND_MS)
  expect(new Set(tries.map(({ gateway }) => gateway)).size).toBe(GATEWAYS)
  expect(tries).toHaveLength(GATEWAYS)
  for (const { atMs } of tries) {
    expect(atMs).toBeGreaterThanOrEqual(0.6 * LIFE_MS)
    expect(atMs).toBeLessThanOrEqual(0.74 * LIFE_MS)
  }
  expect(mostInASecond(tries)).toBeLessThanOrEqual(10)
  expect(state.mostAtOnce).toBeLessThanOrEqual(4)
})

it('G14: with the server out of reach one of a hundred asks now and then; when it is back all are renewed in time', async () => {
  const { state, tries, passTo, endFirst } = prepare()
  state.isUp = false
  await passTo(520 * SECOND_MS)
  // From the first that was due, at 360 s, on.
  expect(tries.length).toBeGreaterThan(3)
  expect(tries.length).toBeLessThan(40)
  state.isUp = true
  await passTo(599 * SECOND_MS)
  expect(endFirst()).toBeGreaterThan(LIFE_MS)
  expect(tries.filter(({ isRenewed }) => isRenewed)).toHaveLength(GATEWAYS)
  expect(state.mostAtOnce).toBeLessThanOrEqual(4)
})

it('G14: after a sleep all that is due is renewed, a few at a time; what has ended is left to its next connection', async () => {
  const { state, tries, ahead, endFirst } = prepare()
  ahead.momentsAheadMs()
  state.nowMs = 590 * SECOND_MS
  await ahead.renew(new AbortController().signal)
  expect(tries).toHaveLength(GATEWAYS)
  expect(endFirst()).toBe(590 * SECOND_MS + LIFE_MS)
  expect(state.mostAtOnce).toBe(4)
  state.nowMs += LIFE_MS
  await ahead.renew(new AbortController().signal)
  expect(tries).toHaveLength(GATEWAYS)
  expect(ahead.momentsAheadMs()).toEqual([])
})
