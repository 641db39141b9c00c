// Carries one direction between two streams the fastest way that they allow: socket to socket, past a stream of a tunnel that has
// its connection to itself, or by events. Called by link.ts (a pump that only counts) and by engines, which look at the bytes.
import type { Duplex } from 'node:stream'
import { carryCovered } from './bare-pump.ts'
import { carryFast } from './socket-pump.ts'
import { carryStreamed, type Flow, type Tap } from './stream-pump.ts'

/** Carries everything from `from` to `to` from now on, with back-pressure. Errors are the streams' own, and the caller's to see. */
export const carry = (from: Duplex, to: Duplex, tap: Tap): Flow =>
  carryFast(from, to, tap) ?? carryCovered(from, to, tap) ?? carryStreamed(from, to, tap)

/** A tap that counts, and ends `to` at the end of what it sees. @param count is told of every piece, in bytes */
export const counting = (to: Duplex, count: (bytes: number) => void): Tap => ({
  pass(piece) {
    count(piece.length)
    return piece
  },
  ended: () => void to.end(),
})
