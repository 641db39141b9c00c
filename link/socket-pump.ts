// The fast way of bytes from one socket to another, TCP or TLS, in one direction. Node makes a buffer for every read of a socket
// and, over TLS, one for each record; here the system reads into memory that is kept, and what was read goes out in one write.
// Called by link.ts alone, which takes plain streams where this says no (carryFast).
//
// How: a socket that is made with the documented option `onread` reads into the buffers that it is given. One that was accepted,
// or read from before, takes no options any more; but all that the option does is to set three fields of the socket and to tell
// its handle of the buffer (Node 24, lib/net.js: Socket, initSocketHandle). These names are not public, so they are looked for on
// every socket; where one is missing or is not what it was, streams do it.
//
// What must hold, or bytes are silently wrong (tests/data-plane):
// - Memory that a write was given is not read into before that write is over: what is read into is never lent to a write.
// - A TLS socket that was told to stop goes on to deliver the records that it has decrypted already: there is room for them.
// - A buffer without room makes TLS ask for another one for ever: none is ever offered.
// - What the stream holds came first, and goes first.
import { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { Duplex } from 'node:stream'
import { noteSmallPiece, turnBytes } from './turns.ts'

/** A connection begins with this, and has it again after a silence, in bytes: most carry a few hundred at a time. */
const FIRST_BYTES = 4 * 1024
/** A connection whose buffers never had to be bigger carries little at a time, in bytes: somebody waits for each piece. */
const SMALL_BYTES = 16 * 1024
/** Measured, plain to TLS: 64 KiB cost 1.01, 256 KiB 0.68, 1 MiB 0.67 s of CPU for a gigabyte. */
const MOST_BYTES = 256 * 1024
/** A record of TLS of at least so many bytes is probably one of many: they are gathered until the turn of the event loop ends. */
const GATHERED_BYTES = 4 * 1024
/** Reading stops while so many bytes wait to be written; a few hundred do not stop it, which costs more than to go on. */
const STOP_BYTES = 64 * 1024
/** Big buffers that were not needed for that long are given back, in ms. */
const SILENCE_MS = 10_000

/**
 * Carries everything from `from` to `to` from now on, with back-pressure: first what `from` holds, last its end as a half-close.
 * Errors are the streams' own, and the caller's to see.
 * @param count is told of every piece that was read, in bytes
 * @returns false, with nothing done, where plain streams have to do it
 */
export function carryFast(from: Duplex, to: Duplex, count: (bytes: number) => void): boolean {
  if (!(from instanceof Socket) || !(to instanceof Socket)) return false
  const seat = seatOf(from)
  if (!seat) return false
  new OneWay(from, to, seat, count).begin()
  return true
}

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

  /** Writes what was read into it. It is lent then until #onFree, unless the system took everything at once. */
  writeTo(to: Socket): void {
    this.#writes += 1
    to.write(this.bytes.subarray(this.written, this.filled), this.#onWritten)
    this.written = this.filled
    this.isLent = to.writableLength > 0
  }

  readonly #onWritten = (): void => {
    this.#writes -= 1
    if (this.#writes > 0 || !this.isLent) return
    this.isLent = false
    this.#onFree(this)
  }
}

class OneWay {
  readonly #from: Socket
  readonly #to: Socket
  readonly #seat: Seat
  readonly #count: (bytes: number) => void
  readonly #gatheredBytes: number
  /** Of the next slot, in bytes. */
  #size = FIRST_BYTES
  /** What is read into: the handle has the address of its rest, and learns of another only where #next is asked. */
  #slot: Slot
  #free: Slot | undefined
  #isTurnAwaited = false
  /** Since the last turn of the event loop, in bytes; and whether that was its share, and the next turn is waited for. */
  #inTurn = 0
  #isResting = false
  /** What is written waits: reading goes on when it is gone. */
  #isStopped = false
  /** The most that was written at once since the last look, in bytes. */
  #most = 0

  constructor(from: Socket, to: Socket, seat: Seat, count: (bytes: number) => void) {
    this.#from = from
    this.#to = to
    this.#seat = seat
    this.#count = count
    // TCP brings all that there is at once.
    this.#gatheredBytes = from instanceof TLSSocket ? GATHERED_BYTES : Number.POSITIVE_INFINITY
    this.#slot = new Slot(this.#size, this.#onFree)
  }

  begin(): void {
    const from = this.#from
    if (from.destroyed) return
    if (from.readableEnded) process.nextTick(this.#onEnd)
    else from.once('end', this.#onEnd)
    from.once('close', () => overlook(this))
    takeSeat(this.#seat, from, this.#slot.bytes, this.#next, this.#onRead)
    // What the stream holds; and everything, should a Node ever pass over the fields that were just set.
    from.on('data', this.#onStreamed)
    while (from.read() !== null);
    if (!this.#isStopped) from.resume()
  }

  /** `size` bytes were read into the slot. @returns false to stop reading */
  readonly #onRead = (size: number): boolean => {
    this.#count(size)
    const slot = this.#slot
    slot.filled += size
    if (slot.isFull) this.#grow(slot.bytes.length * 4)
    else if (this.#size <= SMALL_BYTES) noteSmallPiece()
    const isBulk = size >= GATHERED_BYTES
    if (isBulk) {
      this.#inTurn += size
      if (!this.#isTurnAwaited) setImmediate(this.#onTurnEnds)
      this.#isTurnAwaited = true
    }
    if (this.#isStopped) {
      if (slot.isFull) this.#flush()
      return false
    }
    if ((slot.isFull || size < this.#gatheredBytes) && !this.#flush()) return false
    if (this.#inTurn >= turnBytes()) this.#isResting = true
    return !this.#isResting
  }

  /** Where the next read goes; asked after each one. Never without room: a slot that is full was written. */
  readonly #next = (): Buffer => {
    const slot = this.#slot
    if (slot.written === slot.filled) {
      if (slot.isLent || slot.bytes.length < this.#size) this.#takeSlot()
      this.#slot.written = this.#slot.filled = 0
    }
    const { bytes, filled } = this.#slot
    if (bytes.length <= SMALL_BYTES) return bytes.subarray(filled)
    // What is left of its share; where nothing is, this is read into in another turn. Never without room.
    const share = turnBytes()
    const left = share - this.#inTurn
    return bytes.subarray(filled, filled + (left > 0 ? left : share))
  }

  readonly #onTurnEnds = (): void => {
    const wasResting = this.#isResting
    this.#isTurnAwaited = this.#isResting = false
    this.#inTurn = 0
    if (this.#isStopped) return
    if (!this.#flush()) this.#from.pause()
    else if (wasResting) this.#from.resume()
  }

  /** Writes what there is. @returns false to stop reading */
  #flush(): boolean {
    const slot = this.#slot
    if (this.#to.destroyed) {
      slot.written = slot.filled
      return false
    }
    this.#most = Math.max(this.#most, slot.filled - slot.written)
    if (slot.filled > slot.written) slot.writeTo(this.#to)
    this.#isStopped = this.#to.writableLength >= STOP_BYTES
    return !this.#isStopped
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
    if (!this.#isStopped || this.#to.writableLength >= STOP_BYTES || !this.#flush()) return
    if (!this.#isResting) this.#from.resume()
  }

  readonly #onStreamed = (chunk: Buffer): void => {
    this.#count(chunk.length)
    this.#flush()
    this.#to.write(chunk, this.#goOn)
    if (this.#to.writableLength < STOP_BYTES) return
    this.#isStopped = true
    this.#from.pause()
  }

  readonly #onEnd = (): void => {
    this.#flush()
    this.#to.end()
  }

  /** Makes the buffers small again if they were not needed since the last look. @returns whether they are small */
  shrink(): boolean {
    const isNeeded = this.#most > this.#size / 8 || this.#slot.filled > this.#slot.written || this.#isStopped
    this.#most = 0
    if (isNeeded) return false
    this.#size = FIRST_BYTES
    this.#takeSlot()
    offer(this.#seat, this.#from, this.#slot.bytes)
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

/** The fields of a socket that hold the buffer that is read into, the function that names the next, and the one that is told. */
const FIELDS = ['kBuffer', 'kBufferGen', 'kBufferCb'] as const
type Seat = { handle: object; useUserBuffer: (buffer: Buffer) => void } & Record<(typeof FIELDS)[number], symbol>

/** Where a socket takes a buffer; undefined where it has no such place, or one that is taken. */
function seatOf(socket: Socket): Seat | undefined {
  const handle: unknown = Reflect.get(socket, '_handle')
  if (socket.connecting || typeof handle !== 'object' || handle === null) return undefined
  const useUserBuffer: unknown = Reflect.get(handle, 'useUserBuffer')
  const [kBuffer, kBufferGen, kBufferCb] = FIELDS.map((name) =>
    Object.getOwnPropertySymbols(socket).find((one) => one.description === name && Reflect.get(socket, one) === null),
  )
  if (typeof useUserBuffer !== 'function' || !kBuffer || !kBufferGen || !kBufferCb) return undefined
  return {
    handle,
    useUserBuffer: (buffer) => void Reflect.apply(useUserBuffer, handle, [buffer]),
    kBuffer,
    kBufferGen,
    kBufferCb,
  }
}

function takeSeat(
  seat: Seat,
  socket: Socket,
  first: Buffer,
  next: () => Buffer,
  onRead: (size: number) => boolean,
): void {
  Reflect.set(socket, seat.kBufferGen, next)
  Reflect.set(socket, seat.kBufferCb, onRead)
  offer(seat, socket, first)
}

/** The handle knows the address only: the field is what keeps the memory. Each call costs some 50 bytes until the handle closes. */
function offer(seat: Seat, socket: Socket, buffer: Buffer): void {
  if (Reflect.get(socket, '_handle') !== seat.handle) return
  Reflect.set(socket, seat.kBuffer, buffer)
  seat.useUserBuffer(buffer)
}
