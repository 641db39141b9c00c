// Flow control and turns: what one stream's reader leaves lying costs a bounded amount of memory and nobody else's time.
import { once } from 'node:events'
import { afterEach, describe, expect, it } from 'vitest'
import { STREAM_WINDOW_BYTES } from '../../link/tunnel/tunnel-stream.ts'
import { waitUntil } from '../support/client-core.ts'
import { readAll, readPattern, tunnelPair, writePattern, type TunnelPair } from '../support/tunnel-pair.ts'

const pairs: TunnelPair[] = []
afterEach(async () => {
  await Promise.all(pairs.splice(0).map((pair) => pair.close()))
})
async function newPair(...settings: Parameters<typeof tunnelPair>): Promise<TunnelPair> {
  const pair = await tunnelPair(...settings)
  pairs.push(pair)
  return pair
}
const MIB = 1024 * 1024
/** Bulk stays in frames. */
const FRAMES_ONLY = { rawFromBytes: Infinity }

describe('G1: a reader that stops', () => {
  it('holds its own writer back within the window, and the others go on', async () => {
    const pair = await newPair(FRAMES_ONLY)
    const [stuck, lively] = [await pair.open(), await pair.open()]
    // Nobody reads stuck.there.
    let accepted = 0
    const block = Buffer.alloc(64 * 1024, 7)
    while (stuck.here.stream.write(block)) accepted += block.length
    await waitUntil(() => stuck.there.stream.readableLength > 0, 'something has come')
    const size = 8 * MIB
    const [moved] = await Promise.all([readPattern(lively.there.stream, 3), writePattern(lively.here.stream, size, 3)])
    expect(moved).toEqual({ size, isWhole: true })
    expect(stuck.there.stream.readableLength).toBeLessThanOrEqual(STREAM_WINDOW_BYTES)
    expect(stuck.here.stream.writableLength).toBeLessThanOrEqual(MIB)
    expect(accepted).toBeLessThanOrEqual(MIB)

    const all = readAll(stuck.there.stream)
    stuck.here.stream.end('the end')
    expect((await all).endsWith('the end')).toBe(true)
  })

  it('and goes on now and then loses nothing, both ways at once, on many streams', async () => {
    const pair = await newPair(FRAMES_ONLY)
    const size = 2 * MIB
    const moving = Array.from({ length: 6 }, async (_, seed) => {
      const { here, there } = await pair.open()
      const done = await Promise.all([
        readPattern(there.stream, seed, seed % 2 === 0 ? 100_000 : 0),
        readPattern(here.stream, seed + 100, seed % 3 === 0 ? 50_000 : 0),
        writePattern(here.stream, size, seed),
        writePattern(there.stream, size, seed + 100),
      ])
      await Promise.all([here.closed, there.closed])
      return done.slice(0, 2)
    })
    for (const [there, back] of await Promise.all(moving))
      expect([there, back]).toEqual([
        { size, isWhole: true },
        { size, isWhole: true },
      ])
  })

  it('takes memory of nobody who is idle: 1,000 streams on four tunnels hold no bytes', async () => {
    const all = await Promise.all(Array.from({ length: 4 }, () => newPair()))
    const streams = []
    for (const pair of all) for (let at = 0; at < 250; at++) streams.push(await pair.open())
    const held = streams.flatMap(({ here, there }) => [here.stream, there.stream])
    expect(held.reduce((sum, { readableLength, writableLength }) => sum + readableLength + writableLength, 0)).toBe(0)
    for (const { here } of streams) here.reset()
    await Promise.all(streams.map(({ there }) => there.closed))
    expect(all.map(({ near, far }) => near.size + far.size)).toEqual([0, 0, 0, 0])
  })
})

describe('G1: turns', () => {
  it('one byte back and forth gets through beside a bulk stream in the same tunnel', async () => {
    const pair = await newPair(FRAMES_ONLY)
    const [bulk, ping] = [await pair.open(), await pair.open()]
    ping.there.stream.pipe(ping.there.stream)
    const block = Buffer.alloc(64 * 1024, 7)
    const over = new AbortController()
    const writing = (async () => {
      while (!over.signal.aborted) if (!bulk.there.stream.write(block)) await once(bulk.there.stream, 'drain')
      bulk.there.stream.end()
    })()
    let received = 0
    bulk.here.stream.on('data', (bytes: Buffer) => (received += bytes.length))
    const took: number[] = []
    for (let turn = 0; turn < 200 || received < 20 * MIB; turn++) {
      const from = performance.now()
      ping.here.stream.write('x')
      await once(ping.here.stream, 'data')
      took.push(performance.now() - from)
    }
    over.abort()
    await writing
    // Loosely: starved, each would wait for megabytes. Figures are the benchmark's.
    expect(took.toSorted((a, b) => a - b)[took.length >> 1]).toBeLessThan(250)
  })

  it('streams that all have much to send come on together', async () => {
    const pair = await newPair(FRAMES_ONLY)
    const streams = await Promise.all([pair.open(), pair.open(), pair.open(), pair.open()])
    const received = streams.map(() => 0)
    const block = Buffer.alloc(64 * 1024, 7)
    for (const [at, { here, there }] of streams.entries()) {
      const more = (): void => {
        while (!here.stream.destroyed && here.stream.write(block));
      }
      here.stream.on('drain', more)
      there.stream.on('data', (bytes: Buffer) => (received[at] = (received[at] ?? 0) + bytes.length))
      more()
    }
    await waitUntil(() => Math.max(...received) > 30 * MIB, 'one has moved 30 MiB', 30_000)
    expect(Math.min(...received)).toBeGreaterThan(Math.max(...received) / 2)
  })
})
