// How long something is waited for on behalf of one client: until a time is over, until it hangs up, or until whatever else ends it.
// One for each wait, and over with it: AbortSignal.timeout and AbortSignal.any leave a timer behind until its time comes and a weak
// reference for the garbage collector, which a connection had four of: 50–100 µs, where this costs 10–20. Used at both ends.
import type { Duplex } from 'node:stream'

/** Why a wait is over whose client closed its connection. */
export class ClientGone extends Error {
  override readonly name = 'ClientGone'
}

export class TimeLimit {
  readonly #controller = new AbortController()
  readonly #outer: AbortSignal
  readonly #client: Duplex | undefined
  #timer: NodeJS.Timeout | undefined
  #isLate = false

  /**
   * Begins to count.
   * @param outer ends the wait, too; its reason is passed on
   * @param ms after so long the wait is over, with a DOMException `TimeoutError`
   * @param client whose end ends the wait as well, with ClientGone
   */
  constructor(outer: AbortSignal, ms: number, client?: Duplex) {
    this.#outer = outer
    this.#client = client
    if (outer.aborted) this.#controller.abort(outer.reason)
    else if (client?.closed) this.#controller.abort(clientGone())
    else {
      outer.addEventListener('abort', this.#onOuter, { once: true })
      client?.once('close', this.#onGone)
      this.#timer = setTimeout(this.#onLate, ms, ms)
    }
  }

  /** Aborts when the wait is over before what was waited for. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** The time was over before anything else ended it. */
  get isLate(): boolean {
    return this.#isLate
  }

  /** Nobody waits any longer, for a reason of the caller's. Nothing where the wait is over already. */
  giveUp(reason: Error): void {
    if (this.#timer) this.#abort(reason)
  }

  /** What was waited for is there, or has failed: nothing aborts any more. Whoever made it calls it, whatever came. Idempotent. */
  end(): void {
    if (!this.#timer) return
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#outer.removeEventListener('abort', this.#onOuter)
    this.#client?.off('close', this.#onGone)
  }

  #abort(reason: unknown): void {
    this.end()
    this.#controller.abort(reason)
  }

  readonly #onOuter = (): void => this.#abort(this.#outer.reason)
  readonly #onGone = (): void => this.#abort(clientGone())
  readonly #onLate = (ms: number): void => {
    this.#isLate = true
    this.#abort(new DOMException(`not within ${ms} ms`, 'TimeoutError'))
  }
}

const clientGone = (): ClientGone => new ClientGone('the client closed the connection')
