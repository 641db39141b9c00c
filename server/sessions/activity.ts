// What moves in one session over all of its connections: how many there are, what they carried, when a byte or a statement last
// came (I1, I2). Owned by a live session. Nobody is called as bytes move: it is looked whether the counters have grown.
import type { PumpProgress } from '../../link/link.ts'
import type { StatementActivity } from '../seams.ts'

/** What one connection adds to as it goes. */
export type ConnectionCounts = { progress: PumpProgress; activity: StatementActivity }

export type Counts = {
  connections: number
  connectionsTotal: number
  bytesFromClient: number
  bytesToClient: number
  statements: number
  lastStatementAtMs: number | null
}

export class SessionActivity {
  readonly #monotonicMs: () => number
  readonly #open = new Set<ConnectionCounts>()
  /** Of connections that are over. */
  #finished: Counts = {
    connections: 0,
    connectionsTotal: 0,
    bytesFromClient: 0,
    bytesToClient: 0,
    statements: 0,
    lastStatementAtMs: null,
  }
  #seenBytes = 0
  #activeAtMs: number

  /** @param monotonicMs a clock that nobody sets */
  constructor(monotonicMs: () => number) {
    this.#monotonicMs = monotonicMs
    this.#activeAtMs = monotonicMs()
  }

  get connections(): number {
    return this.#open.size
  }

  /** A connection begins, which is activity. */
  add(): ConnectionCounts {
    const counts = { progress: { forward: 0, backward: 0 }, activity: { statements: 0, lastStatementAtMs: null } }
    this.#open.add(counts)
    this.#finished.connectionsTotal++
    this.#activeAtMs = this.#monotonicMs()
    return counts
  }

  /** It is over, which is activity too: the idle time of a session without connections counts from here. Idempotent. */
  remove(counts: ConnectionCounts): void {
    if (!this.#open.delete(counts)) return
    addTo(this.#finished, counts)
    // Its last bytes are seen now, and not taken for news at the next look.
    this.look()
    this.#activeAtMs = this.#monotonicMs()
  }

  /** The counts of now. A byte since the last look, in either direction on any connection, is activity. */
  look(): Counts {
    const counts = { ...this.#finished, connections: this.#open.size }
    for (const connection of this.#open) addTo(counts, connection)
    const bytes = counts.bytesFromClient + counts.bytesToClient
    if (bytes !== this.#seenBytes) this.#activeAtMs = this.#monotonicMs()
    this.#seenBytes = bytes
    return counts
  }

  /** For how long nothing has moved, in ms, as of the last look. */
  get idleMs(): number {
    return this.#monotonicMs() - this.#activeAtMs
  }
}

function addTo(counts: Counts, { progress, activity }: ConnectionCounts): void {
  counts.bytesFromClient += progress.forward
  counts.bytesToClient += progress.backward
  counts.statements += activity.statements
  if (activity.lastStatementAtMs !== null)
    counts.lastStatementAtMs = Math.max(counts.lastStatementAtMs ?? 0, activity.lastStatementAtMs)
}
