// Every way that the pump can take, under a load whose every byte is known: fast and slow readers and writers, both directions at
// once, what streams hold already, and where the way of user buffers is not there.
import { Socket } from 'node:net'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { readBytes } from '../../link/read-bytes.ts'
import { turns } from '../../link/turns.ts'
import {
  exchange,
  hideHandle,
  pumpedPath,
  readLoad,
  streamSide,
  tcpSide,
  tlsSide,
  unixSide,
  writeLoad,
  type Load,
  type MakeSide,
} from '../support/pumped-paths.ts'

const MB = 1_000_000
/** How long there are others beside bulk, in ms. */
const BESIDE_MS = 150

/** Whether a socket reads into buffers of the pump. */
const isFast = (socket: unknown): boolean =>
  socket instanceof Socket &&
  Object.getOwnPropertySymbols(socket).some(
    (one) => one.description === 'kBufferCb' && typeof Reflect.get(socket, one) === 'function',
  )

const ways: Record<string, { a: MakeSide; b: MakeSide; hidden?: ('a' | 'b')[]; fast: [boolean, boolean] }> = {
  'TCP to TLS, as in a gateway': { a: tcpSide, b: tlsSide('client'), fast: [true, true] },
  'TLS to TCP, as in the access server': { a: tlsSide('server'), b: tcpSide, fast: [true, true] },
  'TLS to TLS': { a: tlsSide('server'), b: tlsSide('client'), fast: [true, true] },
  'TCP to TCP': { a: tcpSide, b: tcpSide, fast: [true, true] },
  'a Unix socket to TLS, as in a gateway with a socket': { a: unixSide, b: tlsSide('client'), fast: [true, true] },
  'TCP to TLS, without the handles': { a: tcpSide, b: tlsSide('client'), hidden: ['a', 'b'], fast: [false, false] },
  'TCP to TLS, without the handle of one': { a: tcpSide, b: tlsSide('client'), hidden: ['b'], fast: [true, false] },
  'TCP to a stream that is no socket': { a: tcpSide, b: streamSide, fast: [false, false] },
}

describe('the pump between two links', () => {
  for (const [name, { a, b, hidden = [], fast }] of Object.entries(ways)) {
    const path = pumpedPath(a, b, (_, links) => {
      if (hidden.includes('a')) hideHandle(links[0])
      if (hidden.includes('b')) hideHandle(links[1])
    })
    const load = (bytes: number, seed: number, slow: Partial<Load> = {}): Load => ({ bytes, seed, ...slow })

    it(`G1: ${name}: both directions at once arrive whole, and are counted`, async () => {
      const looked: unknown[] = []
      const ends = await pumpedPath(a, b, (_, links) => {
        if (hidden.includes('a')) hideHandle(links[0])
        if (hidden.includes('b')) hideHandle(links[1])
        looked.push(links[0].stream, links[1].stream)
      })()
      expect(looked.map(isFast)).toEqual(fast)
      expect(await exchange(ends, load(60 * MB + 7, 1), load(60 * MB + 1, 2))).toEqual([60 * MB + 7, 60 * MB + 1])
      expect(await ends.pumped).toEqual({ cause: undefined })
      expect(ends.progress).toEqual({ forward: 60 * MB + 7, backward: 60 * MB + 1 })
    })

    it(`G1: ${name}: slow readers and slow writers, in both directions`, async () => {
      const slowReaders = exchange(
        await path(),
        load(12 * MB, 3, { readerRests: 300_000 }),
        load(12 * MB, 4, { readerRests: 1_000_000 }),
      )
      const slowWriters = exchange(
        await path(),
        load(6 * MB, 5, { writerRests: 300_000 }),
        load(6 * MB, 6, { writerRests: 100_000 }),
      )
      expect(await slowReaders).toEqual([12 * MB, 12 * MB])
      expect(await slowWriters).toEqual([6 * MB, 6 * MB])
    })

    it(`G1: ${name}: bulk that rests again and again beside others arrives whole, as soon as they are quiet at full speed`, async () => {
      const small = { from: {}, smallAtMs: -Infinity }
      const note = (): void => turns.noteSmallPiece(small)
      note()
      note()
      const neighbour = setInterval(note, 20)
      try {
        const ends = await path()
        setTimeout(clearInterval, BESIDE_MS, neighbour)
        expect(await exchange(ends, load(20 * MB, 9), load(20 * MB, 10))).toEqual([20 * MB, 20 * MB])
        expect(await ends.pumped).toEqual({ cause: undefined })
      } finally {
        clearInterval(neighbour)
      }
    })
  }

  it('G1, G13: what a stream holds when the pump takes over goes first and once, an end that was there already too', async () => {
    for (const [a, b] of [
      [tcpSide, tlsSide('client')],
      [tlsSide('server'), tcpSide],
    ] as const) {
      const up: Load = { bytes: 3 * MB, seed: 7 }
      const down: Load = { bytes: 200_001, seed: 8 }
      let writing: Promise<unknown> | undefined
      const ends = await pumpedPath(a, b, async ({ near, far }, [here, there]) => {
        writing = Promise.all([writeLoad(near, up), writeLoad(far, down)])
        // The first bytes are read as a preamble is, the rest waits; the other side has said everything, and ended.
        here.stream.unshift(await readBytes(here.stream, 10, AbortSignal.timeout(20_000)))
        const said: Buffer[] = []
        there.stream.on('data', (chunk: Buffer) => said.push(chunk))
        await once(there.stream, 'end')
        there.stream.removeAllListeners('data').pause()
        here.stream.write(Buffer.concat(said))
        expect(here.stream.readableLength).toBeGreaterThan(0)
      })()
      const came = await Promise.all([readLoad(ends.far, up), readLoad(ends.near, down), writing])
      expect(came.slice(0, 2)).toEqual([up.bytes, down.bytes])
      expect(await ends.pumped).toEqual({ cause: undefined })
      expect(ends.progress.forward).toBe(up.bytes)
    }
  })

  it('G1: thousands of short records to a reader that stands still arrive whole, in little memory', async () => {
    const ends = await pumpedPath(tlsSide('server'), tcpSide)()
    const before = process.memoryUsage().arrayBuffers
    const text = 'x'.repeat(63)
    let written = 0
    ends.far.pause()
    // Until nothing more goes through: every buffer on the way is full.
    for (let isFull = false; !isFull;) {
      for (let n = 0; n < 1000; n++) ends.near.write(text + '\n')
      written += 64_000
      isFull = !(await Promise.race([
        new Promise<boolean>((resolve) => ends.near.write('', () => resolve(true))),
        new Promise<boolean>((resolve) => setTimeout(resolve, 1000, false)),
      ]))
    }
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64 * MB)
    ends.near.end()
    ends.far.end()
    let came = 0
    for await (const chunk of ends.far as AsyncIterable<Buffer>) {
      came += chunk.length
      expect(chunk.includes('xx')).toBe(true)
    }
    ends.near.resume()
    expect(came).toBe(written)
    expect(await ends.pumped).toEqual({ cause: undefined })
  })
})
