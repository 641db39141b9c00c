// A connection from socket to socket over a tunnel behaves as one of its own (in frames, raw, and raw where no handle takes buffers): at
// any pace, in all orders of ends, broken off by either side; and ten thousand of them leave nothing (with a TLS connection each:
// ten-thousand-tls-connections-….test.ts, over TCP: ends-and-resets-pass-through-the-pump.test.ts).
import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import { afterEach, describe, expect, it } from 'vitest'
import { LivingTimers } from '../support/living-timers.ts'
import { breaksOffAsAReset, goesAtAnyPace, halfClosesInAllOrders } from '../support/path-behaviour.ts'
import type { Ends } from '../support/pumped-paths.ts'
import { until } from '../support/run.ts'
import {
  connectOver,
  MOVED_BY_A_BYTE,
  movedByAByte,
  TUNNEL_KINDS,
  TunnelPaths,
  type TunnelKind,
} from '../support/tunnel-paths.ts'

const TIMEOUT_MS = 240_000
const paths: TunnelPaths[] = []
afterEach(async () => {
  await Promise.all(paths.splice(0).map((one) => one.close()))
})
function pathsOf(kind: TunnelKind): TunnelPaths {
  const all = new TunnelPaths(kind)
  paths.push(all)
  return all
}

describe.each(TUNNEL_KINDS)('over a tunnel: %s', (kind) => {
  it('G1: it is what its name says before anything is tried on it', async () => {
    const ends = await pathsOf(kind).connect()
    const moved = MOVED_BY_A_BYTE[kind]
    expect(await movedByAByte(ends)).toEqual([moved, moved])
    expect(ends.isRaw()).toBe(kind !== 'frames')
  })

  it('G1: slow readers and slow writers, in both directions', { timeout: TIMEOUT_MS }, async () => {
    await goesAtAnyPace(pathsOf(kind).connect, 41)
  })

  it('G1: an end is a half-close in all four orders', async () => {
    await halfClosesInAllOrders(pathsOf(kind).connect)
  })

  it.each(['near', 'far'] as const)('G1: broken off by the %s end in the middle of a transfer', async (side) => {
    await breaksOffAsAReset(pathsOf(kind).connect, side)
  })
})

describe('nothing is left of connections that are over', () => {
  const openHandles = (): number =>
    process.getActiveResourcesInfo().filter((kind) => /TCP|TLS|Timeout|Immediate/i.test(kind)).length

  /** Says something, and ends in one of the ways that a connection can. */
  async function use({ near, far, resetNear, resetFar }: Ends, kind: number): Promise<void> {
    const heard = once(far, 'data')
    near.write('hello')
    await heard
    if (kind === 0) resetNear()
    else if (kind === 1) resetFar()
    else {
      const [first, second]: [Duplex, Duplex] = kind === 2 ? [near, far] : [far, near]
      first.end('bye')
      second.resume().end()
      first.resume()
    }
  }

  it(
    'G1, S6: 10,000 connects and closes over four tunnels leave no handle, no stream and no timer',
    { timeout: TIMEOUT_MS },
    async () => {
      using timers = new LivingTimers()
      const frames = pathsOf('frames')
      const tunnels = await Promise.all(Array.from({ length: 4 }, frames.newTunnel))
      const before = openHandles()
      const timersBefore = timers.places()
      for (let round = 0; round < 250; round++)
        await Promise.all(
          Array.from({ length: 40 }, async (_, at) => {
            const ends = await connectOver(tunnels[at % 4]!)
            await use(ends, (at >> 2) % 4)
            await ends.pumped
            for (const end of [ends.near, ends.far]) end.destroy()
          }),
        )
      await until(() => tunnels.every(({ near, far }) => near.size + far.size === 0), 'the streams to be gone', 30_000)
      expect(tunnels.map(({ near, far }) => near.isOpen && far.isOpen)).toEqual(Array(4).fill(true))
      await until(() => openHandles() <= before, 'the handles to be gone', 30_000)
      await expect.poll(() => timers.places()).toEqual(timersBefore)
      await frames.close()
      await expect.poll(() => timers.places()).toEqual([])
      expect(['tunnel.ts', 'heartbeat.ts'].every((file) => timers.hasSeen(file))).toBe(true)
    },
  )
})
