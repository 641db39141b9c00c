// The fast way of bytes from one socket to another, TCP or TLS, in one direction. Node makes a buffer for every read of a socket
// and, over TLS, one for each record; here the system reads into memory that is kept, and what was read goes out in one write.
// Called by carry.ts alone, which takes plain streams where this says no (carryFast).
//
// How a socket is made to read into memory of ours is in read-seat.ts; where it cannot be, streams do it.
//
// What must hold, or bytes are silently wrong (tests/data-plane):
// - Memory that a write was given is not read into before that write is over: what is read into is never lent to a write.
// - A TLS socket that was told to stop goes on to deliver the records that it has decrypted already: there is room for them.
// - A buffer without room makes TLS ask for another one for ever: none is ever offered.
// - What the stream holds came first, and goes first.
import { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { Duplex } from 'node:stream'
import { offer, seatOf, takeSeat, type Seat } from './read-seat.ts'
import type { Flow, Tap } from './stream-pump.ts'
import { turns, type BulkFlow } from './turns.ts'

/** A connection begins with this, and has it again after a silence, in bytes: most carry a few hundred at a time. */
const FIRST_BYTES = 1024
/** A connection whose buffers never had to be bigger carries no more than a long answer at a time, in bytes. */
const SMALL_BYTES = 16 * 1024
/** Measured, plain to TLS: 64 KiB cost 1.01, 256 KiB 0.68, 1 MiB 0.67 s of CPU for a gigabyte. */
const MOST_BYTES = 256 * 1024
/**
 * A read of at least so many bytes is probably one of many; records of TLS are gathered until the turn of the event loop ends. For
 * one that is smaller somebody waits.
 */
const GATHERED_BYTES = 4 * 1024
/** Reading stops while so many bytes wait to be written; a few hundred do not stop it, which costs more than to go on. */
const STOP_BYTES = 64 * 1024
/** Big buffers that were not needed for that long are given back, in ms. */
const SILENCE_MS = 10_000

/**
 * Carries everything from `from` to `to` from now on, with back-pressure: first what `from` holds, last its end as a half-close.
 * Errors are the streams' own, and the caller's to see.
 * @returns undefined, with nothing done, where plain streams have to do it
 */
export function carryFast(from: Duplex, to: Duplex, tap: Tap): Flow | undefined {
  if (!(from instanceof Socket) || !(to instanceof Socket)) return undefined
  const seat = seatOf(from)
  if (!seat) return undefined
  const one = new OneWay(from, to, seat, tap)
  one.begin()
  return one
}

const NOTHING = Buffer.alloc(0)

/** Memory that is read into from front to back, and lent to writes. */
class Slot {
  readonly bytes: Buffer
  /** Up to here it was written, in bytes. */
  written = 0
  /** Up to here it was read into, in bytes. */
  filled = 0
  /** A write has it. */
  isLent = false
  readonly #onFree: (slot: Slot) => void
  /** Writes that have not reported: one that was over at once still does, maybe when the slot is lent to the next one. */
  #writes = 0

  constructor(size: number, onFree: (slot: Slot) => void) {
    this.bytes = Buffer.allocUnsafeSlow(size)
    this.#onFree = onFree
  }

  get isFull(): boolean {
    return this.filled === this.bytes.length
  }

  /** What was read into it and not taken yet. */
  take(): Buffer {
    const piece = this.bytes.subarray(this.written, this.filled)
    this.written = this.filled
    return piece
  }

  /**
   * Writes a part of its memory. It is lent then until #onFree, unless the system took everything at once: TCP nearly always does,
   * and a write that nobody waits for costs Node less. TLS never does.
   */
  write(piece: Buffer, to: Socket): void {
    if (to instanceof TLSSocket) to.write(piece, this.#onWritten)
    else {
      to.write(piece)
      if (to.writableLength === 0) return
      // Done when everything before it is.
      to.write(NOTHING, this.#onWritten)
    }
    this.#writes += 1
    this.isLent = to.writableLength > 0
  }

  readonly #onWritten = (): void => {
    this.#writes -= 1
    if (this.#writes > 0 || !this.isLent) return
    this.isLent = false
    this.#onFree(this)
  }
}

class OneWay implements Flow, BulkFlow {
  readonly from: Socket
  readonly to: Socket
  smallAtMs = -Infinity
  readonly #seat: Seat
  readonly #tap: Tap
  readonly #gatheredBytes: number
  /** Of the next slot, in bytes. */
  #size = FIRST_BYTES
  /** What is read into: the handle has the address of its rest, and learns of another only where #next is asked. */
  #slot: Slot
  #free: Slot | undefined
  /** Memory that the handle has the beginning of. */
  #offered: Buffer | undefined
  /** Of bulk since the last turn of the event loop, in bytes; and whether that was its share, or others come first. */
  #inTurn = 0
  #isResting = false
  /** What is written waits: reading goes on when it is gone. */
  #isStopped = false
  #isHeld = false
  #isDropping = false
  /** The most that was written at once since the last look, in bytes. */
  #most = 0

  constructor(from: Socket, to: Socket, seat: Seat, tap: Tap) {
    this.from = from
    this.to = to
    this.#seat = seat
    this.#tap = tap
    // TCP brings all that there is at once.
    this.#gatheredBytes = from instanceof TLSSocket ? GATHERED_BYTES : Number.POSITIVE_INFINITY
    this.#slot = new Slot(this.#size, this.#onFree)
  }

  begin(): void {
    const from = this.from
    if (from.destroyed) return
    if (from.readableEnded) process.nextTick(this.#onEnd)
    else from.once('end', this.#onEnd)
    from.once('close', () => overlook(this))
    this.#offered = this.#slot.bytes
    takeSeat(this.#seat, from, this.#offered, this.#next, this.#onRead)
    // What the stream holds; and everything, should a Node ever pass over the fields that were just set.
    from.on('data', this.#onStreamed)
    while (from.read() !== null);
    this.#resume()
  }

  hold(): void {
    this.#isHeld = true
    this.from.pause()
  }

  release(): void {
    if (!this.#isHeld) return
    this.#isHeld = false
    if (!this.#isStopped && this.#flush()) this.#resume()
  }

  drop(): void {
    this.#isDropping = true
    this.#isHeld = this.#isStopped = false
    this.#resume()
  }

  #mayRead(): boolean {
    return !this.#isStopped && !this.#isHeld && !this.#isResting && (!this.to.destroyed || this.#isDropping)
  }

  #resume(): void {
    if (this.#mayRead()) this.from.resume()
  }

  /** `size` bytes were read into the slot. @returns false to stop reading */
  readonly #onRead = (size: number): boolean => {
    const slot = this.#slot
    slot.filled += size
    if (slot.isFull) this.#grow(slot.bytes.length * 4)
    if (size >= GATHERED_BYTES) {
      turns.noteBulkPiece(this)
      this.#inTurn += size
    } else turns.noteSmallPiece(this)
    if (this.#isStopped || this.#isHeld) {
      if (slot.isFull) this.#flush()
      return false
    }
    if ((slot.isFull || size < this.#gatheredBytes) && !this.#flush()) return false
    // A rest of it that is smaller than what counts as bulk would be read again and again, a few bytes at a time.
    if (this.#inTurn > turns.bytesFor(this) - GATHERED_BYTES) this.#isResting = true
    return !this.#isResting
  }

  /** Where the next read goes, undefined: where the last one went. Asked after each. Never without room: a full slot was written. */
  readonly #next = (): Buffer | undefined => {
    const slot = this.#slot
    if (slot.written === slot.filled) {
      if (slot.isLent || slot.bytes.length < this.#size) this.#takeSlot()
      this.#slot.written = this.#slot.filled = 0
    }
    const { bytes, filled } = this.#slot
    if (bytes.length > SMALL_BYTES) {
      this.#offered = undefined
      // What is left of its share; where that is next to nothing, this is read into in another turn.
      const share = turns.bytesFor(this)
      const left = share - this.#inTurn
      return bytes.subarray(filled, filled + (left < GATHERED_BYTES ? share : left))
    }
    if (this.#offered === bytes && filled === 0) return undefined
    this.#offered = filled === 0 ? bytes : undefined
    return filled === 0 ? bytes : bytes.subarray(filled)
  }

  /** Beside others a turn is half a bigger buffer, which therefore grows no more. */
  get isLasting(): boolean {
    return this.#size > SMALL_BYTES
  }

  endTurn(): void {
    this.#inTurn = 0
    if (!this.#isStopped && !this.#isHeld && !this.#flush()) this.from.pause()
  }

  rest(): void {
    this.#isResting = true
    this.from.pause()
  }

  goOn(): boolean {
    if (this.#isResting) {
      this.#isResting = false
      this.#resume()
    }
    return this.#mayRead() && !this.from.destroyed
  }

  /** Writes what there is. @returns false to stop reading */
  #flush(): boolean {
    const slot = this.#slot
    if (this.to.destroyed || this.#isDropping) {
      slot.written = slot.filled
      return this.#isDropping
    }
    this.#most = Math.max(this.#most, slot.filled - slot.written)
    if (slot.filled > slot.written) {
      const piece = this.#tap.pass(slot.take())
      if (piece.length > 0) slot.write(piece, this.to)
    }
    this.#isStopped = this.#isTooMuch()
    return !this.#isStopped && !this.#isHeld
  }

  /** Asked after the tap too, which may have ended it. */
  #isTooMuch(): boolean {
    return !this.#isDropping && this.to.writableLength >= STOP_BYTES
  }

  #grow(size: number): void {
    if (this.#size >= MOST_BYTES) return
    this.#size = Math.max(this.#size, Math.min(size, MOST_BYTES))
    keepAnEyeOn(this)
  }

  #takeSlot(): void {
    this.#slot = this.#free?.bytes.length === this.#size ? this.#free : new Slot(this.#size, this.#onFree)
    this.#free = undefined
  }

  readonly #onFree = (slot: Slot): void => {
    if (slot !== this.#slot && slot.bytes.length === this.#size) this.#free = slot
    this.#goOn()
  }

  readonly #goOn = (): void => {
    if (!this.#isStopped || this.#isTooMuch()) return
    this.#isStopped = false
    // What is held back is not written either: its time comes with the release.
    if (!this.#isHeld && this.#flush()) this.#resume()
  }

  readonly #onStreamed = (chunk: Buffer): void => {
    if (this.#isDropping) return
    this.#flush()
    const piece = this.#tap.pass(chunk)
    if (piece.length > 0) this.to.write(piece, this.#goOn)
    if (!this.#isTooMuch()) return
    this.#isStopped = true
    this.from.pause()
  }

  readonly #onEnd = (): void => {
    this.#flush()
    if (!this.#isDropping) this.#tap.ended()
  }

  /** Makes the buffers small again if they were not needed since the last look. @returns whether they are small */
  shrink(): boolean {
    const isNeeded = this.#most > this.#size / 8 || this.#slot.filled > this.#slot.written || this.#isStopped
    this.#most = 0
    if (isNeeded) return false
    this.#size = FIRST_BYTES
    this.#takeSlot()
    this.#offered = this.#slot.bytes
    offer(this.#seat, this.from, this.#offered)
    return true
  }
}

const bigOnes = new Set<OneWay>()
let timer: NodeJS.Timeout | undefined

function keepAnEyeOn(one: OneWay): void {
  bigOnes.add(one)
  timer ??= setInterval(() => {
    for (const each of bigOnes) if (each.shrink()) overlook(each)
  }, SILENCE_MS).unref()
}

function overlook(one: OneWay): void {
  bigOnes.delete(one)
  if (bigOnes.size > 0) return
  clearInterval(timer)
  timer = undefined
}
