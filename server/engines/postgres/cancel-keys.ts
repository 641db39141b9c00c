// The backend keys that the engine gives to clients instead of the targets' own, and whom each belongs to. A cancel request
// brings such a key; this says which connection it means. Called by the engine.
//
// Layout of a key, 64 bits on protocol 3.0 (which is the only version that we speak):
//
//   process id, 32 bits:  0 ooooooooooooooo rrrrrrrrrrrrrrrr      o = 15 bits that name the owning server process
//   secret, 32 bits:      rrrrrrrr rrrrrrrr rrrrrrrr rrrrrrrr     r = 48 bits from the system's secure random source
//
// So 48 bits cannot be guessed, and a key alone is worth nothing: a cancel request must come with a route certificate of the
// person who owns the connection. The top bit is 0 because clients print the process id as a signed number. The owner bits
// are what another proxy will route by; today there is one process, and it draws them at start.
// A consequence: the process id that a client sees is not the target's pg_backend_pid().
import type { Route } from '../../seams.ts'
import type { BackendKey } from '../../../shared/wire/postgres/startup.ts'

const OWNER_BITS = 15

/** Cryptographically secure random bytes. */
export type Random = (size: number) => Uint8Array

export type KeyOwner = {
  sessionId: string
  connectionId: string
  route: Route
  /** Asks the target to cancel what the connection runs now. */
  cancelAtTarget: (signal: AbortSignal) => Promise<void>
}

export class CancelKeys {
  readonly #random: Random
  /** The bits that name this server process. */
  readonly ownerBits: number
  readonly #owners = new Map<string, KeyOwner>()

  constructor(random: Random) {
    this.#random = random
    this.ownerBits = Buffer.from(random(2)).readUInt16BE() & ((1 << OWNER_BITS) - 1)
  }

  /** A fresh key for a connection; `release` it when the connection is over. */
  issue(owner: KeyOwner): { key: BackendKey; release: () => void } {
    const key = this.#freshKey()
    const id = idOf(key)
    this.#owners.set(id, owner)
    return { key, release: () => void this.#owners.delete(id) }
  }

  find(key: BackendKey): KeyOwner | undefined {
    return this.#owners.get(idOf(key))
  }

  #freshKey(): BackendKey {
    for (;;) {
      const random = Buffer.from(this.#random(6))
      const key = { processId: ((this.ownerBits << 16) | random.readUInt16BE(0)) >>> 0, secret: random.readUInt32BE(2) }
      if (!this.#owners.has(idOf(key))) return key
    }
  }
}

const idOf = ({ processId, secret }: BackendKey): string => `${processId}:${secret}`
