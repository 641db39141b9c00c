// What a home remembers of its gateways, open or not: their ports for good, their passwords, and which come back at the next start.
// Kept in memory and in gateway-file.ts. Owned by gateways.ts.
import { createHash } from 'node:crypto'
import { writeGatewayFile, type StoredGateway } from './gateway-file.ts'
import { portConflict } from './ports.ts'

/** The same names give the same id, over restarts too. */
export const gatewayIdOf = (profile: string, resource: string, account: string): string =>
  createHash('sha256').update([profile, resource, account].join('\0')).digest('hex').slice(0, 12)

export class RememberedGateways {
  readonly #file: string
  readonly #stored = new Map<string, StoredGateway>()
  #writing: Promise<void> = Promise.resolve()

  constructor(file: string, stored: readonly StoredGateway[]) {
    this.#file = file
    for (const one of stored) this.#stored.set(gatewayIdOf(one.profile, one.resource, one.account), one)
  }

  get(id: string): StoredGateway | undefined {
    return this.#stored.get(id)
  }

  list(): StoredGateway[] {
    return [...this.#stored.values()]
  }

  /** Ports of the others. */
  portsBeside(id: string): Set<number> {
    return new Set([...this.#stored].filter(([other]) => other !== id).map(([, one]) => one.port))
  }

  /** @throws PosternError `port_conflict` if another gateway has that port, open or not */
  requireFree(port: number, id: string): void {
    const holder = [...this.#stored].find(([other, one]) => other !== id && one.port === port)?.[1]
    if (holder) throw portConflict(port, `your gateway for ${holder.resource} as ${holder.account}`)
  }

  /** Resolves when it is on disk. */
  async remember(one: StoredGateway): Promise<void> {
    this.#stored.set(gatewayIdOf(one.profile, one.resource, one.account), one)
    await this.#write()
  }

  /** Forgets all of a profile, ports too. */
  async forget(profile: string): Promise<void> {
    for (const [id, stored] of this.#stored) if (stored.profile === profile) this.#stored.delete(id)
    await this.#write()
  }

  async #write(): Promise<void> {
    // One write after the other, each with what is true when its turn comes.
    const write = () => writeGatewayFile(this.#file, this.list())
    this.#writing = this.#writing.then(write, write)
    await this.#writing
  }
}
