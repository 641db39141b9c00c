// A deadline that can be looked at: when it is, and what happens then. Used for the bounds of a wait (G9) and the cool-down (G7).

/** Runs something later, in ms; what it returns takes that back. The core's is `setTimeout`, tests have one of their own. */
export type After = (ms: number, run: () => void) => () => void

export const afterTimer: After = (ms, run) => {
  const timer = setTimeout(run, ms)
  return () => clearTimeout(timer)
}

export class Deadline {
  readonly #after: After
  readonly #now: () => number
  readonly #run: () => void
  #pending: { atMs: number; cancel: () => void } | undefined

  constructor(options: { after: After; now: () => number; run: () => void }) {
    this.#after = options.after
    this.#now = options.now
    this.#run = options.run
  }

  /** Wall time of this machine at which it ends, in ms; undefined while it does not run. */
  get atMs(): number | undefined {
    return this.#pending?.atMs
  }

  /** Starts it (anew), in ms from now. */
  start(ms: number): void {
    this.stop()
    const cancel = this.#after(ms, () => {
      this.#pending = undefined
      this.#run()
    })
    this.#pending = { atMs: this.#now() + ms, cancel }
  }

  stop(): void {
    this.#pending?.cancel()
    this.#pending = undefined
  }
}
