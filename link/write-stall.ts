// Notices a peer that stopped reading: the protocols of databases have no keepalive of their own, and the kernel of a stopped
// process goes on acknowledging (I3). Used by the engines of the server and by gateways, one watch a connection; all of one limit have
// one timer, which ends with the last. Looks at counters from time to time and touches no stream, so it goes with every pump.
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
export function watchForStall(options: WriteStallOptions): () => void {
  const round = roundOf(Math.ceil(options.stallMs / LOOKS))
  const watch = new Watch(options, () => round.leave(watch))
  round.join(watch)
  return watch.stop
}

/** What a look at one side saw. */
class Side {
  readonly #stream: Pick<Duplex, 'writableLength'>
  #waiting = 0
  #moved = 0
  #stillLooks = 0

  constructor(stream: Pick<Duplex, 'writableLength'>) {
    this.#stream = stream
  }

  /** @param moved what the pump has counted towards it, in bytes. @returns whether it has taken nothing for the whole limit */
  isStalled(moved: number): boolean {
    const waiting = this.#stream.writableLength
    // Looks are counted instead of time: after a sleep of this machine or process the peer gets its whole time again.
    const isStill = waiting > 0 && waiting === this.#waiting && moved === this.#moved
    this.#stillLooks = isStill ? this.#stillLooks + 1 : 0
    this.#waiting = waiting
    this.#moved = moved
    return this.#stillLooks >= LOOKS
  }
}

class Watch {
  readonly #near: Side
  readonly #far: Side
  readonly #progress: Readonly<PumpProgress>
  readonly #onStalled: WriteStallOptions['onStalled']
  readonly stop: () => void

  constructor({ near, far, progress, onStalled }: WriteStallOptions, stop: () => void) {
    this.#near = new Side(near)
    this.#far = new Side(far)
    this.#progress = progress
    this.#onStalled = onStalled
    this.stop = stop
  }

  look(): void {
    const { forward, backward } = this.#progress
    const stalled = this.#near.isStalled(backward) ? 'near' : this.#far.isStalled(forward) ? 'far' : undefined
    if (!stalled) return
    this.stop()
    this.#onStalled(stalled)
  }
}

/** The watches that look equally often. */
class Round {
  readonly #everyMs: number
  readonly #watches = new Set<Watch>()
  #timer: NodeJS.Timeout | undefined

  constructor(everyMs: number) {
    this.#everyMs = everyMs
  }

  join(watch: Watch): void {
    this.#watches.add(watch)
    this.#timer ??= setInterval(() => {
      for (const each of this.#watches) each.look()
    }, this.#everyMs).unref()
  }

  leave(watch: Watch): void {
    if (!this.#watches.delete(watch) || this.#watches.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
    rounds.delete(this.#everyMs)
  }
}

const rounds = new Map<number, Round>()

function roundOf(everyMs: number): Round {
  const round = rounds.get(everyMs) ?? new Round(everyMs)
  rounds.set(everyMs, round)
  return round
}
