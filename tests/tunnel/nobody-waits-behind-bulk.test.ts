// The order of frames on the wire: what is in front of a single byte when a stream beside it has all that it may send waiting.
import { Duplex } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { encodeCredit, encodeFrame, FRAME, FrameReader } from '../../link/tunnel/frames.ts'
import { SHARED_BATCH_BYTES, TURN_BYTES } from '../../link/tunnel/frame-turns.ts'
import { Tunnel } from '../../link/tunnel/tunnel.ts'
import { SHARED_WINDOW_BYTES, STREAM_WINDOW_BYTES } from '../../link/tunnel/tunnel-stream.ts'
import { CALM } from '../support/tunnel-pair.ts'

/** A connection whose other end is this test: it takes bytes when it is told to, and sees the frames that went. */
class Wire extends Duplex {
  readonly frames: { stream: number; bytes: number }[] = []
  #isOpen = true
  #held: (() => void) | undefined
  readonly #reader = new FrameReader({
    onData: (stream, { length: bytes }) => void this.frames.push({ stream, bytes }),
    onFrame: () => undefined,
  })

  constructor() {
    // As sockets have it.
    super({ writableHighWaterMark: 64 * 1024 })
  }

  /** Takes what comes from now on, or holds it. */
  letThrough(isOpen: boolean): void {
    this.#isOpen = isOpen
    if (!isOpen) return
    this.#held?.()
    this.#held = undefined
  }

  say(frame: Buffer): void {
    this.push(frame)
  }

  /** DATA of that stream that went so far, in bytes. */
  bytesOf(stream: number): number {
    return this.frames.reduce((sum, one) => (one.stream === stream ? sum + one.bytes : sum), 0)
  }

  override _read(): void {
    // Only what `say` pushes.
  }

  override _write(bytes: Buffer, _encoding: BufferEncoding, done: () => void): void {
    const taken = (): void => {
      this.#reader.push(bytes)
      setImmediate(done)
    }
    if (this.#isOpen) taken()
    else this.#held = taken
  }
}

const opened: Tunnel[] = []
afterEach(() => {
  for (const tunnel of opened.splice(0)) tunnel.destroy()
})
function newTunnel(): { tunnel: Tunnel; wire: Wire } {
  const wire = new Wire()
  const tunnel = new Tunnel({ socket: wire, transport: wire, settings: { ...CALM, rawFromBytes: Infinity } })
  opened.push(tunnel)
  return { tunnel, wire }
}
const untilQuiet = async (wire: Wire): Promise<void> => {
  for (let before = -1; before !== wire.frames.length;) {
    before = wire.frames.length
    for (let at = 0; at < 50; at++) await turn()
  }
}
const MIB = 1024 * 1024

describe('G1: beside a stream that has a whole window to send', () => {
  it('a byte is a few frames behind, however much waits', async () => {
    const { tunnel, wire } = newTunnel()
    const [bulk, ping] = [tunnel.open('bulk').stream, tunnel.open('ping').stream]
    await untilQuiet(wire)
    wire.letThrough(false)
    bulk.write(Buffer.alloc(MIB))
    ping.write('x')
    wire.letThrough(true)
    await untilQuiet(wire)
    const at = wire.frames.findIndex(({ stream }) => stream === 2)
    const before = wire.frames.slice(0, at).reduce((sum, { bytes }) => sum + bytes, 0)
    expect(before).toBeLessThanOrEqual(SHARED_BATCH_BYTES + TURN_BYTES)
    // And bulk went on to the end of its window.
    expect(wire.bytesOf(1)).toBe(STREAM_WINDOW_BYTES)
  })

  it('bulk that is alone has frames as long as there are, and shares from the moment on that another lives', async () => {
    const { tunnel, wire } = newTunnel()
    const bulk = tunnel.open('bulk').stream
    bulk.write(Buffer.alloc(120_000))
    await untilQuiet(wire)
    expect(Math.max(...wire.frames.map(({ bytes }) => bytes))).toBeGreaterThan(TURN_BYTES)
    tunnel.open('ping')
    wire.frames.splice(0)
    bulk.write(Buffer.alloc(120_000))
    await untilQuiet(wire)
    expect(Math.max(...wire.frames.map(({ bytes }) => bytes))).toBe(TURN_BYTES)
  })

  it('eight that all have much to send are sent in turns: none is ahead by more than what it began with', async () => {
    const { tunnel, wire } = newTunnel()
    const streams = Array.from({ length: 8 }, () => tunnel.open('bulk').stream)
    wire.letThrough(false)
    for (const stream of streams) stream.write(Buffer.alloc(MIB))
    wire.letThrough(true)
    await untilQuiet(wire)
    const sent = new Map<number, number>()
    for (const { stream, bytes } of wire.frames) {
      sent.set(stream, (sent.get(stream) ?? 0) + bytes)
      const all = Array.from({ length: 8 }, (_, at) => sent.get(at + 1) ?? 0)
      expect(Math.max(...all) - Math.min(...all)).toBeLessThanOrEqual(SHARED_BATCH_BYTES + TURN_BYTES)
    }
    expect(sent.size).toBe(8)
  })

  it('it has less on its way where the other end is near, and all of it where it is far, or alone again', async () => {
    const { tunnel, wire } = newTunnel()
    const [bulk, ping] = [tunnel.open('bulk').stream, tunnel.open('ping').stream]
    bulk.write(Buffer.alloc(4 * MIB))
    await untilQuiet(wire)
    // Nothing is known of the other end yet.
    expect(wire.bytesOf(1)).toBe(STREAM_WINDOW_BYTES)
    // Far: room takes long to come back.
    await new Promise((resolve) => setTimeout(resolve, 20))
    wire.say(encodeCredit(1, STREAM_WINDOW_BYTES))
    await untilQuiet(wire)
    expect(wire.bytesOf(1)).toBe(2 * STREAM_WINDOW_BYTES)

    // Near: it comes back at once.
    wire.say(encodeCredit(1, STREAM_WINDOW_BYTES))
    const given = await answerAtOnce(wire, 2 * STREAM_WINDOW_BYTES, 20)
    await untilQuiet(wire)
    expect(wire.bytesOf(1) - given).toBeLessThanOrEqual(SHARED_WINDOW_BYTES)

    ping.destroy()
    wire.say(encodeFrame(FRAME.reset, 2))
    wire.say(encodeCredit(1, 1))
    await untilQuiet(wire)
    expect(wire.bytesOf(1) - given).toBeGreaterThan(SHARED_WINDOW_BYTES)
  })
})

/** Gives back what came, as soon as it did, that many times. @returns what was given back altogether, in bytes */
async function answerAtOnce(wire: Wire, from: number, times: number): Promise<number> {
  let granted = from
  for (let at = 0; at < times; at++) {
    while (wire.bytesOf(1) === granted) await turn()
    const bytes = wire.bytesOf(1) - granted
    granted += bytes
    wire.say(encodeCredit(1, bytes))
  }
  return granted
}
