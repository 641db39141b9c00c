import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeMessage } from '../../shared/wire/postgres/backend-messages.ts'
import { MessageFramer, type SeenMessage } from '../../shared/wire/postgres/message-framer.ts'
import { PostgresProtocolError } from '../../shared/wire/postgres/protocol-error.ts'

const CAP = 16
const FRONTEND = 'QPBEDCSHFdcfXp'
const BACKEND = '123TtnDCIsEZVGHWdcNASKRv'

const messagesOf = (letters: string) =>
  fc.array(fc.record({ type: fc.constantFrom(...Array.from(letters)), body: fc.uint8Array({ maxLength: 200 }) }), {
    maxLength: 20,
  })

/** Cuts bytes at arbitrary places, empty pieces included. */
function cut(bytes: Buffer, places: number[]): Buffer[] {
  const ends = [...places.map((place) => place % (bytes.length + 1)), bytes.length].sort((a, b) => a - b)
  return ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end))
}

describe.each([
  ['frontend', FRONTEND],
  ['backend', BACKEND],
])('%s messages', (_, letters) => {
  const interest = Object.fromEntries(Array.from(letters).map((letter) => [letter, CAP]))

  it('DB1: any message sequence cut into any chunks is framed identically', () => {
    fc.assert(
      fc.property(messagesOf(letters), fc.array(fc.nat()), (messages, places) => {
        const bytes = Buffer.concat(messages.map(({ type, body }) => encodeMessage(type, body)))
        const seen: SeenMessage[] = []
        const framer = new MessageFramer(interest, (message) => seen.push(message))
        for (const chunk of cut(bytes, places)) expect(framer.push(chunk)).toBe(chunk.length)
        expect(framer.isAtBoundary).toBe(true)
        expect(
          seen.map(({ type, bodyLength, head }) => ({ type: String.fromCharCode(type), bodyLength, head: [...head] })),
        ).toEqual(
          messages.map(({ type, body }) => ({ type, bodyLength: body.length, head: [...body.subarray(0, CAP)] })),
        )
      }),
    )
  })

  it('DB1: stopping at the boundary takes exactly the message under way', () => {
    fc.assert(
      fc.property(messagesOf(letters), fc.nat(), (messages, place) => {
        const frames = messages.map(({ type, body }) => encodeMessage(type, body))
        const bytes = Buffer.concat(frames)
        const at = place % (bytes.length + 1)
        const framer = new MessageFramer(interest, () => undefined)
        framer.push(bytes.subarray(0, at))
        const taken = framer.push(bytes.subarray(at), true)
        const ends = frames.reduce<number[]>((list, frame) => [...list, (list.at(-1) ?? 0) + frame.length], [0])
        expect(at + taken).toBe(ends.find((end) => end >= at))
        expect(framer.isAtBoundary).toBe(true)
      }),
    )
  })
})

it('DB1: keeps nothing of a chunk whose memory is used again', () => {
  fc.assert(
    fc.property(messagesOf(FRONTEND), fc.array(fc.nat()), (messages, places) => {
      const bytes = Buffer.concat(messages.map(({ type, body }) => encodeMessage(type, body)))
      const seen: number[][] = []
      const interest = Object.fromEntries(Array.from(FRONTEND).map((letter) => [letter, CAP]))
      const framer = new MessageFramer(interest, ({ head }) => seen.push([...head]))
      const memory = Buffer.alloc(bytes.length)
      for (const chunk of cut(bytes, places)) {
        chunk.copy(memory)
        framer.push(memory.subarray(0, chunk.length))
        memory.fill(0xff)
      }
      expect(seen).toEqual(messages.map(({ body }) => [...body.subarray(0, CAP)]))
    }),
  )
})

it('DB1: a message that its reader refuses was not taken: nothing may be said behind what did not go on', () => {
  const refuse = () => {
    throw new PostgresProtocolError('not this one')
  }
  for (const cutAt of [0, 3, 7]) {
    const bytes = encodeMessage('Q', Buffer.from('select 1\0'))
    const framer = new MessageFramer({ Q: CAP }, refuse)
    framer.push(bytes.subarray(0, cutAt))
    expect(() => framer.push(bytes.subarray(cutAt))).toThrow('not this one')
    expect(framer.isAtBoundary).toBe(false)
  }
  const framer = new MessageFramer({ Q: CAP }, () => undefined)
  expect(() => framer.push(Buffer.concat([encodeMessage('S'), Buffer.from('Q\0\0\0\x03')]))).toThrow('3 bytes')
  expect(framer.isAtBoundary).toBe(false)
})

it('DB1: garbage in any chunks never throws anything but the protocol error and never loops', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 20 }), (chunks) => {
      const framer = new MessageFramer({ Q: CAP, E: CAP }, () => undefined)
      try {
        for (const chunk of chunks) framer.push(Buffer.from(chunk))
      } catch (error) {
        expect(error).toBeInstanceOf(PostgresProtocolError)
      }
    }),
  )
})

it('DB1: a message of a gigabyte keeps no more than its head', () => {
  let seen: SeenMessage | undefined
  const framer = new MessageFramer({ Q: CAP }, (message) => (seen = message))
  const header = Buffer.from([0x51, 0x40, 0, 0, 0])
  framer.push(header)
  const chunk = Buffer.alloc(1 << 20, 0x61)
  for (let left = 0x40000000 - 4; left > 0; left -= chunk.length)
    framer.push(chunk.subarray(0, Math.min(left, chunk.length)))
  expect(seen).toMatchObject({ bodyLength: 0x40000000 - 4, head: Buffer.alloc(CAP, 0x61) })
  expect(framer.isAtBoundary).toBe(true)
})
