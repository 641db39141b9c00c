// What an endpoint of the JSON API is: one row of the table in endpoints.ts, with who may call it, what it takes, and what
// it does. web-app.ts walks the table; no endpoint exists outside of it (W1).
import type { Logger } from 'pino'
import type { z } from 'zod'
import type { PermissionLevel, TrustNews } from '../../shared/api.ts'
import type { Logins } from '../accounts/logins.ts'
import type { Peer } from '../accounts/peer.ts'
import type { OwnAccount } from '../accounts/own-account.ts'
import type { Authority } from '../ca/authority.ts'
import type { CaRotation } from '../ca/rotation.ts'
import type { MasterKey } from '../secrets/master-key.ts'
import type {
  AccessCheck,
  AuditReader,
  Clock,
  ControlHub,
  ReportError,
  SessionControl,
  TransactionalAuditLog,
} from '../seams.ts'
import type { SsoLogins } from '../sso/sso-logins.ts'
import type { Db } from '../store/store.ts'

/** `anonymous`: anybody, before the login. A level: whoever is signed in and has at least that one; `none` is everybody. */
export type EndpointAccess = 'anonymous' | PermissionLevel

/** Who calls, as the store knows them at this moment. */
export type Actor = {
  user: string
  level: PermissionLevel
  loginId: string
  loginEndsAt: Date
  /** The certificate was signed by a user CA that signs no more (C7). */
  isOnOldCa: boolean
}

/** What the handlers stand on. */
export type ApiParts = {
  db: Db
  masterKey: MasterKey
  authority: Authority
  caRotation: CaRotation
  access: AccessCheck
  sessions: SessionControl
  control: ControlHub
  audit: TransactionalAuditLog
  auditReader: AuditReader
  logins: Logins
  ownAccount: OwnAccount
  /** Undefined: this cluster has no identity provider. */
  sso: SsoLogins | undefined
  cluster: string
  version: string
  routeTtlMs: number
  now: Clock
  reportError: ReportError
  log: Logger
}

/** One request, as far as every handler needs it. `signal` aborts at the deadline and when the client has gone. */
export type ApiRequest = { parts: ApiParts; params: Record<string, string>; peer: Peer; signal: AbortSignal }

export type Answer = Record<string, unknown>

/** What an answer to a signed-in person says about the CAs (C7). */
export const trustNews = ({ parts, actor }: ApiRequest & { actor: Actor }): TrustNews => ({
  cas: [...parts.authority.serverCaPems],
  renewCertificate: actor.isOnOldCa,
})

export type Endpoint = {
  method: 'GET' | 'POST' | 'DELETE'
  /** `:name` stands for one segment. */
  path: string
  access: EndpointAccess
  /** Ends something of one's own and gives nothing, so a certificate that has run out will do (closing, logging out). */
  takesExpired: boolean
  /** Schema of the query (GET) or the body (the others). */
  input: z.ZodType | undefined
  /** `input` is what the schema made; `actor` is there unless the endpoint is anonymous. */
  handle(request: ApiRequest, input: unknown, actor: Actor | undefined): Promise<Answer>
}

type Definition<I extends z.ZodType> = Pick<Endpoint, 'method' | 'path'> & { input?: I }

/** An endpoint that anybody may call. */
export function anonymous<I extends z.ZodType>(
  definition: Definition<I> & { handle: (request: ApiRequest, input: z.output<I>) => Promise<Answer> },
): Endpoint {
  const { handle, input } = definition
  return {
    method: definition.method,
    path: definition.path,
    access: 'anonymous',
    takesExpired: false,
    input,
    handle: (request, value) => handle(request, trusted<I>(value)),
  }
}

/** An endpoint for people who are signed in and have at least this level. */
export function signedIn<I extends z.ZodType>(
  definition: Definition<I> & {
    level: PermissionLevel
    takesExpired?: true
    handle: (request: ApiRequest & { actor: Actor }, input: z.output<I>) => Promise<Answer>
  },
): Endpoint {
  const { handle, input } = definition
  return {
    method: definition.method,
    path: definition.path,
    access: definition.level,
    takesExpired: definition.takesExpired ?? false,
    input,
    handle: async (request, value, actor) => {
      if (!actor) throw new Error(`${definition.path} was called without an actor`)
      return handle({ ...request, actor }, trusted<I>(value))
    },
  }
}

/** web-app.ts parsed the value with the endpoint's own schema; this is where that is told to the compiler. */
const trusted = <I extends z.ZodType>(value: unknown): z.output<I> => value as z.output<I>
