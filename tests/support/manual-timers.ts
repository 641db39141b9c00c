// Timers that run when the test says so, for what the core lets wait (`after`). Used by tests/client.
import type { After } from '../../client/renewal/deadline.ts'

export class ManualTimers {
  #timers: { atMs: number; run: () => void }[] = []
  #nowMs = 0

  readonly after: After = (ms, run) => {
    const timer = { atMs: this.#nowMs + ms, run }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer)
    }
  }

  /** How many are pending. */
  get pending(): number {
    return this.#timers.length
  }

  /** Time passes: whatever is due by then runs, in order. */
  pass(ms: number): void {
    const untilMs = this.#nowMs + ms
    for (;;) {
      const next = this.#next
      if (!next || next.atMs > untilMs) break
      this.#run(next)
    }
    this.#nowMs = untilMs
  }

  /** Time passes until the first one is due. */
  runFirst(): void {
    const next = this.#next
    if (!next) throw new Error('no timer is pending')
    this.#run(next)
  }

  get #next(): { atMs: number; run: () => void } | undefined {
    return this.#timers.toSorted((a, b) => a.atMs - b.atMs)[0]
  }

  #run(timer: { atMs: number; run: () => void }): void {
    this.#timers = this.#timers.filter((other) => other !== timer)
    this.#nowMs = timer.atMs
    timer.run()
  }
}
