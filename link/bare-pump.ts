// The way of bytes between a socket and a stream that lies over another socket and may come to have that one for itself (a stream
// of a tunnel that left the frames): begins with the stream and goes on past it, socket to socket, while bytes flow. Called by
// carry.ts alone. Not a byte is lost or doubled: what either holds goes first (tests/tunnel).
import type { Duplex } from 'node:stream'
import type { Socket } from 'node:net'
import { carryFast } from './socket-pump.ts'
import { carryStreamed, type Flow, type Tap } from './stream-pump.ts'

/** A stream that a pump may go past, once and each way by itself. */
export interface CoveringStream extends Duplex {
  /** Calls back when what is written to the stream is what is written to the socket below, and nothing else is. */
  whenWritesAreBare(goOn: (socket: Socket) => void): void
  /** Calls back when all that comes from the socket below is this stream's, and nobody else reads it; the stream may hold some. */
  whenReadsAreBare(goOn: (socket: Socket) => void): void
}

const isCovering = (stream: Duplex): stream is CoveringStream => 'whenWritesAreBare' in stream
const NOTHING = Buffer.alloc(0)

/**
 * Carries everything from `from` to `to`, with back-pressure. Errors are the streams' own.
 * @returns undefined, with nothing done, where neither is such a stream
 */
export function carryCovered(from: Duplex, to: Duplex, tap: Tap): Flow | undefined {
  if (!isCovering(from) && !isCovering(to)) return undefined
  const way = new CoveredWay(from, to, tap)
  if (isCovering(to)) to.whenWritesAreBare((socket) => way.writeTo(socket))
  if (isCovering(from)) from.whenReadsAreBare((socket) => way.readFrom(socket))
  return way
}

class CoveredWay implements Flow {
  readonly #from: Duplex
  readonly #to: Duplex
  readonly #tap: Tap
  /** What does it now. */
  #flow: Flow
  /** Leaves the streams to what does it next. */
  #stop: () => void
  #state: 'flowing' | 'held' | 'dropping' = 'flowing'

  constructor(from: Duplex, to: Duplex, tap: Tap) {
    this.#from = from
    this.#to = to
    this.#tap = tap
    const flow = carryStreamed(from, to, tap)
    this.#flow = flow
    this.#stop = flow.stop
  }

  hold(): void {
    this.#state = 'held'
    this.#flow.hold()
  }

  release(): void {
    this.#state = 'flowing'
    this.#flow.release()
  }

  drop(): void {
    this.#state = 'dropping'
    this.#flow.drop()
  }

  /** What is written goes to this socket from now on. */
  writeTo(socket: Socket): void {
    const [from, to] = [this.#from, this.#to]
    if (from.readableEnded || to.writableEnded) return
    this.#stop()
    // Called when everything before it is with the socket.
    to.write(NOTHING, (error) => {
      if (!error && !from.destroyed) this.#goOn(from, socket)
    })
  }

  /** What comes is this socket's from now on. */
  readFrom(socket: Socket): void {
    const [from, to] = [this.#from, this.#to]
    if (from.readableEnded || from.destroyed) return
    this.#stop()
    // Within the stream's window, so what `to` is given at once is bounded.
    for (let held = take(from); held; held = take(from)) {
      const piece = this.#state === 'dropping' ? NOTHING : this.#tap.pass(held)
      if (piece.length > 0) to.write(piece)
    }
    this.#goOn(socket, to)
    // For its end to be told: nothing comes through it any more.
    from.resume()
  }

  #goOn(from: Duplex, to: Duplex): void {
    const fast = carryFast(from, to, this.#tap)
    if (fast) this.#flow = fast
    else {
      // Through the stream that writes to this socket, if it was to be passed.
      const flow = carryStreamed(from, this.#to, this.#tap)
      this.#flow = flow
      this.#stop = flow.stop
    }
    if (this.#state === 'held') this.#flow.hold()
    else if (this.#state === 'dropping') this.#flow.drop()
  }
}

const take = (stream: Duplex): Buffer | null => stream.read() as Buffer | null
