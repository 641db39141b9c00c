// Which statement a name stands for on one connection: prepared statements and the portals that were bound to them, so that
// an Execute can be logged with its text. Bounded: what is oldest is forgotten first. Called by the statement log.

/** Text of a statement as it is kept for the log: without secrets (redact.ts). */
export type KeptText = { sql: string; truncated?: true }

const MAX_NAMES = 4096
/** Of all texts together, in characters. */
const MAX_CHARACTERS = 8 * 1024 * 1024

export class PreparedNames {
  readonly #texts = new Map<string, KeptText>()
  #characters = 0

  get(name: string): KeptText | undefined {
    return this.#texts.get(name)
  }

  set(name: string, text: KeptText | undefined): void {
    this.delete(name)
    if (text === undefined) return
    this.#texts.set(name, text)
    this.#characters += text.sql.length
    for (const oldest of this.#texts.keys()) {
      if (this.#texts.size <= MAX_NAMES && this.#characters <= MAX_CHARACTERS) break
      this.delete(oldest)
    }
  }

  delete(name: string): void {
    this.#characters -= this.#texts.get(name)?.sql.length ?? 0
    this.#texts.delete(name)
  }

  clear(): void {
    // At every end of a cycle, and nearly always empty then.
    if (this.#texts.size === 0) return
    this.#texts.clear()
    this.#characters = 0
  }
}
