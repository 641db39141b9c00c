// One gateway: a local listener for one (profile, resource, account) and its state; gateway-connections.ts has its connections.
// Called by gateways.ts.
// Promises that the listener never closes because of an expiry, and that closing ends every connection at once (G19).
import { dirname } from 'node:path'
import type { Logger } from 'pino'
import type { GatewayDetail } from '../../shared/app-state.ts'
import { PosternError } from '../../shared/errors.ts'
import type { GatewayState, GatewayView } from '../../shared/rpc.ts'
import { RouteTunnels } from '../cluster/route-tunnels.ts'
import type { Profile } from '../profiles/profile.ts'
import { isOthers, othersGateway, type Route } from '../renewal/route-certificates.ts'
import { MachineRun } from '../state-machine.ts'
import { connectTimeoutFor } from './connect-timeout.ts'
import { Doors } from './doors.ts'
import { guardOf } from './entrance.ts'
import { GatewayConnections } from './gateway-connections.ts'
import type { GatewayOptions } from './gateway-options.ts'
import { GATEWAY_MACHINE, type GatewayFacts } from './gateway-state.ts'
import { GATEWAY_HOST } from './listener.ts'
import { canTellLocalUsers } from './local-user.ts'
import { judgeCertificate } from './middleware.ts'
import { gatewayProtocol } from './protocols/protocols.ts'
import type { CheckPassword, GatewayProtocol } from './protocols/protocol.ts'
import { gatewayIdOf } from './remembered-gateways.ts'
import { stateTextOf } from './state-text.ts'
import type { Traffic } from './traffic.ts'

export class Gateway {
  readonly id: string
  readonly profile: Profile
  readonly protocol: GatewayProtocol
  /** The one of the strings that people copy; clients may name any (G16). */
  database: string
  port: number
  keep: 'attached' | 'detached'
  ownerHostId: number | undefined
  /** What its connections go over, where the server knows such a thing. */
  readonly tunnels: RouteTunnels
  readonly #options: GatewayOptions
  readonly #log: Logger
  readonly #connections: GatewayConnections
  readonly #states: MachineRun<GatewayState, GatewayFacts, string>
  #route: Route
  /** Whether the person has chosen that it asks for a password; undefined: as the setting says. */
  asksPassword: boolean | undefined
  readonly #doors: Doors
  /** The Unix socket as the person named it; where it lies, the doors know. */
  #socket: string | undefined
  #password: string | undefined
  #checkPassword: CheckPassword | undefined
  #listenerState: GatewayFacts['listener'] = 'starting'
  #portConflict: string | undefined
  readonly #openedAtMs: number

  constructor(options: GatewayOptions) {
    const { profile, resource, protocol, account, user } = options
    this.#options = options
    this.id = gatewayIdOf(profile.name, resource, account)
    this.#route = { gatewayId: this.id, resource, protocol, account, user }
    this.profile = profile
    this.protocol = gatewayProtocol(protocol)
    this.database = options.database
    this.port = options.port
    this.keep = options.keep
    this.ownerHostId = options.ownerHostId
    this.#socket = options.socket
    this.#doors = new Doors({
      uid: options.uid,
      platform: options.platform,
      socketName: (port) => this.protocol.socketName({ port, resource }),
      onConnection: (client, door) => this.#connections.accept(client, door),
    })
    this.setPassword(options.password)
    this.#openedAtMs = options.now()
    this.#log = options.log.child({ gateway: this.id, resource })
    this.tunnels = new RouteTunnels({ support: profile.tunnelSupport, now: options.now, log: this.#log })
    this.#connections = new GatewayConnections(this, options, this.#log)
    this.#states = new MachineRun(GATEWAY_MACHINE, this.#facts, options.noteStep)
  }

  get route(): Route {
    return this.#route
  }

  /** Routes that its connections went over since it was opened. */
  get usedRouteIds(): Set<string> {
    return this.#connections.usedRouteIds
  }

  get traffic(): Traffic {
    return this.#connections.traffic
  }

  get checkPassword(): CheckPassword | undefined {
    return this.#checkPassword
  }

  /** Another person opens it: it is theirs from now on, and what was issued to the one before is of no use to it. */
  claim(user: string | null): void {
    if (user === this.#route.user) return
    this.#route = { ...this.#route, user }
    this.#connections.forgetRefusal()
    this.#options.renewal.forget(this.id)
    this.changed()
  }

  /** @throws PosternError `port_conflict`; the gateway then stays, in that state, and can be told to listen again */
  async listen(): Promise<void> {
    try {
      await this.#doors.open(this.port, this.#socket)
      this.#requireOpen()
      this.#listenerState = 'listening'
      this.#log.info({ port: this.port }, 'gateway listens')
    } catch (error) {
      if (!this.#isClosed) {
        this.#listenerState = 'port conflict'
        this.#portConflict = error instanceof Error ? error.message : String(error)
      }
      throw error
    } finally {
      this.changed()
    }
  }

  get #isClosed(): boolean {
    return this.#listenerState === 'closed'
  }

  /**
   * Listens on another port: the new listener comes up first; if that fails, the old one stays (G15). Connections go on.
   * @throws PosternError `port_conflict`
   */
  async moveTo(port: number): Promise<void> {
    if (!this.isListening) {
      const [oldPort, oldConflict] = [this.port, this.#portConflict]
      this.port = port
      await this.listen().catch((error: unknown) => {
        this.port = oldPort
        this.#portConflict = oldConflict ?? this.#portConflict
        throw error
      })
      return
    }
    if (port === this.port) return
    await this.#doors.open(port, this.#socket)
    this.#requireOpen()
    this.port = port
    this.#log.info({ port }, 'gateway listens on another port')
    this.changed()
  }

  /** As it was named when it was opened; where it lies is in the view. */
  get socket(): string | undefined {
    return this.#socket
  }

  get password(): string | undefined {
    return this.#password
  }

  /** From the next connection on. The protocol has a place for one (requirePasswordPlace), else there is none. */
  setPassword(password: string | undefined): void {
    if (password === this.#password) return
    this.#checkPassword = password === undefined ? undefined : this.protocol.passwordCheck?.(password)
    this.#password = this.#checkPassword && password
  }

  /**
   * Adds a Unix socket; one that it has already is fine.
   * @throws PosternError `conflict` if it has another one, else as listening does
   */
  async openSocket(wish: string): Promise<void> {
    if (wish === this.#socket) return
    if (this.isListening && this.#socket !== undefined) {
      const { resource, account } = this.route
      const text = `${resource} as ${account} is open on the socket ${this.#doors.socketPath ?? this.#socket}; close it first to open it on another`
      throw new PosternError('conflict', text)
    }
    if (this.isListening) await this.#doors.addSocket(this.port, wish)
    this.#requireOpen()
    this.#socket = wish
  }

  /** A gateway that was closed while a door of it came up has none. */
  #requireOpen(): void {
    if (!this.#isClosed) return
    this.#doors.stop()
    throw new PosternError('gateway_unknown', 'the gateway was closed meanwhile')
  }

  get isListening(): boolean {
    return this.#listenerState === 'listening'
  }

  get state(): GatewayState {
    return this.#states.look(this.#facts)
  }

  get #facts(): GatewayFacts {
    const { profile, requests } = this.#options
    return {
      listener: this.#listenerState,
      hasLogin: profile.usableCertificate !== undefined,
      isHolding: this.#connections.waiting > 0,
      isCoolingDown: requests.isCoolingDown(profile.name),
      isRefused: (this.#connections.refusal ?? profile.refusal) !== undefined || isOthers(this.#route, profile),
    }
  }

  /** @param database for a host that asked for another one: it changes the strings only (G16) */
  view(database = this.database): GatewayView {
    const { profile, renewal, loginHardLimitMs, platform, uid } = this.#options
    const target = {
      host: GATEWAY_HOST,
      port: this.port,
      account: this.route.account,
      database,
      connectTimeoutSeconds: connectTimeoutFor(loginHardLimitMs()),
    }
    const password = this.#password
    const socket = this.#doors.socketPath
    const state = this.state
    const certificate = renewal.certificates.find(this.id)
    return {
      id: this.id,
      profile: profile.name,
      resource: this.route.resource,
      protocol: this.route.protocol,
      account: this.route.account,
      database,
      host: GATEWAY_HOST,
      port: this.port,
      ...this.protocol.stringsFor({ ...target, password }),
      ...(password === undefined ? {} : { password }),
      ...(socket === undefined
        ? {}
        : { socket, socketUrl: this.protocol.stringsFor({ ...target, host: dirname(socket), socket }).url }),
      guardedBy: guardOf(canTellLocalUsers(platform, uid), password !== undefined),
      state,
      stateText: this.#textOf(state),
      keep: this.keep,
      certificateExpiresAt: certificate ? new Date(certificate.notAfterMs).toISOString() : null,
      connections: this.#connections.size,
      waiting: this.#connections.waiting,
    }
  }

  /** What a window shows of it. @param connectionsShown at most so many of its living connections are listed */
  detail(connectionsShown: number): GatewayDetail {
    const { totals, rates } = this.traffic
    return {
      ...this.view(),
      openedAt: new Date(this.#openedAtMs).toISOString(),
      connectTimeoutSeconds: connectTimeoutFor(this.#options.loginHardLimitMs()),
      bytesIn: totals.in,
      bytesOut: totals.out,
      rateIn: rates.in,
      rateOut: rates.out,
      roundTripMs: this.#connections.roundTripMs,
      connectionList: this.traffic.list(connectionsShown),
    }
  }

  /** When its state changes by itself, in milliseconds from now: its route certificate runs out. */
  momentsAheadMs(): number[] {
    const certificate = this.#options.renewal.certificates.find(this.id)
    return certificate ? [certificate.notAfterMs - this.profile.clock.now()].filter((ms) => ms > 0) : []
  }

  /** Ends all connections at once, held ones with an error; the listener stays (logout). */
  async endConnections(reason: PosternError): Promise<void> {
    await this.#connections.end(reason)
    this.tunnels.drain()
  }

  /** Frees the port and ends all connections at once. Idempotent; resolves when they are over. */
  async close(reason: PosternError): Promise<void> {
    this.#listenerState = 'closed'
    this.#doors.stop()
    await this.endConnections(reason)
    this.tunnels.close()
    this.changed()
  }

  /** What came of renewing the certificate of its route. */
  noteReissued(error: unknown): void {
    this.#connections.noteReissued(error)
  }

  /** Something of its facts may be another than before, wherever it comes from: a step is noted, hosts are told. */
  changed(): void {
    this.#states.look(this.#facts)
    this.#options.onChanged(this)
  }

  /** Nobody would be asked to log in for a connection now. */
  hasGoodCertificate(): boolean {
    const { profile, renewal } = this.#options
    const wanted = { cluster: profile.name, user: profile.user }
    try {
      return judgeCertificate(renewal.certificates.find(this.id), wanted, profile.clock.now()) === 'good'
    } catch {
      return false
    }
  }

  #textOf(state: GatewayState): string | null {
    const { profile } = this
    return stateTextOf(state, {
      refusal: isOthers(this.#route, profile)
        ? othersGateway(this.#route, profile)
        : (this.#connections.refusal ?? profile.refusal),
      portConflict: this.#portConflict,
      renewalFailure: this.#options.renewal.failureOf(this.id),
      hasCertificate: this.hasGoodCertificate(),
      loginCommand: profile.loginCommand(),
    })
  }
}
