// Whether a person may be disturbed by a login now (G10): not while the screen is locked or the machine sleeps, and not for a
// gateway that a program keeps retrying although nobody answered. Told by hosts (presence) and login-requests.ts (what became
// of its requests), asked by login-requests.ts.
import type { ParsedParams } from '../../shared/rpc.ts'

export type Presence = ParsedParams<'presence.set'>['presence']

/** How long a login that nobody gave is remembered for a gateway, in ms. */
const MEMORY_MS = 5 * 60_000
/** As many connections without a login in that time are a program that retries. */
const UNANSWERED_MAX = 3
/** Connections that fail together (a pool) count once, in ms. */
const BURST_MS = 1000

export class Attention {
  readonly #now: () => number
  /** What hosts that can tell have said; those that cannot say nothing. */
  readonly #presences = new Map<number, Presence>()
  /** Gateway → when its connections had to be refused for want of a login, in ms since the epoch. */
  readonly #unanswered = new Map<string, number[]>()

  constructor(now: () => number) {
    this.#now = now
  }

  /** @returns whether somebody came back by this */
  setPresence(hostId: number, presence: Presence): boolean {
    const wasAbsent = this.#isAbsent
    this.#presences.set(hostId, presence)
    return wasAbsent && !this.#isAbsent
  }

  /** What it said does not count any more. @returns whether nobody is said to be away now, who was before */
  hostLeft(hostId: number): boolean {
    const wasAbsent = this.#isAbsent
    this.#presences.delete(hostId)
    return wasAbsent && !this.#isAbsent
  }

  /** @param gateway whose connection wants the login, if one does */
  mayDisturbFor(gateway: string | undefined): boolean {
    return !this.#isAbsent && (gateway === undefined || this.#recent(gateway).length < UNANSWERED_MAX)
  }

  /** A connection of this gateway got an error because nobody logged in. */
  noteUnanswered(gateway: string): void {
    const now = this.#now()
    const recent = this.#recent(gateway)
    const last = recent.at(-1)
    if (last === undefined || now - last >= BURST_MS) recent.push(now)
    this.#unanswered.set(gateway, recent.slice(-UNANSWERED_MAX))
  }

  /** Somebody logged in, or the gateway was closed. */
  forget(gateway: string): void {
    this.#unanswered.delete(gateway)
  }

  get #isAbsent(): boolean {
    return [...this.#presences.values()].some((presence) => presence !== 'present')
  }

  #recent(gateway: string): number[] {
    return (this.#unanswered.get(gateway) ?? []).filter((at) => this.#now() - at < MEMORY_MS)
  }
}
