// The way of bytes between a socket and a stream that lies over another socket and may come to have that one for itself (a stream
// of a tunnel that left the frames): begins with the stream and goes on past it, socket to socket, while bytes flow. Called by
// link.ts alone. Not a byte is lost or doubled: what either holds goes first (tests/tunnel).
import type { Duplex } from 'node:stream'
import type { Socket } from 'node:net'
import { carryFast } from './socket-pump.ts'
import { noteSmallPiece } from './turns.ts'

/** A stream that a pump may go past, once and each way by itself. */
export interface CoveringStream extends Duplex {
  /** Calls back when what is written to the stream is what is written to the socket below, and nothing else is. */
  whenWritesAreBare(goOn: (socket: Socket) => void): void
  /** Calls back when all that comes from the socket below is this stream's, and nobody else reads it; the stream may hold some. */
  whenReadsAreBare(goOn: (socket: Socket) => void): void
}

const isCovering = (stream: Duplex): stream is CoveringStream => 'whenWritesAreBare' in stream
const NOTHING = Buffer.alloc(0)
/** A piece below this is a message of its own more often than the rest of a long one, in bytes. */
const SMALL_BYTES = 4 * 1024

/**
 * Carries everything from `from` to `to`, with back-pressure, the end as a half-close. Errors are the streams' own.
 * @returns false, with nothing done, where neither is such a stream
 */
export function carryCovered(from: Duplex, to: Duplex, count: (bytes: number) => void): boolean {
  if (!isCovering(from) && !isCovering(to)) return false
  const onData = (chunk: Buffer): void => {
    count(chunk.length)
    if (chunk.length < SMALL_BYTES) noteSmallPiece()
    if (!to.write(chunk)) from.pause()
  }
  const onDrain = (): void => void from.resume()
  const onEnd = (): void => void to.end()
  const begin = (): void => {
    from.on('data', onData).on('end', onEnd)
    to.on('drain', onDrain)
    // Its end was told to whoever read the first bytes.
    if (from.readableEnded) process.nextTick(onEnd)
    else from.resume()
  }
  const stop = (): void => {
    from.off('data', onData).off('end', onEnd).pause()
    to.off('drain', onDrain)
  }
  begin()
  if (isCovering(to))
    to.whenWritesAreBare((socket) => {
      if (from.readableEnded || to.writableEnded) return
      stop()
      // Called when everything before it is with the socket.
      to.write(NOTHING, (error) => {
        if (error || from.destroyed) return
        if (!carryFast(from, socket, count)) begin()
      })
    })
  if (isCovering(from))
    from.whenReadsAreBare((socket) => {
      if (from.readableEnded || from.destroyed) return
      stop()
      // Within the stream's window, so what `to` is given at once is bounded.
      for (let held = take(from); held; held = take(from)) {
        count(held.length)
        to.write(held)
      }
      if (!carryFast(socket, to, count)) carryPlainly(socket, to, count)
      // For its end to be told: nothing comes through it any more.
      from.resume()
    })
  return true
}

const take = (stream: Duplex): Buffer | null => stream.read() as Buffer | null

/** Where a socket has no place for the fast way. */
function carryPlainly(from: Duplex, to: Duplex, count: (bytes: number) => void): void {
  from.on('data', (chunk: Buffer) => count(chunk.length))
  from.pipe(to)
}
