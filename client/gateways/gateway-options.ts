// What one gateway is made of. Put together by gateways.ts for gateway.ts.
import type { Logger } from 'pino'
import type { ResourceProtocol } from '../../shared/names.ts'
import type { Profile } from '../profiles/profile.ts'
import type { LoginRequests } from '../renewal/login-requests.ts'
import type { Renewal } from '../renewal/renewal.ts'
import type { NoteStep } from '../state-machine.ts'
import type { Gateway } from './gateway.ts'
import type { CheckLocalUser } from './local-user.ts'

export type GatewayOptions = {
  profile: Profile
  renewal: Renewal
  requests: LoginRequests
  resource: string
  protocol: ResourceProtocol
  account: string
  /** Whose gateway it is; null: nobody has logged in yet. */
  user: string | null
  /** Empty where the protocol has none. */
  database: string
  port: number
  keep: 'attached' | 'detached'
  /** The host that opened it and may be asked first. */
  ownerHostId: number | undefined
  /** Of its own, which clients have to know; undefined: none. */
  password: string | undefined
  /** A directory or path for a Unix socket beside the port; undefined: none. */
  socket: string | undefined
  loginHardLimitMs: () => number
  checkLocalUser: CheckLocalUser
  /** For a client to say what it wants, in ms. */
  openingDeadlineMs: number
  /** How long bytes may wait for a client or a server that takes none, in ms; asked at each connection. */
  writeStallMs: () => number
  platform: NodeJS.Platform
  /** Whose gateway it is; undefined where the system has no such ids. */
  uid: number | undefined
  /** Wall time of this machine, in ms. */
  now: () => number
  onChanged: (gateway: Gateway) => void
  notice: (text: string, gateway: string) => void
  noteStep: NoteStep
  log: Logger
}
