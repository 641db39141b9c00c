// The reader of frames against every cut of good bytes and against bytes that nobody sent in good faith.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  DATA_MAX_BYTES,
  encodeCredit,
  encodeFrame,
  FRAME,
  frameHeader,
  FrameReader,
  TunnelProtocolError,
  type FrameType,
} from '../../link/tunnel/frames.ts'

type Seen = { type: number; stream: number; payload: string }

/** Reads the pieces; neighbouring pieces of one stream's data are told as one. */
function readerOf(): { reader: FrameReader; seen: Seen[] } {
  const seen: Seen[] = []
  const reader = new FrameReader({
    onData(stream, piece) {
      const last = seen.at(-1)
      if (last?.type === FRAME.data && last.stream === stream) last.payload += piece.toString('hex')
      else seen.push({ type: FRAME.data, stream, payload: piece.toString('hex') })
    },
    onFrame: (type, stream, payload) => seen.push({ type, stream, payload: payload.toString('hex') }),
  })
  return { reader, seen }
}

const stream = fc.integer({ min: 1, max: 0xffffffff })
const frame = fc.oneof(
  fc.record({ type: fc.constant(FRAME.open), stream, payload: fc.uint8Array({ minLength: 1, maxLength: 64 }) }),
  fc.record({ type: fc.constant(FRAME.data), stream, payload: fc.uint8Array({ minLength: 1, maxLength: 300 }) }),
  fc.record({ type: fc.constant(FRAME.credit), stream, payload: fc.uint8Array({ minLength: 4, maxLength: 4 }) }),
  fc.record({
    type: fc.constantFrom<FrameType[]>(FRAME.end, FRAME.reset, FRAME.stop),
    stream,
    payload: fc.constant(new Uint8Array()),
  }),
  fc.record({
    type: fc.constantFrom<FrameType[]>(FRAME.ping, FRAME.pong, FRAME.goAway),
    stream: fc.constant(0),
    payload: fc.constant(new Uint8Array()),
  }),
)

describe('frames of a tunnel', () => {
  it('G1: are found whole and in order, however the bytes are cut, and what follows RAW is left alone', () => {
    fc.assert(
      fc.property(
        fc.array(frame, { maxLength: 12 }),
        fc.uint8Array({ maxLength: 40 }),
        fc.array(fc.nat(2000), { maxLength: 20 }),
        (frames, rest, cuts) => {
          const raw = encodeFrame(FRAME.raw, 7)
          const bytes = Buffer.concat([
            ...frames.map(({ type, stream, payload }) => encodeFrame(type, stream, Buffer.from(payload))),
            raw,
            rest,
          ])
          const { reader, seen } = readerOf()
          const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
          const left = places.slice(1).map((end, at) => reader.push(bytes.subarray(places[at], end)))
          expect(Buffer.concat(left).equals(Buffer.from(rest))).toBe(true)
          const expected: Seen[] = []
          for (const { type, stream, payload } of frames) {
            const last = expected.at(-1)
            const hex = Buffer.from(payload).toString('hex')
            if (type === FRAME.data && last?.type === FRAME.data && last.stream === stream) last.payload += hex
            else expected.push({ type, stream, payload: hex })
          }
          expect(seen).toEqual([...expected, { type: FRAME.raw, stream: 7, payload: '' }])
        },
      ),
    )
  })

  it('G1: bytes that are no frames end in a TunnelProtocolError and in nothing else', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 20 }), (pieces) => {
        const { reader } = readerOf()
        try {
          for (const piece of pieces) reader.push(Buffer.from(piece))
        } catch (error) {
          expect(error).toBeInstanceOf(TunnelProtocolError)
        }
      }),
    )
  })

  it.each([
    ['an unknown type', Buffer.from([99, 0, 0, 0, 0, 0, 0, 1])],
    ['type 0', Buffer.alloc(8)],
    ['data of no stream', frameHeader(FRAME.data, 0, 5)],
    ['data of no bytes', frameHeader(FRAME.data, 1, 0)],
    ['too much data', frameHeader(FRAME.data, 1, DATA_MAX_BYTES + 1)],
    ['a name without end', frameHeader(FRAME.open, 1, 65)],
    ['an end with bytes', frameHeader(FRAME.end, 1, 1)],
    ['half a credit', frameHeader(FRAME.credit, 1, 3)],
    ['a ping of a stream', frameHeader(FRAME.ping, 1, 0)],
    ['raw of no stream', frameHeader(FRAME.raw, 0, 0)],
  ])('G1: refuses at the header, before any payload: %s', (_, bytes) => {
    expect(() => readerOf().reader.push(bytes)).toThrow(TunnelProtocolError)
  })

  it('G1: a credit carries its number of bytes', () => {
    const { reader, seen } = readerOf()
    reader.push(encodeCredit(3, 0x01020304))
    expect(seen).toEqual([{ type: FRAME.credit, stream: 3, payload: '01020304' }])
  })
})
