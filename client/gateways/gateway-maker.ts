// Makes gateways: what each is made of, the password it asks for, and a port for one that never had one. Called by gateways.ts, which
// owns those that are open.
import type { Logger } from 'pino'
import { PosternError } from '../../shared/errors.ts'
import type { ResourceProtocol } from '../../shared/names.ts'
import type { Profile } from '../profiles/profile.ts'
import type { LoginRequests } from '../renewal/login-requests.ts'
import type { Renewal } from '../renewal/renewal.ts'
import type { NoteStep } from '../state-machine.ts'
import { Gateway } from './gateway.ts'
import { makeGatewayPassword } from './gateway-password.ts'
import type { CheckLocalUser } from './local-user.ts'
import { portCandidates, type PortRange } from './ports.ts'
import { gatewayProtocol } from './protocols/protocols.ts'
import { gatewayIdOf, type RememberedGateways } from './remembered-gateways.ts'

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

export type MakerOptions = {
  /** The file that remembers them: homes differ in it, and so do the ports that they try first. */
  file: string
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

/** Which gateway, for whom. */
export type Wanted = {
  profile: Profile
  resource: string
  opening: Opening
  /** The host that opens it; undefined: nobody, it comes back. */
  hostId: number | undefined
  user: string | null
}

/** Ports tried for a gateway that never had one. */
const PORT_TRIES = 100

export class GatewayMaker {
  readonly #options: MakerOptions
  readonly #remembered: RememberedGateways
  readonly #isOpen: (gateway: Gateway) => boolean

  /** @param isOpen whether it is the one that is open now under its id */
  constructor(options: MakerOptions, remembered: RememberedGateways, isOpen: (gateway: Gateway) => boolean) {
    this.#options = options
    this.#remembered = remembered
    this.#isOpen = isOpen
  }

  /**
   * One that listens: on the port that was asked for, else on the one it had before, else on one that is free.
   * @throws PosternError `port_conflict`
   */
  async makeListening(wanted: Wanted): Promise<Gateway> {
    let conflict: Error | undefined
    for (const port of this.#portsFor(wanted)) {
      const gateway = this.make(wanted, port)
      try {
        await gateway.listen()
        return gateway
      } catch (error) {
        if (!(error instanceof PosternError) || error.code !== 'port_conflict') throw error
        conflict = error
      }
    }
    throw conflict ?? new PosternError('port_conflict', 'no port is free for a gateway; choose one with --port')
  }

  #portsFor({ profile, resource, opening }: Wanted): Iterable<number> {
    const { file, ephemeral, portRange } = this.#options
    const id = gatewayIdOf(profile.name, resource, opening.account)
    const chosen = opening.port ?? this.#remembered.get(id)?.port
    if (chosen === undefined)
      return portCandidates(`${file}#${id}`, ephemeral, this.#remembered.portsBeside(id), PORT_TRIES, portRange())
    this.#remembered.requireFree(chosen, id)
    return [chosen]
  }

  /** One that does not listen yet. */
  make({ profile, resource, opening, hostId, user }: Wanted, port: number): Gateway {
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
      password: this.passwordFor(id, opening),
      socket: opening.socket,
      loginHardLimitMs,
      checkLocalUser,
      openingDeadlineMs,
      writeStallMs,
      platform,
      uid,
      onChanged: (changed) => {
        // A port that was only tried is nobody's business.
        if (this.#isOpen(changed) || changed.isListening) onChanged(changed)
      },
      notice: (text) => notice(text, profile.name, id),
      noteStep: noteStep(id),
      now,
      log,
    })
    gateway.asksPassword = opening.password ?? this.#remembered.get(id)?.asksPassword
    return gateway
  }

  /** The one that it had before, so that what people have copied stays good; undefined where it is to ask for none. */
  passwordFor(id: string, { protocol, password: asked }: Opening): string | undefined {
    const stored = this.#remembered.get(id)
    const isDefault = gatewayProtocol(protocol).passwordCheck !== null && this.#options.isPasswordDefault()
    if (!(asked ?? stored?.asksPassword ?? isDefault)) return undefined
    return stored?.password ?? makeGatewayPassword()
  }
}
