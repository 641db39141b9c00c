// What goes out of one end of a tunnel, and in which order: frames of the tunnel itself at once, streams that have something to send
// in turns. Little of a stream is ever in front of the others: a turn is short, few are handed to TLS before those before them are
// out, and where streams share, one whose other end is near has less of it on its way. Made and called by tunnel.ts alone.
import type { Duplex } from 'node:stream'
import { DATA_MAX_BYTES, encodeFrame, FRAME, frameHeader } from './frames.ts'
import type { TunnelStream } from './tunnel-stream.ts'

/** A turn, where another stream lives, in bytes. */
export const TURN_BYTES = 16 * 1024
/** Frames handed to TLS before those before them are out, in bytes: what a single byte may have to wait for on our side. */
const BATCH_BYTES = 128 * 1024
/** The same where another stream lives. */
export const SHARED_BATCH_BYTES = 32 * 1024
/** A frame up to this is copied into one piece with its header, in bytes. */
const COPIED_BYTES = 8 * 1024
const NOTHING = Buffer.alloc(0)

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
  #isFlushing = false
  #isCorked = false
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
    this.#cork()
    this.#socket.write(frame)
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
    this.#raw = stream
  }

  /** What is written in one turn of the event loop goes out together. */
  #cork(): void {
    if (this.#isCorked) return
    this.#isCorked = true
    this.#socket.cork()
    process.nextTick(() => {
      this.#isCorked = false
      this.#socket.uncork()
    })
  }

  #flush(): void {
    if (this.#isFlushing) return
    this.#isFlushing = true
    const socket = this.#socket
    const isShared = this.#owner.isShared()
    const batchBytes = isShared ? SHARED_BATCH_BYTES : BATCH_BYTES
    for (const stream of this.#waiting) {
      if (socket.destroyed) break
      if (socket.writableLength >= batchBytes) {
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
      this.send(encodeFrame(FRAME.data, stream.id, piece))
    } else {
      this.send(frameHeader(FRAME.data, stream.id, piece.length))
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
