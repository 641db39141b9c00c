// How long something is waited for on behalf of one client: until a deadline, until it hangs up, or until whatever else ends it. One
// for each wait, and over with it: signals made of long-lived ones (AbortSignal.any, AbortSignal.timeout) would keep what they know of
// a connection for seconds after it. Called by the router and the engines.
import type { Link } from '../link/link.ts'

/** Why a wait is over whose client closed its connection. */
export class ClientGone extends Error {
  override readonly name = 'ClientGone'
}

export class ClientPatience {
  readonly #controller = new AbortController()
  readonly #stream: Link['stream']
  readonly #outer: AbortSignal
  readonly #timer: NodeJS.Timeout
  #isLate = false

  /**
   * @param outer ends the wait, too; with its reason
   * @param timeoutMs after so long the wait is over with a DOMException `TimeoutError`
   */
  constructor({ stream }: Link, outer: AbortSignal, timeoutMs: number) {
    this.#stream = stream
    this.#outer = outer
    this.#timer = setTimeout(this.#onLate, timeoutMs)
    stream.once('close', this.#onGone)
    outer.addEventListener('abort', this.#onOuter, { once: true })
    if (outer.aborted) this.#onOuter()
    else if (stream.closed) this.#onGone()
  }

  /** Aborts when the wait is over before what was waited for. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** It was the deadline that ended it. */
  get isLate(): boolean {
    return this.#isLate
  }

  /** What was waited for is there, or has failed: nothing aborts any more. Idempotent. */
  end(): void {
    clearTimeout(this.#timer)
    this.#stream.off('close', this.#onGone)
    this.#outer.removeEventListener('abort', this.#onOuter)
  }

  #abort(reason: unknown): void {
    this.end()
    this.#controller.abort(reason)
  }

  readonly #onOuter = (): void => this.#abort(this.#outer.reason)
  readonly #onGone = (): void => this.#abort(new ClientGone('the client closed the connection'))
  readonly #onLate = (): void => {
    this.#isLate = true
    this.#abort(new DOMException('it took too long', 'TimeoutError'))
  }
}
