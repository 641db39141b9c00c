// The cool-down of a profile (G7): for a while after a login was cancelled, failed or timed out, connections are refused at once
// instead of asking again. Any login lifts it, and so does a person who asks for one. Called by login-requests.ts.
import type { PosternError } from '../../shared/errors.ts'
import { Deadline, type After } from './deadline.ts'

export class CoolDown {
  readonly #deadline: Deadline
  readonly #onEnded: () => void
  #error: PosternError | undefined

  constructor(options: { after: After; now: () => number; onEnded: () => void }) {
    this.#onEnded = options.onEnded
    this.#deadline = new Deadline({ after: options.after, now: options.now, run: () => this.end() })
  }

  /** What connections are refused with while it lasts. */
  get error(): PosternError | undefined {
    return this.#error
  }

  begin(error: PosternError, ms: number): void {
    this.#error = error
    this.#deadline.start(ms)
  }

  end(): void {
    this.#deadline.stop()
    if (!this.#error) return
    this.#error = undefined
    this.#onEnded()
  }
}
