// The frames of a tunnel: what they look like on the wire, and the reader that finds them in any cut of bytes. Both ends use it;
// what the frames mean is in tunnel.ts, and for people in docs/protocol.md.

/** A frame: type u8, length of the payload u24, stream u32 (big-endian; 0 where it concerns the tunnel), payload. */
export const FRAME_HEADER_BYTES = 8
/** Largest payload of a DATA frame: with its header it fills four TLS records. */
export const DATA_MAX_BYTES = 64 * 1024 - FRAME_HEADER_BYTES
/** Largest payload of any other frame: the ALPN name in OPEN. */
const CONTROL_MAX_BYTES = 64

/** Another meaning of any of these is another ALPN name. */
export const FRAME = {
  /** From the side that dialled: a new stream for the protocol whose ALPN name is the payload. */
  open: 1,
  data: 2,
  /** The sender has said everything on this stream. */
  end: 3,
  /** The stream is broken off, both ways. */
  reset: 4,
  /** After END: the sender reads no more of this stream. */
  stop: 5,
  /** So many bytes more (u32) may be sent on this stream. */
  credit: 6,
  ping: 7,
  pong: 8,
  /** The sender takes no new streams; those that live go on. */
  goAway: 9,
  /** No frames follow in this direction: what comes is the bytes of this one stream, and the end of TLS is its end. */
  raw: 10,
} as const
export type FrameType = (typeof FRAME)[keyof typeof FRAME]

/** Which lengths a payload may have, and whether the frame names a stream. */
const SHAPES = new Map<number, { min: number; max: number; isOfStream: boolean }>([
  [FRAME.open, { min: 1, max: CONTROL_MAX_BYTES, isOfStream: true }],
  [FRAME.data, { min: 1, max: DATA_MAX_BYTES, isOfStream: true }],
  [FRAME.end, { min: 0, max: 0, isOfStream: true }],
  [FRAME.reset, { min: 0, max: 0, isOfStream: true }],
  [FRAME.stop, { min: 0, max: 0, isOfStream: true }],
  [FRAME.credit, { min: 4, max: 4, isOfStream: true }],
  [FRAME.ping, { min: 0, max: 0, isOfStream: false }],
  [FRAME.pong, { min: 0, max: 0, isOfStream: false }],
  [FRAME.goAway, { min: 0, max: 0, isOfStream: false }],
  [FRAME.raw, { min: 0, max: 0, isOfStream: true }],
])

/** The other end broke the rules of the tunnel; the text says which. Ends the tunnel. */
export class TunnelProtocolError extends Error {
  override readonly name = 'TunnelProtocolError'
}

/** The header of a frame, alone or with room for its payload behind it. */
export function frameHeader(type: FrameType, stream: number, length: number, room = 0): Buffer {
  const header = Buffer.allocUnsafe(FRAME_HEADER_BYTES + room)
  writeFrameHeader(header, 0, type, stream, length)
  return header
}

/** The same into memory that is there. */
export function writeFrameHeader(into: Buffer, at: number, type: FrameType, stream: number, length: number): void {
  into.writeUInt32BE(type * 0x1000000 + length, at)
  into.writeUInt32BE(stream, at + 4)
}

/** A whole frame in one piece. */
export function encodeFrame(type: FrameType, stream: number, payload?: Buffer): Buffer {
  if (payload === undefined) return frameHeader(type, stream, 0)
  const frame = frameHeader(type, stream, payload.length, payload.length)
  payload.copy(frame, FRAME_HEADER_BYTES)
  return frame
}

export const encodeCredit = (stream: number, bytes: number): Buffer => {
  const frame = frameHeader(FRAME.credit, stream, 4, 4)
  frame.writeUInt32BE(bytes, FRAME_HEADER_BYTES)
  return frame
}

export type FrameSink = {
  /** Bytes of a stream, as they come: a DATA frame may arrive in several pieces. */
  onData(stream: number, piece: Buffer): void
  /** Any other frame, whole. */
  onFrame(type: Exclude<FrameType, typeof FRAME.data>, stream: number, payload: Buffer): void
}

const NOTHING = Buffer.alloc(0)

/** Finds frames in a stream of bytes, however it is cut. Keeps at most one header and one small payload. */
export class FrameReader {
  readonly #sink: FrameSink
  readonly #header = Buffer.alloc(FRAME_HEADER_BYTES)
  #headerHas = 0
  #type = 0
  #stream = 0
  /** Bytes of the payload that are still to come. */
  #missing = 0
  #payload: Buffer = NOTHING
  #isOver = false

  constructor(sink: FrameSink) {
    this.#sink = sink
  }

  /**
   * Reads on; the sink is told of all that these bytes complete. Returns what came after a RAW frame, which is no frames any more.
   * @throws TunnelProtocolError at the first byte that cannot be right
   */
  push(bytes: Buffer): Buffer {
    let at = 0
    while (at < bytes.length && !this.#isOver) {
      if (this.#headerHas < FRAME_HEADER_BYTES) at = this.#takeHeader(bytes, at)
      else at = this.#takePayload(bytes, at)
    }
    if (at === 0) return bytes
    return at === bytes.length ? NOTHING : bytes.subarray(at)
  }

  #takeHeader(bytes: Buffer, from: number): number {
    let at = from
    if (this.#headerHas === 0 && bytes.length - at >= FRAME_HEADER_BYTES) {
      this.#readHeader(bytes, at)
      at += FRAME_HEADER_BYTES
    } else {
      const taken = Math.min(FRAME_HEADER_BYTES - this.#headerHas, bytes.length - at)
      bytes.copy(this.#header, this.#headerHas, at, at + taken)
      this.#headerHas += taken
      at += taken
      if (this.#headerHas < FRAME_HEADER_BYTES) return at
      this.#readHeader(this.#header, 0)
    }
    this.#headerHas = FRAME_HEADER_BYTES
    if (this.#missing === 0) this.#finish()
    return at
  }

  #readHeader(bytes: Buffer, at: number): void {
    const first = bytes.readUInt32BE(at)
    const type = first >>> 24
    const length = first & 0xffffff
    const stream = bytes.readUInt32BE(at + 4)
    const shape = SHAPES.get(type)
    if (!shape) throw new TunnelProtocolError(`a frame of the unknown type ${type}`)
    if (length < shape.min || length > shape.max)
      throw new TunnelProtocolError(`a frame of type ${type} with ${length} bytes`)
    if (shape.isOfStream !== stream > 0) throw new TunnelProtocolError(`a frame of type ${type} for stream ${stream}`)
    this.#type = type
    this.#stream = stream
    this.#missing = length
  }

  #takePayload(bytes: Buffer, at: number): number {
    const end = Math.min(at + this.#missing, bytes.length)
    const piece = bytes.subarray(at, end)
    this.#missing -= piece.length
    if (this.#type === FRAME.data) {
      if (this.#missing === 0) this.#headerHas = 0
      this.#sink.onData(this.#stream, piece)
      return end
    }
    this.#payload = this.#payload.length === 0 ? piece : Buffer.concat([this.#payload, piece])
    if (this.#missing === 0) this.#finish()
    return end
  }

  #finish(): void {
    const payload = this.#payload
    this.#payload = NOTHING
    this.#headerHas = 0
    if (this.#type === FRAME.raw) this.#isOver = true
    this.#sink.onFrame(this.#type as Exclude<FrameType, typeof FRAME.data>, this.#stream, payload)
  }
}
