// Remembers what SCRAM derives from a password: 4,096 rounds of a hash, some 2 ms of processor time, the same for every
// connection to the same account until its password changes. Lives in memory only and holds what opens an account as well as
// its password does (docs/security.md). One for each engine; called by scram.ts.
import { createHash, pbkdf2 } from 'node:crypto'
import { promisify } from 'node:util'

const deriveKey = promisify(pbkdf2)

const KEY_BYTES = 32
/** Accounts of targets that are used at the same time; beyond that the one that was used longest ago is derived again. */
const MAX_KEPT = 256

export class SaltedPasswords {
  readonly #kept = new Map<string, Promise<Buffer>>()

  /** SaltedPassword of RFC 5802, 3: Hi(password, salt, iterations) with SHA-256. Who asks at the same time shares one. */
  derive(password: string, salt: Buffer, iterations: number): Promise<Buffer> {
    const id = createHash('sha256')
      .update(JSON.stringify([password, salt.toString('base64'), iterations]))
      .digest('base64')
    const known = this.#kept.get(id)
    const salted = known ?? deriveKey(password, salt, iterations, KEY_BYTES, 'sha256')
    // At the end of the map: used last.
    this.#kept.delete(id)
    this.#kept.set(id, salted)
    if (known === undefined) salted.catch(() => this.#kept.delete(id))
    const [oldest] = this.#kept.size > MAX_KEPT ? this.#kept.keys() : []
    if (oldest !== undefined) this.#kept.delete(oldest)
    return salted
  }
}
