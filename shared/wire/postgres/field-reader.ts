// Reads the fields of one message body (integers, bytes, zero-terminated strings) with bounds checked. Used by the parsers
// of this folder; throws PostgresProtocolError and nothing else. Pure.
import { PostgresProtocolError } from './protocol-error.ts'

export class FieldReader {
  readonly #body: Buffer
  readonly #what: string
  #offset = 0

  /** @param what the message's name, for error texts. */
  constructor(body: Buffer, what: string) {
    this.#body = body
    this.#what = what
  }

  get remaining(): number {
    return this.#body.length - this.#offset
  }

  int16(): number {
    return this.#body.readInt16BE(this.#advance(2))
  }

  int32(): number {
    return this.#body.readInt32BE(this.#advance(4))
  }

  uint32(): number {
    return this.#body.readUInt32BE(this.#advance(4))
  }

  /** The next `size` bytes; a view, not a copy. */
  bytes(size: number): Buffer {
    const start = this.#advance(size)
    return this.#body.subarray(start, start + size)
  }

  rest(): Buffer {
    return this.bytes(this.remaining)
  }

  /** A zero-terminated string in UTF-8. */
  string(): string {
    const end = this.#body.indexOf(0, this.#offset)
    if (end < 0) throw new PostgresProtocolError(`${this.#what}: a string has no end`)
    const text = this.#body.toString('utf8', this.#offset, end)
    this.#offset = end + 1
    return text
  }

  /** As `string`, for bodies of which only the beginning is at hand: what has no end is cut there. */
  stringOrCut(): { text: string; isCut: boolean } {
    const end = this.#body.indexOf(0, this.#offset)
    if (end >= 0) return { text: this.string(), isCut: false }
    return { text: this.rest().toString('utf8'), isCut: true }
  }

  #advance(size: number): number {
    const start = this.#offset
    if (size < 0 || size > this.#body.length - start) throw new PostgresProtocolError(`${this.#what} is too short`)
    this.#offset = start + size
    return start
  }
}

/** A zero-terminated string in UTF-8; a zero inside would end it early, so it is refused. */
export function cString(text: string): Buffer {
  if (text.includes('\0')) throw new PostgresProtocolError('a string of the protocol cannot hold a zero character')
  return Buffer.from(`${text}\0`, 'utf8')
}
