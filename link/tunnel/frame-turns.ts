// What goes out of one end of a tunnel, and in which order: frames of the tunnel itself at once, streams that have something to send
// in turns. Little of a stream is ever in front of the others: a turn is short, few are handed to TLS before those before them are
// out, and where streams share, one whose other end is near has less of it on its way. Made and called by tunnel.ts alone.
import type { Duplex } from 'node:stream'
import { DATA_MAX_BYTES, encodeFrame, FRAME, FRAME_HEADER_BYTES, frameHeader, writeFrameHeader } from './frames.ts'
import type { TunnelStream } from './tunnel-stream.ts'

/** A turn, where another stream lives, in bytes. */
export const TURN_BYTES = 16 * 1024
/** Frames handed to TLS before those before them are out, in bytes: what a single byte may have to wait for on our side. */
const BATCH_BYTES = 128 * 1024
/** The same where another stream lives. */
export const SHARED_BATCH_BYTES = 32 * 1024
/** A piece up to this is copied into one write with its header and with what else goes out, in bytes. */
const COPIED_BYTES = 8 * 1024
/**
 * A piece up to this waits for company to the end of the turn, in bytes. What is longer is part of more, oftener than not (PostgreSQL
 * sends 8 KiB at a time), and a turn later each time is slower.
 */
const WAITING_BYTES = 4 * 1024
const NOTHING = Buffer.alloc(0)
/** Of what is a frame already; streams count from 1. */
const NO_STREAM = 0

export type FrameTurnsOwner = {
  /** Whether more than one stream lives. */
  isShared: () => boolean
  /** Bytes of this stream are on their way. */
  onSent: (stream: TunnelStream) => void
  /** So is its end. */
  onEndSent: (stream: TunnelStream) => void
}

export class FrameTurns {
  readonly #socket: Duplex
  readonly #owner: FrameTurnsOwner
  /** Those with something to send, in the order of their turns. */
  readonly #waiting = new Set<TunnelStream>()
  /** What goes out in one write: frames as they are, and pieces whose stream's id says that they want a header. */
  #gathered: { id: number; bytes: Buffer }[] = []
  #gatheredBytes = 0
  #isFlushing = false
  #isCorked = false
  #isTickAwaited = false
  #isTurnAwaited = false
  #isOutAwaited = false
  #raw: TunnelStream | undefined

  /** @param socket a finished handshake; nobody else writes to it */
  constructor(socket: Duplex, owner: FrameTurnsOwner) {
    this.#socket = socket
    this.#owner = owner
    socket.on('drain', () => this.#flush())
  }

  /** The stream that has this direction of the connection to itself: no frames follow. */
  get raw(): TunnelStream | undefined {
    return this.#raw
  }

  /** A frame of the tunnel, or one that must not wait for its stream's turn. */
  send(frame: Buffer): void {
    if (this.#raw || this.#socket.destroyed || this.#socket.writableEnded) return
    this.#gather(NO_STREAM, frame)
  }

  /**
   * Sends a small piece of a stream that has nothing in front of it and room for it at the other end, past the stream's own queue.
   * @returns false, with nothing done, where it has to wait for its turn
   */
  sendNow(stream: TunnelStream, piece: Buffer): boolean {
    if (piece.length > COPIED_BYTES || this.#raw || this.#socket.destroyed || this.#socket.writableEnded) return false
    const isShared = this.#owner.isShared()
    if (this.#isFull(isShared) || !stream.takeDirectly(piece.length, isShared)) return false
    this.#gather(stream.id, piece)
    this.#owner.onSent(stream)
    return true
  }

  /** The stream has something to send, or its end. */
  add(stream: TunnelStream): void {
    this.#waiting.add(stream)
    this.#flush()
  }

  /** It is over. */
  remove(stream: TunnelStream): void {
    this.#waiting.delete(stream)
  }

  /** From here on the connection is this stream's. */
  goRaw(stream: TunnelStream): void {
    this.send(encodeFrame(FRAME.raw, stream.id))
    this.#writeGathered()
    this.#raw = stream
  }

  /** Nothing follows. */
  end(): void {
    this.#writeGathered()
    this.#socket.end()
  }

  /**
   * What streams that share say in one turn of the event loop goes out together, in one record of TLS: a write costs more than
   * all else that a small piece needs. One that is alone has nobody to wait for.
   */
  #gather(id: number, bytes: Buffer): void {
    this.#gathered.push({ id, bytes })
    this.#gatheredBytes += id === NO_STREAM ? bytes.length : FRAME_HEADER_BYTES + bytes.length
    // What frames of the tunnel say (room, an end) others wait for.
    if (id === NO_STREAM || bytes.length > WAITING_BYTES || !this.#owner.isShared()) {
      if (!this.#isTickAwaited) process.nextTick(this.#onTick)
      this.#isTickAwaited = true
    } else {
      if (!this.#isTurnAwaited) setImmediate(this.#onTurnEnds)
      this.#isTurnAwaited = true
    }
  }

  readonly #onTick = (): void => {
    this.#isTickAwaited = false
    this.#writeGathered()
  }

  readonly #onTurnEnds = (): void => {
    this.#isTurnAwaited = false
    this.#writeGathered()
  }

  #writeGathered(): void {
    const gathered = this.#gathered
    const [first] = gathered
    if (first === undefined) return
    this.#gathered = []
    const size = this.#gatheredBytes
    this.#gatheredBytes = 0
    if (this.#socket.destroyed || this.#socket.writableEnded) return
    if (gathered.length === 1 && first.id === NO_STREAM) {
      this.#socket.write(first.bytes)
      return
    }
    const out = Buffer.allocUnsafe(size)
    let at = 0
    for (const { id, bytes } of gathered) {
      if (id !== NO_STREAM) {
        writeFrameHeader(out, at, FRAME.data, id, bytes.length)
        at += FRAME_HEADER_BYTES
      }
      out.set(bytes, at)
      at += bytes.length
    }
    this.#socket.write(out)
  }

  /** A header and the big piece behind it go out together. */
  #cork(): void {
    if (this.#isCorked) return
    this.#isCorked = true
    this.#socket.cork()
    process.nextTick(() => {
      this.#isCorked = false
      this.#writeGathered()
      this.#socket.uncork()
    })
  }

  /** Whether as much is with TLS, or about to be, as may be in front of a single byte. */
  #isFull(isShared: boolean): boolean {
    return this.#socket.writableLength + this.#gatheredBytes >= (isShared ? SHARED_BATCH_BYTES : BATCH_BYTES)
  }

  #flush(): void {
    if (this.#isFlushing) return
    this.#isFlushing = true
    const socket = this.#socket
    const isShared = this.#owner.isShared()
    for (const stream of this.#waiting) {
      if (socket.destroyed) break
      if (this.#isFull(isShared)) {
        this.#goOnWhenOut()
        break
      }
      this.#waiting.delete(stream)
      if (!stream.hasSomethingToSend(isShared)) continue
      if (this.#raw) this.#sendRaw(stream)
      else this.#sendTurn(stream, isShared)
      // At the back of the queue; iteration comes to it again.
      if (stream.hasSomethingToSend(isShared)) this.#waiting.add(stream)
    }
    this.#isFlushing = false
  }

  /** `drain` is told only where more waits than the socket's own mark, which lies above the smaller batch. */
  #goOnWhenOut(): void {
    if (this.#socket.writableNeedDrain || this.#isOutAwaited) return
    this.#isOutAwaited = true
    this.#writeGathered()
    this.#socket.write(NOTHING, () => {
      this.#isOutAwaited = false
      this.#flush()
    })
  }

  #sendTurn(stream: TunnelStream, isShared: boolean): void {
    const piece = stream.takePiece(isShared ? TURN_BYTES : DATA_MAX_BYTES, isShared)
    if (!piece) {
      this.send(encodeFrame(FRAME.end, stream.id))
      stream.noteEndSent()
      this.#owner.onEndSent(stream)
      return
    }
    if (piece.length <= COPIED_BYTES) {
      this.#gather(stream.id, piece)
    } else {
      this.#cork()
      this.#gather(NO_STREAM, frameHeader(FRAME.data, stream.id, piece.length))
      this.#writeGathered()
      this.#socket.write(piece)
    }
    this.#owner.onSent(stream)
  }

  #sendRaw(stream: TunnelStream): void {
    const piece = stream.takePiece(DATA_MAX_BYTES, false)
    if (piece) {
      this.#socket.write(piece)
      return
    }
    this.#socket.end()
    stream.noteEndSent()
  }
}
