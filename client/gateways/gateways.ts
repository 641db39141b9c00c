// All gateways of a home: opened once per (profile, resource, account), their ports kept, detached ones restored at the start,
// attached ones closed with their host. Called by core.ts.
import type { Logger } from 'pino'
import { CloseRouteResponse } from '../../shared/resource-api.ts'
import { PosternError } from '../../shared/errors.ts'
import type { ResourceProtocol } from '../../shared/names.ts'
import type { GatewayView } from '../../shared/rpc.ts'
import type { Host } from '../control/hosts.ts'
import type { Profile } from '../profiles/profile.ts'
import type { LoginRequests } from '../renewal/login-requests.ts'
import type { Renewal } from '../renewal/renewal.ts'
import { isOthers, type Route } from '../renewal/route-certificates.ts'
import { SingleFlight } from '../renewal/single-flight.ts'
import type { NoteStep } from '../state-machine.ts'
import { Gateway, gatewayIdOf } from './gateway.ts'
import { makeGatewayPassword } from './gateway-password.ts'
import { writeGatewayFile, type StoredGateway } from './gateway-file.ts'
import type { CheckLocalUser } from './local-user.ts'
import { portCandidates, portConflict, type PortRange } from './ports.ts'
import { gatewayProtocol } from './protocols/protocols.ts'

export type Opening = {
  protocol: ResourceProtocol
  account: string
  /** Empty where the protocol has none. */
  database: string
  port?: number | undefined
  keep: 'attached' | 'detached'
  /** A directory or path for a Unix socket beside the port. */
  socket?: string | undefined
  /** Whether it asks for a password of its own; undefined: as it was, or as the setting says. */
  password?: boolean | undefined
}

type Options = {
  file: string
  stored: StoredGateway[]
  ephemeral: PortRange
  requests: LoginRequests
  loginHardLimitMs: () => number
  /** The person's own range of ports for new gateways, if there is one. */
  portRange: () => PortRange | undefined
  /** Wall time of this machine, in ms. */
  now: () => number
  checkLocalUser: CheckLocalUser
  /** For a client to say what it wants, in ms. */
  openingDeadlineMs: number
  /** How long bytes may wait for a client or a server that takes none, in ms. */
  writeStallMs: () => number
  platform: NodeJS.Platform
  uid: number | undefined
  /** The setting: whether a gateway whose opener did not say has a password. */
  isPasswordDefault: () => boolean
  renewalOf: (profile: Profile) => Renewal
  onChanged: (gateway: Gateway) => void
  notice: (text: string, profile: string, gateway: string) => void
  /** Told each change of a gateway's state. */
  noteStep: (gateway: string) => NoteStep
  log: Logger
}

/** How long the server may take to hear that a gateway was closed, in ms: the person does not wait for it longer. */
const CLOSE_ROUTE_DEADLINE_MS = 5000
/** Ports tried for a gateway that never had one. */
const PORT_TRIES = 100

export class Gateways {
  readonly #options: Options
  readonly #open = new Map<string, Gateway>()
  readonly #stored = new Map<string, StoredGateway>()
  readonly #opening = new Map<string, SingleFlight<Gateway>>()
  /** A gateway that is still closing would take the new one's route and port record with it: opening it again waits. */
  readonly #closing = new Map<string, Promise<void>>()
  #writing: Promise<void> = Promise.resolve()

  constructor(options: Options) {
    this.#options = options
    for (const one of options.stored) this.#stored.set(gatewayIdOf(one.profile, one.resource, one.account), one)
  }

  list(): Gateway[] {
    return [...this.#open.values()]
  }

  /** Those of the person who is logged in now. */
  routesOf(profile: Profile): Route[] {
    return this.#of(profile)
      .map((gateway) => gateway.route)
      .filter((route) => !isOthers(route, profile))
  }

  get hasDetached(): boolean {
    return this.list().some((gateway) => gateway.keep === 'detached')
  }

  /** Gateways of that resource which this home knows, open or not. */
  known(profile: Profile, resource: string, account: string | undefined): StoredGateway[] {
    return [...this.#stored.values()].filter(
      (one) =>
        one.profile === profile.name && one.resource === resource && (account === undefined || one.account === account),
    )
  }

  find(profile: Profile, resource: string, account: string): Gateway | undefined {
    return this.#open.get(gatewayIdOf(profile.name, resource, account))
  }

  /**
   * Opens a gateway, or gives the one that is open (G16).
   * @param authorise gets the route certificate before anything listens; its error keeps the gateway from opening
   * @throws PosternError `port_conflict`, or what `authorise` throws
   */
  async open(
    profile: Profile,
    resource: string,
    opening: Opening,
    host: Host,
    authorise: (route: Route, signal: AbortSignal) => Promise<void>,
    signal: AbortSignal,
  ): Promise<{ gateway: Gateway; owned: boolean }> {
    const id = gatewayIdOf(profile.name, resource, opening.account)
    await this.#closing.get(id)
    const existing = this.#open.get(id)
    if (existing) return { gateway: await this.#reopen(existing, opening), owned: false }
    const flight = this.#opening.get(id) ?? new SingleFlight<Gateway>()
    this.#opening.set(id, flight)
    const opener = { isUs: false }
    const gateway = await flight.join(async (abandoned) => {
      opener.isUs = true
      const { protocol, account } = opening
      const route: Route = { gatewayId: id, resource, protocol, account, user: profile.user }
      await authorise(route, abandoned)
      const opened = await this.#listen(profile, resource, opening, host.id)
      // Its host left in the last moment.
      if (abandoned.aborted && opened.keep === 'attached') await this.#closeOne(opened)
      return opened
    }, signal)
    return { gateway, owned: opener.isUs && gateway.keep === 'attached' }
  }

  /** Detached gateways of the last core of this home, listening again on their ports (G17). */
  async restore(findProfile: (name: string) => Profile | undefined): Promise<void> {
    for (const one of [...this.#stored.values()].filter((stored) => stored.isRestored)) {
      const profile = findProfile(one.profile)
      if (!profile) continue
      const user = one.user ?? profile.user
      const opening: Opening = { ...one, password: one.asksPassword, keep: 'detached' }
      const gateway = this.#create(profile, one.resource, opening, one.port, undefined, user)
      this.#open.set(gateway.id, gateway)
      try {
        await gateway.listen()
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error)
        this.#options.log.warn({ err: error, gateway: gateway.id }, 'gateway was not restored')
        this.#options.notice(
          `the gateway for ${one.resource} as ${one.account} could not come back: ${why}`,
          profile.name,
          gateway.id,
        )
      }
    }
  }

  /** @throws PosternError `gateway_unknown` */
  byId(id: string): Gateway {
    const gateway = this.#open.get(id)
    if (!gateway) throw new PosternError('gateway_unknown', 'this gateway is not open any more')
    return gateway
  }

  get(id: string): Gateway | undefined {
    return this.#open.get(id)
  }

  /**
   * Another port (the new listener comes up first, the old one stays if that fails, G15) or another database in the strings
   * (G16). Nothing is changed if the port cannot be had.
   * @throws PosternError `gateway_unknown`, `port_conflict`, `bad_request` for a database where there are none
   */
  async update(id: string, change: { port?: number | undefined; database?: string | undefined }): Promise<GatewayView> {
    const gateway = this.byId(id)
    if (change.database !== undefined) requireDatabases(gateway.route)
    if (change.port !== undefined) {
      const holder = [...this.#stored].find(([other, one]) => other !== id && one.port === change.port)?.[1]
      if (holder) throw portConflict(change.port, `your gateway for ${holder.resource} as ${holder.account}`)
      await gateway.moveTo(change.port)
    }
    // It may have been closed meanwhile, and must not come back by this.
    this.byId(id)
    if (change.database !== undefined) gateway.database = change.database
    await this.#remember(gateway, gateway.keep === 'detached')
    this.#options.onChanged(gateway)
    return gateway.view()
  }

  /** Closes all gateways of a profile for good and forgets their ports: the person forgets the cluster. */
  async removeAllOf(profile: Profile): Promise<void> {
    await Promise.all(this.#of(profile).map((gateway) => this.#closeOne(gateway)))
    for (const [id, stored] of this.#stored) if (stored.profile === profile.name) this.#stored.delete(id)
    await this.#write()
  }

  /**
   * Closes by id, by resource, or by RESOURCE/ACCOUNT.
   * @throws PosternError `gateway_unknown`, or `conflict` if several fit
   */
  async close(wanted: string): Promise<GatewayView> {
    const fitting = this.list().filter(
      ({ id, route }) => id === wanted || route.resource === wanted || `${route.resource}/${route.account}` === wanted,
    )
    const [gateway, ...others] = fitting
    if (!gateway) {
      const open = this.list().map(({ route }) => `${route.resource}/${route.account}`)
      throw new PosternError('gateway_unknown', `no open gateway is ${wanted}; open now: ${open.join(', ') || 'none'}`)
    }
    if (others.length > 0) {
      const names = fitting.map(({ id, route }) => `${route.resource}/${route.account} (${id})`)
      throw new PosternError('conflict', `several gateways are ${wanted}: name one of ${names.join(', ')}`)
    }
    await this.#closeOne(gateway)
    return gateway.view()
  }

  /** Ctrl-C or the end of the terminal that opened them. */
  async closeOwnedBy(hostId: number): Promise<void> {
    const owned = this.list().filter((gateway) => gateway.ownerHostId === hostId)
    await Promise.all(owned.filter((gateway) => gateway.keep === 'attached').map((gateway) => this.#closeOne(gateway)))
  }

  /** Logout, or another CA: connections end at once, listeners stay and need a login. */
  async endConnectionsOf(profile: Profile, reason: PosternError): Promise<void> {
    await Promise.all(this.#of(profile).map((gateway) => gateway.endConnections(reason)))
    this.profileChanged(profile.name)
  }

  profileChanged(profile: string): void {
    for (const gateway of this.list()) if (gateway.profile.name === profile) gateway.look()
  }

  /** The core ends: detached gateways come back at the next start. */
  async shutDown(): Promise<void> {
    const reason = new PosternError('gateway_unknown', 'the Postern core ended')
    const endings = await Promise.allSettled([
      // Those of a host that has just left are on their way already.
      ...this.#closing.values(),
      ...this.list().map((gateway) => (gateway.keep === 'attached' ? this.#closeOne(gateway) : gateway.close(reason))),
    ])
    this.#open.clear()
    for (const ending of endings) {
      if (ending.status === 'rejected') this.#options.log.error({ err: ending.reason as unknown }, 'closing failed')
    }
  }

  async #reopen(gateway: Gateway, opening: Opening): Promise<Gateway> {
    const { port, socket } = opening
    gateway.claim(gateway.profile.user)
    if (!gateway.isListening) {
      if (port !== undefined) gateway.port = port
      if (socket !== undefined) await gateway.openSocket(socket)
      await gateway.listen()
    } else if (port !== undefined && port !== gateway.port) {
      throw new PosternError(
        'conflict',
        `${gateway.route.resource} as ${gateway.route.account} is open on port ${gateway.port}; close it first to open it on ${port}`,
      )
    }
    if (socket !== undefined) await gateway.openSocket(socket)
    if (opening.password !== undefined) {
      gateway.setPassword(this.#passwordFor(gateway.id, opening))
      gateway.asksPassword = opening.password
    }
    if (opening.keep === 'detached' && gateway.keep === 'attached') {
      gateway.keep = 'detached'
      gateway.ownerHostId = undefined
    }
    await this.#remember(gateway, gateway.keep === 'detached')
    return gateway
  }

  async #listen(profile: Profile, resource: string, opening: Opening, hostId: number): Promise<Gateway> {
    const id = gatewayIdOf(profile.name, resource, opening.account)
    const reserved = new Map(
      [...this.#stored].filter(([other]) => other !== id).map(([, one]) => [one.port, one] as const),
    )
    const chosen = opening.port ?? this.#stored.get(id)?.port
    const holder = chosen === undefined ? undefined : reserved.get(chosen)
    if (chosen !== undefined && holder) {
      throw portConflict(chosen, `your gateway for ${holder.resource} as ${holder.account}`)
    }
    const ports =
      chosen === undefined
        ? portCandidates(
            `${this.#options.file}#${id}`,
            this.#options.ephemeral,
            new Set(reserved.keys()),
            PORT_TRIES,
            this.#options.portRange(),
          )
        : [chosen]
    let conflict: Error | undefined
    for (const port of ports) {
      const gateway = this.#create(profile, resource, opening, port, hostId, profile.user)
      try {
        await gateway.listen()
      } catch (error) {
        if (!(error instanceof PosternError) || error.code !== 'port_conflict') throw error
        conflict = error
        continue
      }
      this.#open.set(id, gateway)
      this.#options.onChanged(gateway)
      await this.#remember(gateway, gateway.keep === 'detached')
      return gateway
    }
    throw conflict ?? new PosternError('port_conflict', 'no port is free for a gateway; choose one with --port')
  }

  #create(
    profile: Profile,
    resource: string,
    opening: Opening,
    port: number,
    hostId: number | undefined,
    user: string | null,
  ): Gateway {
    const { requests, loginHardLimitMs, checkLocalUser, platform, uid, openingDeadlineMs, renewalOf } = this.#options
    const { writeStallMs, now, onChanged, notice, noteStep, log } = this.#options
    const id = gatewayIdOf(profile.name, resource, opening.account)
    const gateway = new Gateway({
      profile,
      renewal: renewalOf(profile),
      requests,
      resource,
      protocol: opening.protocol,
      user,
      account: opening.account,
      database: opening.database,
      port,
      keep: opening.keep,
      ownerHostId: opening.keep === 'attached' ? hostId : undefined,
      password: this.#passwordFor(id, opening),
      socket: opening.socket,
      loginHardLimitMs,
      checkLocalUser,
      openingDeadlineMs,
      writeStallMs,
      platform,
      uid,
      onChanged: (changed) => {
        // A port that was only tried is nobody's business.
        if (this.#open.get(id) === changed || changed.isListening) onChanged(changed)
      },
      notice: (text) => notice(text, profile.name, id),
      noteStep: noteStep(id),
      now,
      log,
    })
    gateway.asksPassword = opening.password ?? this.#stored.get(id)?.asksPassword
    return gateway
  }

  /** The one that it had before, so that what people have copied stays good; undefined where it is to ask for none. */
  #passwordFor(id: string, { protocol, password: asked }: Opening): string | undefined {
    const stored = this.#stored.get(id)
    const isDefault = gatewayProtocol(protocol).passwordCheck !== null && this.#options.isPasswordDefault()
    if (!(asked ?? stored?.asksPassword ?? isDefault)) return undefined
    return stored?.password ?? makeGatewayPassword()
  }

  #closeOne(gateway: Gateway): Promise<void> {
    const closing = this.#closing.get(gateway.id) ?? this.#closeNow(gateway)
    this.#closing.set(gateway.id, closing)
    return closing.finally(() => this.#closing.delete(gateway.id))
  }

  async #closeNow(gateway: Gateway): Promise<void> {
    this.#open.delete(gateway.id)
    const renewal = this.#options.renewalOf(gateway.profile)
    const name = `${gateway.route.resource} as ${gateway.route.account}`
    await gateway.close(new PosternError('gateway_unknown', `the gateway for ${name} was closed`))
    this.#options.onChanged(gateway)
    renewal.forget(gateway.id)
    await this.#remember(gateway, false)
    await Promise.all([...gateway.usedRouteIds].map((routeId) => this.#tellServer(gateway, routeId)))
  }

  /** So that the session ends as *closed* (S1). An error is reported, not swallowed (G19); the gateway is closed all the same. */
  async #tellServer(gateway: Gateway, routeId: string): Promise<void> {
    const { profile, route } = gateway
    const call = { method: 'POST' as const, path: `/v1/routes/${routeId}/close` }
    try {
      await profile.callToEnd(call, CloseRouteResponse, AbortSignal.timeout(CLOSE_ROUTE_DEADLINE_MS))
    } catch (error) {
      const why = error instanceof PosternError ? error.message : 'no answer in time'
      this.#options.log.warn({ err: error, gateway: gateway.id, resource: route.resource }, 'server was not told')
      this.#options.notice(
        `the gateway for ${route.resource} is closed, but the server could not be told to end its session: ${why}`,
        profile.name,
        gateway.id,
      )
    }
  }

  /** Keeps the port for good, and whether the gateway comes back. */
  async #remember(gateway: Gateway, isRestored: boolean): Promise<void> {
    const { resource, protocol, account, user } = gateway.route
    const { database, port } = gateway
    // The password stays although it is not asked for now: one that is wanted again is the one that clients have.
    const { asksPassword, socket } = gateway
    const password = gateway.password ?? this.#stored.get(gateway.id)?.password
    this.#stored.set(gateway.id, {
      profile: gateway.profile.name,
      resource,
      protocol,
      account,
      ...(user === null ? {} : { user }),
      database,
      port,
      isRestored,
      ...(asksPassword === undefined ? {} : { asksPassword }),
      ...(password === undefined ? {} : { password }),
      ...(socket === undefined ? {} : { socket }),
    })
    await this.#write()
  }

  async #write(): Promise<void> {
    // One write after the other, each with what is true when its turn comes.
    const write = () => writeGatewayFile(this.#options.file, [...this.#stored.values()])
    this.#writing = this.#writing.then(write, write)
    await this.#writing
  }

  #of(profile: Profile): Gateway[] {
    return this.list().filter((gateway) => gateway.profile === profile)
  }
}

/** @throws PosternError `bad_request` if the protocol has no place for a password of the gateway's own */
export function requirePasswordPlace({ resource, protocol }: Pick<Route, 'resource' | 'protocol'>): void {
  if (gatewayProtocol(protocol).passwordCheck === null)
    throw new PosternError(
      'bad_request',
      `${resource} (${protocol}) has no place for a password: leave it out, or open it with a Unix socket, which is yours alone`,
    )
}

/** @throws PosternError `bad_request` if the protocol knows no databases that one could name */
export function requireDatabases({ resource, protocol }: Pick<Route, 'resource' | 'protocol'>): void {
  if (!gatewayProtocol(protocol).hasDatabases)
    throw new PosternError('bad_request', `${resource} (${protocol}) has no databases: leave the database out`)
}
