// The plain way of bytes from one stream to another, for whatever is no socket; and what all ways of a pump have in common: the
// tap that sees the bytes, and the hand on the valve. Called by carry.ts and bare-pump.ts.
import type { Duplex } from 'node:stream'
import { turns, type BulkFlow } from './turns.ts'

/** A piece below this is a message of its own more often than the rest of a long one, in bytes. */
const SMALL_BYTES = 4 * 1024
/** In one turn of the event loop: so much is a part of more, in bytes. */
const LASTING_BYTES = 32 * 1024

/** Sees all bytes of one direction on their way. Must not throw. */
export type Tap = {
  /** Sees what was read and says what of it goes on: a part of it, from its beginning. Its memory is used again: nobody keeps it. */
  pass(piece: Buffer): Buffer
  /** The end came, after all bytes. Whoever gives the tap ends the other side, if it is to end. */
  ended(): void
}

/** One direction under way. */
export interface Flow {
  /** Takes no more until the release; a little of what was on its way already still passes. */
  hold(): void
  release(): void
  /** From now on what comes is read and dropped, and the tap sees nothing any more: somebody else says the last words. */
  drop(): void
}

/** A stream that takes a small piece at once, past its queue; false: it is to be written. */
interface EagerStream extends Duplex {
  sendNow(piece: Buffer): boolean
}

const isEager = (stream: Duplex): stream is EagerStream => 'sendNow' in stream

/** Carries everything from `from` to `to` by its events, with back-pressure. `stop` leaves both as they were before. */
export function carryStreamed(from: Duplex, to: Duplex, tap: Tap): Flow & { stop: () => void } {
  const eager = isEager(to) ? to : undefined
  let isHeld = false
  let isDropping = false
  let isFull = false
  let isStopped = false
  /** Of bulk since the last turn of the event loop, in bytes; and whether others come first. */
  let inTurn = 0
  let wasFull = false
  let isResting = false
  /** Asked after the tap, which may have ended it. */
  const isDropped = (): boolean => isDropping
  const mayRead = (): boolean => !isHeld && !isFull && !isStopped && !isResting
  const goOn = (): void => {
    // Stopped, it is somebody else's: what flowed then would flow past everybody.
    if (mayRead()) from.resume()
  }
  const bulk: BulkFlow = {
    from,
    to,
    smallAtMs: -Infinity,
    get isLasting() {
      return wasFull
    },
    endTurn() {
      wasFull = inTurn >= LASTING_BYTES
      inTurn = 0
    },
    rest() {
      isResting = true
      if (!isStopped) from.pause()
    },
    goOn() {
      if (isResting) {
        isResting = false
        goOn()
      }
      return mayRead() && !from.destroyed
    },
  }
  const onData = (chunk: Buffer): void => {
    if (chunk.length < SMALL_BYTES) turns.noteSmallPiece(bulk)
    else {
      turns.noteBulkPiece(bulk)
      inTurn += chunk.length
      if (inTurn >= turns.bytesFor(bulk)) bulk.rest()
    }
    if (isDropping) return
    const piece = tap.pass(chunk)
    if (piece.length === 0 || eager?.sendNow(piece) || to.write(piece) || isDropped()) return
    isFull = true
    from.pause()
  }
  const onDrain = (): void => {
    if (!isFull) return
    isFull = false
    goOn()
  }
  const onEnd = (): void => {
    if (!isDropping) tap.ended()
  }
  from.on('data', onData).on('end', onEnd)
  to.on('drain', onDrain)
  // Its end was told to whoever read the first bytes.
  if (from.readableEnded) process.nextTick(onEnd)
  else from.resume()
  return {
    hold() {
      isHeld = true
      from.pause()
    },
    release() {
      isHeld = false
      goOn()
    },
    drop() {
      isDropping = true
      isHeld = isFull = false
      goOn()
    },
    stop() {
      isStopped = true
      from.off('data', onData).off('end', onEnd).pause()
      to.off('drain', onDrain)
    },
  }
}
