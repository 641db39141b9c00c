// One stream of a tunnel: a duplex with half-close and reset that behaves as a socket does. Keeps what waits to be sent until it is
// its turn and the other end has room for it, and tells the other end when its reader has taken what came. Made by tunnel.ts,
// which owns the frames; whoever has the link of it sees a stream and nothing else.
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import type { CoveringStream } from '../bare-pump.ts'
import { TunnelProtocolError } from './frames.ts'

/** What either side may send of a stream beyond what the other's reader has taken, in bytes: a slow reader costs at most that. */
export const STREAM_WINDOW_BYTES = 256 * 1024
/**
 * The same where other streams live beside it and the other end is near, in bytes: what is on its way of a stream is in front of
 * theirs. More than the other end takes before it gives room back (see below), or both would wait.
 */
export const SHARED_WINDOW_BYTES = 96 * 1024
/** Room that comes back in less shows that the other end is near, in ms: a full window is not needed there for full speed. */
const NEAR_MS = 2
/** Room is given back when so much of it has come together, in bytes: a frame for every few reads. */
const GRANT_FROM_BYTES = 64 * 1024
/** What a writer may leave with us before it is asked to wait, in bytes: more than a socket gives at once. */
const WRITER_BUFFER_BYTES = 128 * 1024

/** What a stream asks of its tunnel. */
export type StreamOwner = {
  /** There is something to send, or the end. */
  wantTurn(stream: TunnelStream): void
  /** Sends a small piece past the queue, if it can; see frame-turns.ts. */
  sendNow(stream: TunnelStream, piece: Buffer): boolean
  /** The reader has taken so many bytes. */
  grant(stream: TunnelStream, bytes: number): void
  /** The reader of a stream that came as it is (raw) takes more. */
  resume(): void
  /** It is over; how the other end is to be told. */
  gone(stream: TunnelStream, how: 'finished' | 'stopped' | 'reset'): void
}

type Done = (error?: Error | null) => void

export class TunnelStream extends Duplex implements CoveringStream {
  readonly id: number
  readonly #owner: StreamOwner
  #outgoing: Buffer[] = []
  #onWritten: Done | undefined
  #onEnded: Done | undefined
  #credit = STREAM_WINDOW_BYTES
  /** The shortest time from bytes sent to their room given back, so far, in ms; and the bytes that are timed now. */
  #shortestMs = Infinity
  #timed: { missing: number; sentMs: number } | undefined
  /** Received and not given back as room. */
  #ungranted = 0
  #isRaw = false
  #isEndSent = false
  #isEndReceived = false
  /** The other end reads no more. */
  #isStopped = false
  #isResetWanted = false
  /** The socket below, once it carries nothing but this stream; and who goes past the stream then. */
  #bareOut: Socket | undefined
  #bareIn: Socket | undefined
  #onBareWrites: ((socket: Socket) => void) | undefined
  #onBareReads: ((socket: Socket) => void) | undefined
  #isPassedIn = false
  #releaseReads: () => void = () => undefined
  /** Both ways together, in bytes. */
  moved = 0

  constructor(id: number, owner: StreamOwner) {
    super({ allowHalfOpen: true, writableHighWaterMark: WRITER_BUFFER_BYTES })
    this.id = id
    this.#owner = owner
  }

  /** As net.Socket's: broken off, and the other end sees it. */
  resetAndDestroy(): this {
    this.#isResetWanted = true
    return this.destroy()
  }

  // --- sending --------------------------------------------------------------------------------------------------------

  /** @param isShared other streams live beside it */
  hasSomethingToSend(isShared: boolean): boolean {
    if (this.destroyed || this.#isEndSent) return false
    if (this.#outgoing.length > 0) return this.#room(isShared) > 0
    return this.#onEnded !== undefined
  }

  /** The next bytes to send, as far as the other end has room; undefined: only the end is left. */
  takePiece(atMost: number, isShared: boolean): Buffer | undefined {
    const [first] = this.#outgoing
    if (first === undefined) return undefined
    const size = this.#isRaw ? first.length : Math.min(first.length, atMost, this.#room(isShared))
    this.#noteTaken(size)
    if (size < first.length) {
      this.#outgoing[0] = first.subarray(size)
      return first.subarray(0, size)
    }
    this.#outgoing.shift()
    if (this.#outgoing.length === 0) {
      const written = this.#onWritten
      this.#onWritten = undefined
      written?.()
    }
    return first
  }

  /** Like `write` for a small piece that nothing is in front of, but without a queue: whoever carries bytes asks here first. */
  sendNow(piece: Buffer): boolean {
    return this.#owner.sendNow(this, piece)
  }

  /** Takes the place of so many bytes that never were in the queue. @returns false, with nothing done, where they belong there */
  takeDirectly(bytes: number, isShared: boolean): boolean {
    // Whatever is not as usual is for the queue, which knows what to do.
    if (this.#isRaw || this.#isStopped || this.#isEndSent || this.destroyed || this.writableEnded) return false
    if (this.writableLength > 0 || this.#outgoing.length > 0 || bytes === 0 || bytes > this.#room(isShared))
      return false
    this.#noteTaken(bytes)
    return true
  }

  #noteTaken(bytes: number): void {
    this.#credit -= bytes
    this.#timed ??= { missing: STREAM_WINDOW_BYTES - this.#credit, sentMs: performance.now() }
    this.moved += bytes
  }

  /** How much may be sent now, in bytes. */
  #room(isShared: boolean): number {
    if (this.#isRaw) return Infinity
    const isNear = this.#shortestMs < NEAR_MS
    return isShared && isNear ? this.#credit - (STREAM_WINDOW_BYTES - SHARED_WINDOW_BYTES) : this.#credit
  }

  /** The end is on its way. */
  noteEndSent(): void {
    this.#isEndSent = true
    const ended = this.#onEnded
    this.#onEnded = undefined
    ended?.()
  }

  get isEndSent(): boolean {
    return this.#isEndSent
  }

  /** @throws TunnelProtocolError if the other end gives more than there is */
  addCredit(bytes: number): void {
    this.#noteRoom(bytes)
    this.#credit += bytes
    if (this.#credit > STREAM_WINDOW_BYTES && !this.#isRaw)
      throw new TunnelProtocolError(`more room than the window of stream ${this.id}`)
    this.#wantTurn()
  }

  #noteRoom(bytes: number): void {
    if (!this.#timed) return
    this.#timed.missing -= bytes
    if (this.#timed.missing > 0) return
    this.#shortestMs = Math.min(this.#shortestMs, performance.now() - this.#timed.sentMs)
    this.#timed = undefined
  }

  /** The other end reads no more: who goes on writing gets an error, as on a socket whose other end is closed. */
  stop(): void {
    this.#isStopped = true
    const waiting = this.#onWritten ?? this.#onEnded
    this.#onWritten = this.#onEnded = undefined
    const hadBytes = this.#outgoing.length > 0
    this.#outgoing = []
    this.#isEndSent = true
    waiting?.(hadBytes ? brokenPipe() : null)
  }

  override _write(bytes: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#send([bytes], done)
  }

  override _writev(chunks: { chunk: Buffer }[], done: Done): void {
    this.#send(
      chunks.map(({ chunk }) => chunk),
      done,
    )
  }

  #send(chunks: Buffer[], done: Done): void {
    if (this.#isStopped) {
      done(brokenPipe())
      return
    }
    for (const chunk of chunks) if (chunk.length > 0) this.#outgoing.push(chunk)
    if (this.#outgoing.length === 0) {
      done()
      return
    }
    this.#onWritten = done
    this.#wantTurn()
  }

  override _final(done: Done): void {
    if (this.#bareOut?.writableEnded) this.#isEndSent = true
    if (this.#isStopped || this.#isEndSent) {
      done()
      return
    }
    this.#onEnded = done
    this.#wantTurn()
  }

  #wantTurn(): void {
    if (this.#outgoing.length > 0 || this.#onEnded) this.#owner.wantTurn(this)
  }

  // --- receiving ------------------------------------------------------------------------------------------------------

  /**
   * Bytes of this stream; false: its reader wants no more for now (of interest where they come raw).
   * @throws TunnelProtocolError if they are more than there was room for, or come after the end
   */
  receive(bytes: Buffer): boolean {
    if (this.#isEndReceived) throw new TunnelProtocolError(`bytes of stream ${this.id} after its end`)
    this.moved += bytes.length
    if (!this.#isRaw) {
      this.#ungranted += bytes.length
      if (this.#ungranted > STREAM_WINDOW_BYTES)
        throw new TunnelProtocolError(`more of stream ${this.id} than its window`)
    }
    // What `push` does for a reader that has taken everything and wants more, without all that it asks for each piece.
    if (!this.#isRaw && this.readableFlowing && this.readableLength === 0 && !this.destroyed) {
      this.emit('data', bytes)
      this._read()
      return true
    }
    return this.push(bytes)
  }

  receiveEnd(): void {
    if (this.#isEndReceived) return
    this.#isEndReceived = true
    this.push(null)
  }

  get isEndReceived(): boolean {
    return this.#isEndReceived
  }

  /** Called by the stream itself whenever its reader has taken what there was, up to a little. */
  override _read(): void {
    if (this.#isRaw) {
      if (!this.#isPassedIn) this.#owner.resume()
    } else if (this.#ungranted >= GRANT_FROM_BYTES && !this.#isEndReceived) {
      const bytes = this.#ungranted
      this.#ungranted = 0
      this.#owner.grant(this, bytes)
    }
  }

  /** From now on the bytes of this stream need no room that was given: TCP's own flow control counts. */
  goRaw(): void {
    this.#isRaw = true
    this.#wantTurn()
  }

  // --- bare -----------------------------------------------------------------------------------------------------------

  whenWritesAreBare(goOn: (socket: Socket) => void): void {
    this.#onBareWrites = goOn
    this.#passWrites()
  }

  whenReadsAreBare(goOn: (socket: Socket) => void): void {
    this.#onBareReads = goOn
    this.#passReads()
  }

  /** What is written goes to this socket as it is. */
  bareWrites(socket: Socket): void {
    this.#bareOut = socket
    // Bytes that wait do so in the socket: who watches for a peer that takes none looks here.
    const own = (): number => Reflect.get<Duplex, 'writableLength'>(Duplex.prototype, 'writableLength', this)
    Object.defineProperty(this, 'writableLength', { get: () => own() + socket.writableLength, configurable: true })
    // A pump that went past the stream ends the socket.
    socket.once('finish', () => this.end())
    this.#passWrites()
  }

  /** What comes from this socket is this stream's as it is. @param release makes the tunnel stop reading it */
  bareReads(socket: Socket, release: () => void): void {
    this.#bareIn = socket
    this.#releaseReads = release
    this.#passReads()
  }

  #passWrites(): void {
    const [socket, goOn] = [this.#bareOut, this.#onBareWrites]
    if (!socket || !goOn) return
    this.#onBareWrites = undefined
    setImmediate(() => {
      if (!this.destroyed) goOn(socket)
    })
  }

  #passReads(): void {
    const [socket, goOn] = [this.#bareIn, this.#onBareReads]
    if (!socket || !goOn) return
    this.#onBareReads = undefined
    // Not while the socket is telling of what it has read.
    setImmediate(() => {
      if (this.destroyed || this.#isEndReceived) return
      this.#isPassedIn = true
      this.#releaseReads()
      goOn(socket)
    })
  }

  /** The other end broke it off, or the tunnel broke. */
  breakOff(cause?: Error): void {
    this.#isEndSent = this.#isEndReceived = true
    this.destroy(connectionReset(cause))
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#outgoing = []
    const isFinished = this.#isEndSent && this.#isEndReceived
    const isBroken = this.#isResetWanted || !this.#isEndSent
    this.#owner.gone(this, isFinished ? 'finished' : isBroken ? 'reset' : 'stopped')
    done(error)
  }
}

const withCode = (message: string, code: string, cause?: Error): Error =>
  Object.assign(new Error(message, cause && { cause }), { code })

/** In the words of a socket, so that whoever looks at errors of links needs to know no others. */
const connectionReset = (cause?: Error): Error => withCode('the stream was reset', 'ECONNRESET', cause)
const brokenPipe = (): Error => withCode('the other end of the stream is closed', 'EPIPE')
