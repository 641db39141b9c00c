// Whether the connections of a gateway come and go so fast that they had better share tunnels: many short ones on one TLS connection
// cost a sixth less at both ends than one each, since what they say goes out in the same records and is read at one go. Owned by a pool
// of tunnels (route-tunnels.ts).

/** A stream that was over within that time and moved no more than that is brief; in ms and bytes. */
const BRIEF_MS = 500
export const BRIEF_BYTES = 64 * 1024
/** So many brief ones in a row, the first of them over no longer ago than this: more than 160 a second. In ms. */
const IN_A_ROW = 16
const WITHIN_MS = 100

export class StreamChurn {
  readonly #now: () => number
  /** When the latest brief ones were over, as a ring. */
  readonly #endsMs = new Array<number>(IN_A_ROW).fill(-Infinity)
  #next = 0

  /** @param now monotonic or wall time, in ms */
  constructor(now: () => number) {
    this.#now = now
  }

  /** Streams that are opened now are likely to be brief, too. */
  get isHigh(): boolean {
    const agoMs = this.#now() - (this.#endsMs[this.#next] ?? -Infinity)
    // Less than none: the clock was set back, and what was noted says nothing.
    return agoMs >= 0 && agoMs < WITHIN_MS
  }

  /** A stream is over. @param moved both ways together, in bytes */
  noteEnd(openedMs: number, moved: number): void {
    const now = this.#now()
    if (now - openedMs > BRIEF_MS || moved > BRIEF_BYTES) {
      this.#endsMs.fill(-Infinity)
      return
    }
    this.#endsMs[this.#next] = now
    this.#next = (this.#next + 1) % IN_A_ROW
  }
}
