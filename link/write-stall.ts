// Notices a peer that stopped reading: the protocols of databases have no keepalive of their own, and the kernel of a stopped
// process goes on acknowledging (I3). Used by the engines of the server and by gateways, one watch a connection; its timer ends
// with it. Looks at counters from time to time and touches no stream, so it goes with every pump.
import type { Duplex } from 'node:stream'
import type { PumpProgress } from './link.ts'

/** `near` is where `progress.forward` comes from, `far` where it goes to. */
export type StalledSide = 'near' | 'far'

export type WriteStallOptions = {
  near: Pick<Duplex, 'writableLength'>
  far: Pick<Duplex, 'writableLength'>
  /** What the pump between the two adds to. */
  progress: Readonly<PumpProgress>
  /** How long bytes may wait for a peer that takes none, in ms. */
  stallMs: number
  /** Called once, with the side that does not read. */
  onStalled: (side: StalledSide) => void
}

/**
 * The limit where no setting says otherwise, in ms. Longer than a person reads one screen of a pager that a COPY is piped into, much
 * shorter than the idle limit: a stopped client holds a transaction open at its target.
 */
export const WRITE_STALL_MS = 5 * 60_000
/** Looks in one limit: a stall is noticed after the limit and at most a quarter of it more. */
const LOOKS = 4

/**
 * Begins to watch. Bytes wait while the stream holds some that its transport did not take; they move when either that number or
 * the pump's count changes.
 * @returns what stops it; idempotent
 */
export function watchForStall({ near, far, progress, stallMs, onStalled }: WriteStallOptions): () => void {
  const sides = [
    { side: 'near', stream: near, moved: () => progress.backward, ...NOTHING_SEEN },
    { side: 'far', stream: far, moved: () => progress.forward, ...NOTHING_SEEN },
  ] satisfies { side: StalledSide; [more: string]: unknown }[]

  const look = (): void => {
    for (const one of sides) {
      const waiting = one.stream.writableLength
      const moved = one.moved()
      // Looks are counted instead of time: after a sleep of this machine or process the peer gets its whole time again.
      const isStill = waiting > 0 && waiting === one.waiting && moved === one.movedBefore
      one.stillLooks = isStill ? one.stillLooks + 1 : 0
      one.waiting = waiting
      one.movedBefore = moved
      if (one.stillLooks < LOOKS) continue
      stop()
      onStalled(one.side)
      return
    }
  }
  const timer = setInterval(look, Math.ceil(stallMs / LOOKS))
  timer.unref()
  const stop = (): void => clearInterval(timer)
  return stop
}

const NOTHING_SEEN = { waiting: 0, movedBefore: 0, stillLooks: 0 }
