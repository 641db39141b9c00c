// A secret in memory that cannot be printed by accident: logs, JSON, templates and util.inspect show `[redacted]`.
// Made by whoever decrypts or reads one; opened by `reveal()` where it is used.
import { inspect } from 'node:util'

const REDACTED = '[redacted]'

export class Secret {
  readonly #value: string

  constructor(value: string) {
    this.#value = value
  }

  /** The secret itself. Call it at the point of use and keep no copy. */
  reveal(): string {
    return this.#value
  }

  toString(): string {
    return REDACTED
  }

  toJSON(): string {
    return REDACTED
  }

  [inspect.custom](): string {
    return REDACTED
  }
}
