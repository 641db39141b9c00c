// Several callers, one action: the one type for that in the core. Whoever comes while the action runs waits for the same
// result; each may leave by its own AbortSignal; when the last has left, the action is told to stop and forgotten.
export class SingleFlight<T> {
  readonly #onWaiting: ((waiting: number) => void) | undefined
  #flight: { result: Promise<T>; stop: AbortController; waiting: number } | undefined

  /** @param onWaiting told how many wait, whenever that changes while an action runs */
  constructor(onWaiting?: (waiting: number) => void) {
    this.#onWaiting = onWaiting
  }

  get waiting(): number {
    return this.#flight?.waiting ?? 0
  }

  /**
   * Waits for the running action, or starts it. Rejects as the action does, or with the signal's reason.
   * @param start gets a signal that aborts when nobody waits any more
   */
  async join(start: (abandoned: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T> {
    signal.throwIfAborted()
    const flight = (this.#flight ??= this.#begin(start))
    flight.waiting += 1
    this.#onWaiting?.(flight.waiting)
    let onAbort = (): void => undefined
    const left = new Promise<never>((_, reject) => {
      onAbort = () => reject(signal.reason as Error)
      signal.addEventListener('abort', onAbort, { once: true })
    })
    try {
      return await Promise.race([flight.result, left])
    } finally {
      signal.removeEventListener('abort', onAbort)
      flight.waiting -= 1
      if (this.#flight === flight) this.#onWaiting?.(flight.waiting)
      if (flight.waiting === 0) {
        if (this.#flight === flight) this.#flight = undefined
        flight.stop.abort()
      }
    }
  }

  #begin(start: (abandoned: AbortSignal) => Promise<T>): {
    result: Promise<T>
    stop: AbortController
    waiting: number
  } {
    const stop = new AbortController()
    const result = start(stop.signal)
    const flight = { result, stop, waiting: 0 }
    const forget = (): void => {
      if (this.#flight === flight) this.#flight = undefined
    }
    // An abandoned action may still reject: nobody is there to hear it, and that is fine.
    result.then(forget, forget)
    return flight
  }
}
