// How much a connection that carries bulk may take at one go, so that those beside it wait for that much and no more. The system hands
// a socket that is full to us 32 times in one turn of the event loop (libuv, uv__read), each time as much as the buffer holds: 8 MiB,
// which are milliseconds for everybody else. Called by what carries bytes: socket-pump.ts and stream-pump.ts.
import { giveWay } from './give-way.ts'

/** Where nobody else waits, in bytes: one full buffer of the pump. Measured: as fast as without a limit. */
const ALONE_BYTES = 256 * 1024
/** Beside connections that carry little at a time, in bytes. Costs bulk a quarter more CPU; measured in pings-beside-bulk.ts. */
const SHARED_BYTES = 64 * 1024
/** How long a small piece shows that somebody is there who would wait, in ms. */
const SHARED_FOR_MS = 100

let lastSmallMs = -Infinity

/** Called for each piece of a connection that carries little at a time. */
export function noteSmallPiece(): void {
  lastSmallMs = performance.now()
}

/** Whether there are connections that carry little, and would wait for those that carry much. */
const isSomebodyWaiting = (): boolean => performance.now() - lastSmallMs < SHARED_FOR_MS

let isEndAwaited = false

/** Called for each piece of a connection that carries bulk: with the turn that it came in the processor is given away, if somebody waits. */
export function noteBulkPiece(): void {
  if (isEndAwaited) return
  isEndAwaited = true
  setImmediate(endTurn)
}

function endTurn(): void {
  isEndAwaited = false
  if (isSomebodyWaiting()) giveWay()
}

/** What may be read of one connection, and written at once, before others have their turn, in bytes. */
export function turnBytes(): number {
  return isSomebodyWaiting() ? SHARED_BYTES : ALONE_BYTES
}
