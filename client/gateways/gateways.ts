// All gateways of a home: opened once per (profile, resource, account), their ports kept, detached ones restored at the start,
// attached ones closed with their host. Called by core.ts.
import { PosternError } from '../../shared/errors.ts'
import type { GatewayView } from '../../shared/rpc.ts'
import type { Host } from '../control/hosts.ts'
import type { Profile } from '../profiles/profile.ts'
import { isOthers, type Route } from '../renewal/route-certificates.ts'
import { SingleFlight } from '../renewal/single-flight.ts'
import type { Gateway } from './gateway.ts'
import type { StoredGateway } from './gateway-file.ts'
import { tellServerOfTheEnd } from './gateway-end.ts'
import { GatewayMaker, type MakerOptions, type Opening, type Wanted } from './gateway-maker.ts'
import { requireDatabases } from './protocols/requirements.ts'
import { gatewayIdOf, RememberedGateways } from './remembered-gateways.ts'

type Options = MakerOptions & { stored: StoredGateway[] }

export class Gateways {
  readonly #options: Options
  readonly #open = new Map<string, Gateway>()
  readonly #remembered: RememberedGateways
  readonly #maker: GatewayMaker
  readonly #opening = new Map<string, SingleFlight<Gateway>>()
  /** A gateway that is still closing would take the new one's route and port record with it: opening it again waits. */
  readonly #closing = new Map<string, Promise<void>>()

  constructor(options: Options) {
    this.#options = options
    this.#remembered = new RememberedGateways(options.file, options.stored)
    this.#maker = new GatewayMaker(options, this.#remembered, (gateway) => this.#open.get(gateway.id) === gateway)
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
    return this.#remembered
      .list()
      .filter(
        (one) =>
          one.profile === profile.name &&
          one.resource === resource &&
          (account === undefined || one.account === account),
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
      const opened = await this.#listen({ profile, resource, opening, hostId: host.id, user: profile.user })
      // Its host left in the last moment.
      if (abandoned.aborted && opened.keep === 'attached') await this.#closeOne(opened)
      return opened
    }, signal)
    return { gateway, owned: opener.isUs && gateway.keep === 'attached' }
  }

  /** Detached gateways of the last core of this home, listening again on their ports (G17). */
  async restore(findProfile: (name: string) => Profile | undefined): Promise<void> {
    for (const one of this.#remembered.list().filter((stored) => stored.isRestored)) {
      const profile = findProfile(one.profile)
      if (!profile) continue
      const user = one.user ?? profile.user
      const opening: Opening = { ...one, password: one.asksPassword, keep: 'detached' }
      const wanted = { profile, resource: one.resource, opening, hostId: undefined, user }
      const gateway = this.#maker.make(wanted, one.port)
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
      this.#remembered.requireFree(change.port, id)
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
    await this.#remembered.forget(profile.name)
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
    for (const gateway of this.list()) if (gateway.profile.name === profile) gateway.changed()
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
      gateway.setPassword(this.#maker.passwordFor(gateway.id, opening))
      gateway.asksPassword = opening.password
    }
    if (opening.keep === 'detached' && gateway.keep === 'attached') {
      gateway.keep = 'detached'
      gateway.ownerHostId = undefined
    }
    await this.#remember(gateway, gateway.keep === 'detached')
    return gateway
  }

  async #listen(wanted: Wanted): Promise<Gateway> {
    const gateway = await this.#maker.makeListening(wanted)
    this.#open.set(gateway.id, gateway)
    this.#options.onChanged(gateway)
    await this.#remember(gateway, gateway.keep === 'detached')
    return gateway
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
    await tellServerOfTheEnd(gateway, this.#options)
  }

  /** Keeps the port for good, and whether the gateway comes back. */
  async #remember(gateway: Gateway, isRestored: boolean): Promise<void> {
    const { resource, protocol, account, user } = gateway.route
    const { database, port } = gateway
    // The password stays although it is not asked for now: one that is wanted again is the one that clients have.
    const { asksPassword, socket } = gateway
    const password = gateway.password ?? this.#remembered.get(gateway.id)?.password
    await this.#remembered.remember({
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
  }

  #of(profile: Profile): Gateway[] {
    return this.list().filter((gateway) => gateway.profile === profile)
  }
}
