// The connections of one gateway, from accept to end: each is carried (connection.ts), counted, and ended with the gateway; how the
// server takes them says whether its route is refused. Owned by gateway.ts.
import type { Socket } from 'node:net'
import type { Logger } from 'pino'
import type { PosternError } from '../../shared/errors.ts'
import type { RouteTunnels } from '../cluster/route-tunnels.ts'
import type { Wanting } from '../renewal/login-requests.ts'
import type { Route } from '../renewal/route-certificates.ts'
import { carryConnection } from './connection.ts'
import type { Door } from './doors.ts'
import type { GatewayOptions } from './gateway-options.ts'
import { ClientGoneError } from './held-client.ts'
import type { CheckPassword, GatewayProtocol } from './protocols/protocol.ts'
import { isRefusal, textOfRefusal } from './state-text.ts'
import { Traffic, type ConnectionRecord } from './traffic.ts'

/** What its gateway is at this moment. */
export type ConnectionsOwner = {
  readonly id: string
  readonly route: Route
  readonly protocol: GatewayProtocol
  readonly tunnels: RouteTunnels
  /** The host that may be asked first. */
  readonly ownerHostId: number | undefined
  /** Undefined where it asks for no password. */
  readonly checkPassword: CheckPassword | undefined
  hasGoodCertificate(): boolean
  /** Something of what is shown of it is another than before. */
  changed(): void
}

export class GatewayConnections {
  /** Routes that connections went over since it was opened (each login has its own): their sessions end with the gateway. */
  readonly usedRouteIds = new Set<string>()
  readonly traffic: Traffic
  readonly #owner: ConnectionsOwner
  readonly #options: GatewayOptions
  readonly #log: Logger
  readonly #living = new Map<Promise<void>, AbortController>()
  #refusal: PosternError | undefined
  #waiting = 0
  #next = 1
  #wrongPasswords = 0
  #roundTripMs: number | null = null

  constructor(owner: ConnectionsOwner, options: GatewayOptions, log: Logger) {
    this.#owner = owner
    this.#options = options
    this.#log = log
    this.traffic = new Traffic(() => options.now())
  }

  get size(): number {
    return this.#living.size
  }

  /** Those that wait for a login. */
  get waiting(): number {
    return this.#waiting
  }

  /** How long the latest dial took with its preamble, in ms. */
  get roundTripMs(): number | null {
    return this.#roundTripMs
  }

  /** Why the server refuses this route. */
  get refusal(): PosternError | undefined {
    return this.#refusal
  }

  /** Somebody else has it now. */
  forgetRefusal(): void {
    this.#refusal = undefined
  }

  /** What came of renewing the certificate of the route: a refusal is shown, and is over once the server issues it again. */
  noteReissued(error: unknown): void {
    if (error === undefined) {
      // Whether the target can be reached, only a connection can tell.
      if (this.#refusal?.code !== 'target_unreachable') this.#refusal = undefined
    } else if (isRefusal(error)) {
      this.#refuse(error)
    }
    this.#owner.changed()
  }

  /** Ends all at once, held ones with an error; resolves when they are over. */
  async end(reason: PosternError): Promise<void> {
    const ending = [...this.#living]
    for (const [, end] of ending) end.abort(reason)
    await Promise.all(ending.map(([connection]) => connection))
  }

  accept(socket: Socket, door: Door): void {
    const end = new AbortController()
    const owner = this.#owner
    const { profile, renewal, checkLocalUser, openingDeadlineMs, writeStallMs } = this.#options
    const connection = `${owner.id}-${this.#next++}`
    const log = this.#log.child({ connection })
    const record = this.traffic.begin(connection, socket)
    const carried = carryConnection(socket, {
      profile,
      renewal,
      route: owner.route,
      protocol: owner.protocol,
      tunnels: owner.tunnels,
      // Who may open the socket's file is its owner.
      checkLocalUser: door === 'port' ? checkLocalUser : () => Promise.resolve('owner'),
      openingDeadlineMs,
      writeStallMs: writeStallMs(),
      checkPassword: door === 'port' ? owner.checkPassword : undefined,
      onWrongPassword: () => this.#noteWrongPassword(log),
      isReady: () => owner.hasGoodCertificate(),
      wantingFor: (client) => this.#wantingFor(record, client),
      onOutcome: (error) => this.#noteOutcome(record, error),
      onDialed: (ms) => (this.#roundTripMs = ms),
      progress: record.progress,
      signal: end.signal,
      log,
    })
    this.#living.set(carried, end)
    owner.changed()
    void carried.finally(() => {
      this.#living.delete(carried)
      this.traffic.end(record)
      owner.changed()
    })
  }

  #wantingFor(record: ConnectionRecord, client: string | null): Wanting {
    const { id, route, ownerHostId } = this.#owner
    const { resource, account } = route
    record.client = client
    record.lastActiveMs = this.#options.now()
    this.#owner.changed()
    return {
      reason: { kind: 'connection', gateway: id, resource, account, client },
      hostId: ownerHostId,
      isCommand: false,
      beginWait: () => {
        this.#waiting += 1
        record.state = 'held'
        this.#owner.changed()
        return () => {
          this.#waiting -= 1
          record.state = 'connecting'
          this.#owner.changed()
        }
      },
    }
  }

  #noteOutcome(record: ConnectionRecord, error: Error | undefined): void {
    if (error instanceof ClientGoneError) return
    if (error === undefined) record.state = 'open'
    const routeId = this.#options.renewal.certificates.find(this.#owner.id)?.identity.routeId
    if (error === undefined && routeId !== undefined) this.usedRouteIds.add(routeId)
    if (isRefusal(error)) this.#refuse(error)
    else this.#refusal = undefined
    this.#owner.changed()
  }

  /** Nobody is asked to log in for these (G3), so the person has to learn of them in another way. */
  #refuse(refusal: PosternError): void {
    const { id, route } = this.#owner
    if (this.#refusal?.message !== refusal.message) {
      this.#options.notice(`${route.resource} as ${route.account}: ${textOfRefusal(refusal)}`, id)
    }
    this.#refusal = refusal
  }

  /** The person learns of the first one; nobody is asked for anything. */
  #noteWrongPassword(log: Logger): void {
    this.#wrongPasswords += 1
    log.info({ wrongPasswords: this.#wrongPasswords }, 'wrong gateway passwords so far')
    if (this.#wrongPasswords > 1) return
    const { resource, account } = this.#owner.route
    this.#options.notice(`a program gave a wrong password to the gateway for ${resource} as ${account}`, this.#owner.id)
  }
}
