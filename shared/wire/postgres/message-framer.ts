// Walks over a stream of typed messages (one type byte, u32 length that counts itself) without keeping it: tells type and
// length of the messages of interest, with at most so many bytes of their beginning as the caller wants. Used by the engine
// to watch both directions; works on any cut of the stream; its memory is bounded by the caller's cap. Pure.
// Source: PostgreSQL documentation, "Frontend/Backend Protocol", 55.2 (message format).
import { PostgresProtocolError } from './protocol-error.ts'

/** The type byte of a message, e.g. `typeCode('Q')`. */
export const typeCode = (letter: string): number => letter.charCodeAt(0)

export type SeenMessage = {
  /** The type byte. */
  type: number
  /** Bytes of the body, without type and length. */
  bodyLength: number
  /** The beginning of the body: as many bytes of it as the caller's cap for this type. Only lent: it is read in the call or copied. */
  head: Buffer
}

/** Type letter → how many bytes of the body to hand over (0: type and length only). Types not named pass unseen. */
export type Interest = Readonly<Record<string, number>>

const HEADER_BYTES = 5
const NOTHING = Buffer.alloc(0)

export class MessageFramer {
  readonly #caps = new Int32Array(256).fill(-1)
  readonly #onMessage: (message: SeenMessage) => void
  readonly #header = Buffer.alloc(HEADER_BYTES)
  #headerLength = 0
  /** Bytes of the current body that have not come yet. */
  #bodyLeft = 0
  #bodyLength = 0
  #head: Buffer | undefined
  #headLength = 0

  /** `onMessage` is called once a message's head is complete, in the order of the stream; the rest may still be on its way. */
  constructor(interest: Interest, onMessage: (message: SeenMessage) => void) {
    for (const [letter, cap] of Object.entries(interest)) this.#caps[typeCode(letter)] = cap
    this.#onMessage = onMessage
  }

  /** Whether everything so far was whole messages. */
  get isAtBoundary(): boolean {
    return this.#headerLength === 0
  }

  /**
   * Takes the next bytes of the stream.
   * @param stopAtBoundary stop after the message that is under way (at once if none is).
   * @returns how many bytes were taken: all of them, or those up to the boundary.
   * @throws PostgresProtocolError for a length below 4; the framer cannot be used after that.
   */
  push(chunk: Buffer, stopAtBoundary = false): number {
    let offset = 0
    while (offset < chunk.length) {
      if (this.isAtBoundary) {
        if (stopAtBoundary) break
        offset = this.#takeWholeOnes(chunk, offset)
        if (offset === chunk.length) break
      }
      offset = this.#headerLength < HEADER_BYTES ? this.#takeHeader(chunk, offset) : this.#takeBody(chunk, offset)
    }
    return offset
  }

  /** Messages that are wholly in the chunk, which nearly all are: looked at where they lie. */
  #takeWholeOnes(chunk: Buffer, from: number): number {
    let offset = from
    // Not at a boundary, should the caller throw: what it threw at does not count as taken.
    this.#headerLength = HEADER_BYTES
    while (chunk.length - offset >= HEADER_BYTES) {
      const length = lengthOf(chunk, offset)
      const end = offset + 1 + length
      if (end > chunk.length) break
      const type = chunk[offset] ?? 0
      const cap = this.#caps[type] ?? -1
      if (cap >= 0) {
        const body = offset + HEADER_BYTES
        const head = cap === 0 ? NOTHING : chunk.subarray(body, Math.min(end, body + cap))
        this.#onMessage({ type, bodyLength: length - 4, head })
      }
      offset = end
    }
    this.#headerLength = 0
    return offset
  }

  #takeHeader(chunk: Buffer, offset: number): number {
    const size = Math.min(HEADER_BYTES - this.#headerLength, chunk.length - offset)
    this.#header.set(chunk.subarray(offset, offset + size), this.#headerLength)
    this.#headerLength += size
    if (this.#headerLength === HEADER_BYTES) this.#beginBody()
    return offset + size
  }

  #beginBody(): void {
    const length = lengthOf(this.#header, 0)
    this.#bodyLength = this.#bodyLeft = length - 4
    const cap = this.#caps[this.#header[0] ?? 0] ?? -1
    this.#head = cap < 0 ? undefined : cap === 0 ? NOTHING : Buffer.alloc(Math.min(cap, this.#bodyLength))
    this.#headLength = 0
    this.#reportWhenHeadIsComplete()
    this.#endWhenBodyIsOver()
  }

  #takeBody(chunk: Buffer, offset: number): number {
    const size = Math.min(this.#bodyLeft, chunk.length - offset)
    if (this.#head !== undefined) {
      const part = chunk.subarray(offset, offset + Math.min(size, this.#head.length - this.#headLength))
      this.#head.set(part, this.#headLength)
      this.#headLength += part.length
      this.#reportWhenHeadIsComplete()
    }
    this.#bodyLeft -= size
    this.#endWhenBodyIsOver()
    return offset + size
  }

  #reportWhenHeadIsComplete(): void {
    if (this.#head === undefined || this.#headLength < this.#head.length) return
    const message = { type: this.#header[0] ?? 0, bodyLength: this.#bodyLength, head: this.#head }
    this.#head = undefined
    this.#onMessage(message)
  }

  #endWhenBodyIsOver(): void {
    if (this.#bodyLeft === 0) this.#headerLength = 0
  }
}

/** The length in the header of a message that begins there. */
function lengthOf(bytes: Buffer, offset: number): number {
  const length = bytes.readInt32BE(offset + 1)
  if (length < 4) throw new PostgresProtocolError(`a message says that it has ${length} bytes`)
  return length
}
