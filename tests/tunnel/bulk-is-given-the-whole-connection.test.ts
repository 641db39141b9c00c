// Raw: a stream that is bulk and alone leaves the frames while it flows. Not a byte may be lost, doubled or moved by that, and its
// ends and resets are those of the connection from then on.
import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { TunnelStream } from '../../link/tunnel/tunnel-stream.ts'
import { waitUntil } from '../support/client-core.ts'
import { readAll, readPattern, socketLinks, tunnelPair, writePattern, type TunnelPair } from '../support/tunnel-pair.ts'

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

describe('G1: bulk', () => {
  it.each([
    ['to the server', 12 * MIB, 0],
    ['from the server', 0, 12 * MIB],
    ['both ways', 12 * MIB, 12 * MIB],
    ['more one way than the other', 12 * MIB, 3 * MIB],
  ])('arrives whole, whenever it leaves the frames, with readers that pause: %s', async (_, up, down) => {
    for (const rawFromBytes of [1, 70_000, MIB]) {
      const pair = await newPair({ rawFromBytes })
      const { here, there } = await pair.open()
      // Who has nothing to say ends when the other has: bulk leaves the frames while both ways are open.
      const begin = async (stream: Duplex, size: number, seed: number, other: Promise<unknown>): Promise<void> => {
        if (size === 0) await other
        await writePattern(stream, size, seed)
      }
      const there1 = readPattern(there.stream, 1, 300_000)
      const here1 = readPattern(here.stream, 2, 500_000)
      await Promise.all([begin(here.stream, up, 1, here1), begin(there.stream, down, 2, there1)])
      expect(await Promise.all([there1, here1])).toEqual([
        { size: up, isWhole: true },
        { size: down, isWhole: true },
      ])
      await Promise.all([here.closed, there.closed])
      // It was given to the one stream.
      expect(await Promise.all([pair.near.closed, pair.far.closed])).toEqual([undefined, undefined])
    }
  })

  it('arrives whole through pumps between sockets on both ends that are under way when it leaves the frames', async () => {
    for (const rawFromBytes of [1, 300_000, MIB]) {
      const pair = await newPair({ rawFromBytes })
      const { here, there } = await pair.open()
      const [client, accepted] = await socketLinks()
      const [target, dialed] = await socketLinks()
      const progress = { forward: 0, backward: 0 }
      const pumped = [accepted.pumpTo(here, progress), there.pumpTo(dialed)]
      const size = 8 * MIB
      const [up, down] = await Promise.all([
        readPattern(target, 5, 400_000),
        readPattern(client, 6, 0),
        writePattern(client, size, 5),
        writePattern(target, size, 6),
      ])
      expect([up, down]).toEqual([
        { size, isWhole: true },
        { size, isWhole: true },
      ])
      for (const { cause } of await Promise.all(pumped)) expect(cause).toBeUndefined()
      expect(progress).toEqual({ forward: size, backward: size })
      // And most of it did not go through the streams.
      expect([here, there].map(({ stream }) => stream instanceof TunnelStream && stream.moved < size)).toEqual([
        true,
        true,
      ])
    }
  })

  it('takes no other stream with it: the tunnel is taken, and another is for new ones', async () => {
    const pair = await newPair({ rawFromBytes: 1000 })
    const { here, there } = await pair.open()
    there.stream.resume()
    here.stream.write(Buffer.alloc(2000))
    await waitUntil(() => !pair.near.isOpen, 'it is raw')
    expect(() => pair.near.open('echo')).toThrow('takes no new streams')
  })

  it('stays in the frames while it is not alone, and leaves them when it is', async () => {
    const pair = await newPair({ rawFromBytes: 1000 })
    const [bulk, other] = [await pair.open(), await pair.open()]
    bulk.there.stream.resume()
    other.there.stream.pipe(other.there.stream)
    bulk.here.stream.write(Buffer.alloc(100_000))
    other.here.stream.write('x')
    await once(other.here.stream, 'data')
    expect(pair.near.isOpen).toBe(true)
    other.here.stream.end()
    other.here.stream.resume()
    await other.here.closed
    bulk.here.stream.write(Buffer.alloc(1000))
    await waitUntil(() => !pair.near.isOpen, 'it is raw')
  })

  it.each(['near first', 'far first'] as const)('goes on the other way after a half-close (%s)', async (order) => {
    const pair = await newPair({ rawFromBytes: 1000 })
    const { here, there } = await pair.open()
    const first = readAll(there.stream)
    const text = 'x'.repeat(5000)
    here.stream.write(text)
    await waitUntil(() => !pair.near.isOpen, 'it is raw')
    await turn()
    const second = readAll(here.stream)
    if (order === 'near first') {
      here.stream.end()
      expect(await first).toBe(text)
      there.stream.end('after the end')
      expect(await second).toBe('after the end')
    } else {
      there.stream.end('before the end')
      expect(await second).toBe('before the end')
      here.stream.end('after the end')
      expect(await first).toBe(`${text}after the end`)
    }
    await Promise.all([here.closed, there.closed, pair.near.closed, pair.far.closed])
  })

  it.each(['near', 'far'] as const)(
    'that is reset at the %s end is an error at the other, never an end',
    async (end) => {
      const pair = await newPair({ rawFromBytes: 1000 })
      const { here, there } = await pair.open()
      there.stream.resume()
      here.stream.write(Buffer.alloc(5000))
      await waitUntil(() => !pair.near.isOpen, 'it is raw')
      const [breaking, hearing] = end === 'near' ? [here, there] : [there, here]
      let hasEnded = false
      hearing.stream.once('end', () => (hasEnded = true)).resume()
      const broken = once(hearing.stream, 'error')
      breaking.reset()
      expect(await broken).toMatchObject([{ code: 'ECONNRESET' }])
      expect(hasEnded).toBe(false)
      await Promise.all([here.closed, there.closed, pair.near.closed, pair.far.closed])
    },
  )

  it('is reset where the connection is cut', async () => {
    const pair = await newPair({ rawFromBytes: 1000 })
    const { here, there } = await pair.open()
    there.stream.resume()
    here.stream.write(Buffer.alloc(5000))
    await waitUntil(() => !pair.near.isOpen, 'it is raw')
    const broken = [here, there].map(({ stream }) => once(stream, 'error'))
    pair.farTransport.resetAndDestroy()
    for (const error of await Promise.all(broken)) expect(error).toMatchObject([{ code: 'ECONNRESET' }])
  })

  it('broken off by one end just as the other leaves the frames ends both, and the tunnel', async () => {
    const pair = await newPair({ rawFromBytes: 1000 })
    const { here, there } = await pair.open()
    const broken = [here, there].map(({ stream }) => once(stream.resume(), 'error'))
    here.stream.write(Buffer.alloc(5000))
    there.reset()
    here.stream.write(Buffer.alloc(5000))
    await Promise.race(broken)
    await Promise.all([here.closed, there.closed, pair.near.closed, pair.far.closed])
    await Promise.allSettled(broken.map((one) => Promise.race([one, turn()])))
  })
})
