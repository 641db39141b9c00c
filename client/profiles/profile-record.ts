// A profile's files as they are at this moment: what is known of it, and its user certificate. Writes go one at a time, so that none
// undoes another, and what is read here was stored first. Owned by profile.ts.
import type { KeyProtection } from './key-protection.ts'
import {
  removeProfileFiles,
  removeUserCertificate,
  writeProfileFile,
  writeUserCertificate,
  type StoredProfile,
  type UserCertificate,
} from './profile-file.ts'

export class ProfileRecord {
  readonly #dir: string
  readonly #keys: KeyProtection
  readonly #name: string
  /** The last write: each starts from what the one before it left. */
  #last: Promise<unknown> = Promise.resolve()
  #stored: StoredProfile
  #isRemoved = false

  constructor({ dir, keys, stored }: { dir: string; keys: KeyProtection; stored: StoredProfile }) {
    this.#dir = dir
    this.#keys = keys
    this.#name = stored.profile
    this.#stored = stored
  }

  get stored(): StoredProfile {
    return this.#stored
  }

  /** Runs what writes when all writes before it are done; a failure is the caller's and holds nobody up. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work)
    this.#last = turn.catch(() => undefined)
    return turn
  }

  /** Stores a change of what is stored by then. */
  store(change: Partial<StoredProfile>): Promise<void> {
    return this.inTurn(() => this.write(change))
  }

  /** Stores a change of what is stored now, then publishes it in one assignment. In turn only. */
  async write(change: Partial<StoredProfile>): Promise<void> {
    // An answer that was under way must not bring the files back.
    if (this.#isRemoved) return
    const stored = { ...this.#stored, ...change }
    await writeProfileFile(this.#dir, stored)
    this.#stored = stored
  }

  /** In turn only. */
  writeCertificate(certificate: UserCertificate): Promise<void> {
    return writeUserCertificate(this.#dir, this.#name, certificate, this.#keys)
  }

  removeCertificate(): Promise<void> {
    return this.inTurn(() => removeUserCertificate(this.#dir, this.#name))
  }

  /** All of it, for good. */
  remove(): Promise<void> {
    return this.inTurn(() => {
      this.#isRemoved = true
      return removeProfileFiles(this.#dir, this.#name)
    })
  }
}
