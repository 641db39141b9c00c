// What streams of one tunnel say in one turn of the event loop costs one write: seen at the connection, written by our own hands.
import { Duplex } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { encodeCredit, FRAME, FrameReader } from '../../link/tunnel/frames.ts'
import { Tunnel } from '../../link/tunnel/tunnel.ts'
import { STREAM_WINDOW_BYTES, TunnelStream } from '../../link/tunnel/tunnel-stream.ts'
import { CALM } from '../support/tunnel-pair.ts'

/** A connection whose other end is this test: it counts what is written, and puts together what each stream said. */
class Wire extends Duplex {
  writes = 0
  readonly said = new Map<number, Buffer[]>()
  readonly ended: number[] = []
  readonly #reader = new FrameReader({
    onData: (stream, piece) => {
      this.said.set(stream, [...(this.said.get(stream) ?? []), Buffer.from(piece)])
    },
    onFrame: (type, stream) => {
      if (type === FRAME.end) this.ended.push(stream)
    },
  })

  constructor() {
    super({ writableHighWaterMark: 64 * 1024 })
  }

  textOf(stream: number): string {
    return Buffer.concat(this.said.get(stream) ?? []).toString('latin1')
  }

  override _read(): void {
    // Only what the test pushes.
  }

  override _write(bytes: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.writes += 1
    this.#reader.push(bytes)
    // As TLS does: a write is over a turn later.
    setImmediate(done)
  }
}

const opened: Tunnel[] = []
afterEach(() => {
  for (const tunnel of opened.splice(0)) tunnel.destroy()
})
async function newTunnel(count: number): Promise<{ wire: Wire; streams: TunnelStream[] }> {
  const wire = new Wire()
  const tunnel = new Tunnel({ socket: wire, transport: wire, settings: { ...CALM, rawFromBytes: Infinity } })
  opened.push(tunnel)
  const streams = Array.from({ length: count }, () => tunnel.open('a').stream).filter(
    (one) => one instanceof TunnelStream,
  )
  await turns()
  wire.writes = 0
  return { wire, streams }
}
const turns = async (): Promise<void> => {
  for (let at = 0; at < 20; at++) await turn()
}
/** As callbacks of several sockets are, one after the other, each with its own microtasks and ticks behind it. */
const asOfSockets = async (acts: readonly (() => void)[]): Promise<void> => {
  for (const act of acts) {
    act()
    await Promise.resolve()
    await new Promise<void>((resolve) => process.nextTick(resolve))
  }
}

describe('G1: small pieces of streams that share a tunnel', () => {
  it('that came in one turn go out in one write, each in the order of its stream', async () => {
    const { wire, streams } = await newTunnel(8)
    await asOfSockets(
      [1, 2].flatMap((time) =>
        streams.map((stream) => () => expect(stream.sendNow(Buffer.from(`${time}`))).toBe(true)),
      ),
    )
    await turns()
    expect(wire.writes).toBe(1)
    expect(streams.map(({ id }) => wire.textOf(id))).toEqual(streams.map(() => '12'))
  })

  it('of one that is alone wait for no turn', async () => {
    const { wire, streams } = await newTunnel(1)
    streams[0]?.sendNow(Buffer.from('x'))
    await new Promise<void>((resolve) => process.nextTick(resolve))
    expect(wire.writes).toBe(1)
  })

  it('never pass what waits in the queue of their stream, nor its end, nor the room that the other end gave', async () => {
    const { wire, streams } = await newTunnel(2)
    const [stream, other] = streams
    if (!stream || !other) throw new Error('there are two')
    stream.write('a'.repeat(STREAM_WINDOW_BYTES + 1))
    expect(stream.sendNow(Buffer.from('b'))).toBe(false)
    stream.write('b')
    await turns()
    expect(stream.sendNow(Buffer.from('c'))).toBe(false)
    stream.end('c')
    expect(stream.sendNow(Buffer.from('d'))).toBe(false)
    expect(other.sendNow(Buffer.from('beside'))).toBe(true)
    await turns()
    expect(wire.textOf(stream.id)).toHaveLength(STREAM_WINDOW_BYTES)
    wire.push(encodeCredit(stream.id, STREAM_WINDOW_BYTES))
    await turns()
    expect(wire.textOf(stream.id).slice(STREAM_WINDOW_BYTES)).toBe('abc')
    expect(wire.textOf(other.id)).toBe('beside')
    expect(wire.ended).toEqual([stream.id])
    stream.destroy()
    expect(stream.sendNow(Buffer.from('e'))).toBe(false)
  })

  it('and big ones, written or sent at once as it comes, arrive whole and in order', async () => {
    const Act = fc.record({
      stream: fc.nat(2),
      size: fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 20_000 })),
      isDirect: fc.boolean(),
      waits: fc.boolean(),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(Act, { maxLength: 30 }), async (acts) => {
        const { wire, streams } = await newTunnel(3)
        const expected = ['', '', '']
        let letter = 0
        for (const { stream: at, size, isDirect, waits } of acts) {
          const piece = String.fromCharCode(97 + (letter++ % 26)).repeat(size)
          const [stream, before = ''] = [streams[at], expected[at]]
          if (!stream || before.length + size > STREAM_WINDOW_BYTES) continue
          expected[at] = before + piece
          if (!isDirect || !stream.sendNow(Buffer.from(piece))) stream.write(piece)
          if (waits) await turn()
        }
        for (const stream of streams) stream.end()
        for (let at = 0; at < 200 && wire.ended.length < 3; at++) await turn()
        expect(wire.ended).toHaveLength(3)
        expect(streams.map(({ id }) => wire.textOf(id))).toEqual(expected)
      }),
      { numRuns: 60 },
    )
  })
})
