// The watch alone, on counters that the test moves.
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, expect, it } from 'vitest'
import { watchForStall, type StalledSide } from '../../link/write-stall.ts'
import { until } from '../support/run.ts'

const STALL_MS = 200

const stops: (() => void)[] = []
afterEach(() => {
  for (const stop of stops.splice(0)) stop()
})

function watch() {
  const near = { writableLength: 0 }
  const far = { writableLength: 0 }
  const progress = { forward: 0, backward: 0 }
  const stalled: StalledSide[] = []
  const startedAt = performance.now()
  const stop = watchForStall({ near, far, progress, stallMs: STALL_MS, onStalled: (side) => stalled.push(side) })
  stops.push(stop)
  return { near, far, progress, stalled, stop, elapsed: () => performance.now() - startedAt }
}

it.each(['near', 'far'] as const)(
  'I3: bytes that wait for the %s side and do not move are a stall, told once',
  async (side) => {
    const watched = watch()
    watched[side].writableLength = 65_536
    // What moves the other way is another matter.
    const moving = setInterval(() => watched.progress[side === 'near' ? 'forward' : 'backward']++, 10)
    stops.push(() => clearInterval(moving))
    await until(() => watched.stalled.length > 0, 'the stall is told')
    expect(watched.elapsed()).toBeGreaterThanOrEqual(STALL_MS)
    await delay(2 * STALL_MS)
    expect(watched.stalled).toEqual([side])
  },
)

it('I3: neither silence, nor a peer that is slow, nor a watch that was stopped is a stall', async () => {
  const silent = watch()
  const slow = watch()
  slow.near.writableLength = 65_536
  slow.far.writableLength = 65_536
  const gone = watch()
  gone.near.writableLength = 1
  gone.stop()
  // A piece in each second look: the count of the pump moves on one side, what waits on the other.
  for (let piece = 0; piece < 10; piece++) {
    await delay(STALL_MS / 8)
    slow.progress.backward += 65_536
    slow.far.writableLength -= 1
  }
  expect([silent.stalled, slow.stalled, gone.stalled]).toEqual([[], [], []])
})

it('I3: after this process slept, the peer has its whole time again', async () => {
  const watched = watch()
  watched.near.writableLength = 1
  await delay(STALL_MS / 4)
  // Nothing runs here meanwhile, as under SIGSTOP.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3 * STALL_MS)
  await delay(1)
  expect(watched.stalled).toEqual([])
  await until(() => watched.stalled.length > 0, 'the stall is told')
})
