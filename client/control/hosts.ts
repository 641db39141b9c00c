// The hosts that are attached to the core now: who they are, how to send them an event, and which of them is asked for a
// login. Filled by control/server.ts, read by renewal/ and core.ts.
import type { EventName, EventPayload } from '../../shared/rpc.ts'

export type HostKind = 'terminal' | 'window' | 'page'

export type Host = {
  readonly id: number
  readonly kind: HostKind
  readonly canAsk: boolean
  readonly appVersion: string
  send<E extends EventName>(event: E, payload: EventPayload<E>): void
}

export type Hosts = {
  /** Attached hosts, the one that came last at the end. */
  list(): readonly Host[]
  find(id: number): Host | undefined
  broadcast<E extends EventName>(event: E, payload: EventPayload<E>): void
  /** The host that a login is put before: the preferred one, else the window, else the page, else the terminal that came last. */
  chooseAsker(preferred: number | undefined): Host | undefined
  attach(host: Host): void
  detach(id: number): void
}

export function createHosts(): Hosts {
  const attached = new Map<number, Host>()
  return {
    list: () => [...attached.values()],
    find: (id) => attached.get(id),
    broadcast(event, payload) {
      for (const host of attached.values()) host.send(event, payload)
    },
    chooseAsker(preferred) {
      const able = [...attached.values()].filter((host) => host.canAsk).reverse()
      const lastOf = (kind: HostKind) => able.find((host) => host.kind === kind)
      return able.find((host) => host.id === preferred) ?? lastOf('window') ?? lastOf('page') ?? lastOf('terminal')
    },
    attach: (host) => void attached.set(host.id, host),
    detach: (id) => void attached.delete(id),
  }
}
