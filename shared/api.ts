// The access server's JSON API: requests and responses as schemas, used by server/web to parse and by client/ and cli/
// to check what came back. Every response of a signed-in endpoint carries `serverTime` (C6). Pure.
import { z } from 'zod'
import { parseDuration } from './duration.ts'
import { AccountName, Name, RESOURCE_PROTOCOLS, TCP_ACCOUNT } from './names.ts'

const Time = z.iso.datetime()
const Pem = z.string().max(16_384)
const Password = z.string().min(1).max(1024)

/** Permission levels of the server's own API, lowest first (W1). `none` is a person who may only use resources. */
export const PERMISSION_LEVELS = ['none', 'viewer', 'editor', 'admin'] as const
export const PermissionLevel = z.enum(PERMISSION_LEVELS)
export type PermissionLevel = z.infer<typeof PermissionLevel>

/**
 * Server CAs that a client is to trust from now on, PEM, the one that signs first (C7). A client believes it only over a
 * connection that it verified by those that it trusts already; what it cannot read spoils no answer.
 */
const ServerCas = z.array(Pem).min(1).max(16).optional().catch(undefined)

/** What answers say about trust besides their own fields; a client looks for it in every answer. */
export const TrustNews = z.object({
  cas: ServerCas,
  /** The user certificate that was presented rests on an old user CA: POST /v1/login/certificate gives another one. */
  renewCertificate: z.boolean().optional().catch(undefined),
})
export type TrustNews = z.infer<typeof TrustNews>

// --- before the login (ALPN http/1.1) ---------------------------------------------------------------------------------

/** GET /v1/cluster */
export const ClusterInfo = z.object({
  cluster: Name,
  version: z.string(),
  protocolVersion: z.number(),
  /** How people log in here; older servers know passwords only and do not say it. */
  login: z
    .object({
      password: z.boolean(),
      /** `name`: the identity provider, as people know it. */
      sso: z.object({ name: z.string().min(1).max(60) }).nullable(),
    })
    .optional(),
  cas: ServerCas,
  serverTime: Time,
})
export type ClusterInfo = z.infer<typeof ClusterInfo>

/** POST /v1/login. `csr` is a PEM PKCS#10 request (P-256): the key stays with the person (C1). */
export const LoginRequest = z.strictObject({
  user: z.string().min(1).max(63),
  password: Password,
  totp: z.string().max(16).optional(),
  csr: Pem,
  ttlSeconds: z.number().int().positive().optional(),
})
export type LoginRequest = z.infer<typeof LoginRequest>

/** POST /v1/setup: the first administrator, once, with the code that `postern server init` printed. */
export const SetupRequest = z.strictObject({
  setupCode: z.string().min(1).max(128),
  user: Name,
  password: Password,
  csr: Pem,
})
export type SetupRequest = z.infer<typeof SetupRequest>

export const LoginResponse = z.object({
  cluster: Name,
  user: Name,
  level: PermissionLevel,
  loginId: z.string(),
  /** PEM of the user certificate. */
  certificate: z.string(),
  expiresAt: Time,
  cas: ServerCas,
  serverTime: Time,
})
export type LoginResponse = z.infer<typeof LoginResponse>

/** base64url without padding of 32 bytes: PKCE's verifiers and S256 challenges (RFC 7636, 4.1 and 4.2). */
const Base64Url32 = z.string().regex(/^[A-Za-z0-9_-]{43}$/, 'this is not the base64url of 32 bytes')

/**
 * POST /v1/sso/start: begins a login at the identity provider (OpenID Connect, code flow). `challenge` is the S256 challenge of a
 * verifier that only the caller has: without it nobody can finish this login. `redirectUri` is the caller's own loopback
 * listener (RFC 8252, 7.3).
 */
export const SsoStartRequest = z.strictObject({
  redirectUri: z
    .string()
    .regex(/^http:\/\/127\.0\.0\.1:[1-9]\d{0,4}\/callback$/, 'the way back is http://127.0.0.1:PORT/callback')
    .refine((uri) => Number(/:(\d+)\/callback$/.exec(uri)?.[1]) <= 65_535, 'there is no such port'),
  challenge: Base64Url32,
})
export type SsoStartRequest = z.infer<typeof SsoStartRequest>
export const SsoStartResponse = z.object({
  ssoId: z.string().min(1).max(64),
  /** Where the person's browser goes. */
  authorizationUrl: z.url({ protocol: /^https?$/ }),
  /** What the provider sends back with the browser; the caller checks it too. */
  state: z.string().min(16).max(200),
  /** Until then it can be finished, once. */
  expiresAt: Time,
  serverTime: Time,
})
export type SsoStartResponse = z.infer<typeof SsoStartResponse>

/** POST /v1/sso/finish: what the browser brought back, once; the answer is a LoginResponse as after a password. */
export const SsoFinishRequest = z.strictObject({
  ssoId: z.uuid(),
  verifier: Base64Url32,
  code: z.string().min(1).max(4096),
  state: z.string().min(1).max(200),
  /** Who sent the code, where the provider says it (RFC 9207). */
  iss: z.string().max(1000).optional(),
  csr: Pem,
  ttlSeconds: z.number().int().positive().optional(),
})
export type SsoFinishRequest = z.infer<typeof SsoFinishRequest>

// --- after the login (ALPN postern-control, user certificate) ---------------------------------------------------------

/**
 * POST /v1/login/certificate: the same login with the same end, signed by the user CA that signs now (C7). The login rests on
 * it once it was presented.
 */
export const CertificateRequest = z.strictObject({ csr: Pem })
export const CertificateResponse = z.object({
  certificate: z.string(),
  expiresAt: Time,
  ...TrustNews.shape,
  serverTime: Time,
})

/** GET /v1/me */
export const Me = z.object({
  cluster: Name,
  user: Name,
  email: z.string().nullable(),
  level: PermissionLevel,
  loginId: z.string(),
  expiresAt: Time,
  totp: z.boolean(),
  roles: z.array(z.object({ role: Name, until: Time.nullable() })),
  ...TrustNews.shape,
  serverTime: Time,
})
export type Me = z.infer<typeof Me>

/** POST /v1/logout: ends this login, or all of the person's. */
export const LogoutRequest = z.strictObject({ everywhere: z.boolean().default(false) })

/** A resource as a person may see it: only what their roles allow. */
export const ResourceView = z.object({
  name: Name,
  protocol: z.enum(RESOURCE_PROTOCOLS),
  description: z.string(),
  labels: z.record(z.string(), z.string()),
  accounts: z.array(z.string()),
  defaultAccount: z.string(),
  /** Databases that the roles allow; `*` means any. */
  databases: z.array(z.string()),
  defaultDatabase: z.string(),
})
export type ResourceView = z.infer<typeof ResourceView>

const KnownProtocol = z.object({ protocol: z.enum(RESOURCE_PROTOCOLS) })
const isOfKnownProtocol = (resource: unknown): boolean => KnownProtocol.safeParse(resource).success

/** GET /v1/resources. What a newer server has of protocols that are not known here is left out. */
export const ResourceList = z.object({
  resources: z
    .array(z.unknown())
    .transform((resources) => resources.filter(isOfKnownProtocol))
    .pipe(z.array(ResourceView)),
  serverTime: Time,
})
export type ResourceList = z.infer<typeof ResourceList>

/** POST /v1/routes: issues (or reissues) the route certificate; the route row is made once per (login, resource, protocol, account). */
export const RouteRequest = z.strictObject({
  resource: Name,
  protocol: z.enum(RESOURCE_PROTOCOLS),
  account: AccountName,
  csr: Pem,
})
export type RouteRequest = z.infer<typeof RouteRequest>
export const RouteResponse = z.object({
  routeId: z.string(),
  certificate: z.string(),
  expiresAt: Time,
  ...TrustNews.shape,
  serverTime: Time,
})
export type RouteResponse = z.infer<typeof RouteResponse>

/** POST /v1/routes/:routeId/close: the gateway was closed, so its session ends as *closed* (S1). */
export const CloseRouteResponse = z.object({ sessionId: z.string().nullable(), serverTime: Time })

/** POST /v1/account/totp: starts enrolment; the seed counts only once a code of it came back to …/confirm. */
export const TotpStartRequest = z.strictObject({ password: Password })
export const TotpStartResponse = z.object({ secret: z.string(), uri: z.string(), serverTime: Time })
export const TotpConfirmRequest = z.strictObject({ code: z.string().min(6).max(16) })
/** POST /v1/account/password */
export const PasswordRequest = z.strictObject({
  current: Password,
  next: Password.min(8, 'a password has at least 8 characters'),
})
export const Done = z.object({ serverTime: Time })

// --- sessions and audit -----------------------------------------------------------------------------------------------

export const SESSION_END_REASONS = [
  'cancelled',
  'terminated',
  'revoked',
  'expired',
  'idle',
  'closed',
  'restart',
] as const
/** Why a session ended, strongest cause first (S1); `restart` is what a crash left over (S9). */
export const SessionEndReason = z.enum(SESSION_END_REASONS)
export type SessionEndReason = z.infer<typeof SessionEndReason>

/** Event names of the audit log (R5). shared/audit-events.ts has what each of them says; names only grow. */
export const AUDIT_EVENTS = [
  'server.start',
  'server.stop',
  'login.succeeded',
  'login.failed',
  'login.ended',
  'login.renewed',
  'account.change',
  'access.denied',
  'session.start',
  'session.active',
  'session.inactive',
  'session.resumed',
  'session.end.asked',
  'session.end',
  'connection.open',
  'connection.close',
  'statement.query',
  'statement.prepare',
  'statement.bind',
  'statement.execute',
  'statement.function',
  'statement.copy',
  'query.cancel',
  'admin.change',
  'audit.pruned',
] as const
export const AuditEventName = z.enum(AUDIT_EVENTS)
export type AuditEventName = z.infer<typeof AuditEventName>

export const AuditEvent = z.object({
  seq: z.number().int(),
  time: Time,
  /** One of AUDIT_EVENTS, or one that came later. */
  event: z.string(),
  user: z.string().nullable(),
  login: z.string().nullable(),
  session: z.string().nullable(),
  connection: z.string().nullable(),
  resource: z.string().nullable(),
  account: z.string().nullable(),
  address: z.string().nullable(),
  /** What the event adds: reason, sql, outcomes, error code … documented per event. */
  detail: z.record(z.string(), z.unknown()),
})
export type AuditEvent = z.infer<typeof AuditEvent>

/**
 * GET /v1/audit (viewer): filters are conjunctive; `event` is a name or a family (`statement`); from `since` on, before `until`.
 * With `after` (a seq) the oldest events after it, else the newest. `waitSeconds` long-polls for the next event.
 */
export const AuditQuery = z.strictObject({
  user: z.string().optional(),
  login: z.string().optional(),
  session: z.string().optional(),
  resource: z.string().optional(),
  account: z.string().optional(),
  event: z.string().optional(),
  since: Time.optional(),
  until: Time.optional(),
  after: z.coerce.number().int().nonnegative().optional(),
  limit: z.coerce.number().int().positive().max(1000).default(200),
  waitSeconds: z.coerce.number().int().nonnegative().max(25).default(0),
})
export type AuditQuery = z.infer<typeof AuditQuery>
/** Oldest first. May have fewer than `limit` although there are more, so that an answer stays small: go by `more`. */
export const AuditPage = z.object({
  events: z.array(AuditEvent),
  /** Everything up to this seq was looked at: ask on with it as `after`, and nothing is missed or comes twice. */
  upTo: z.number().int().nonnegative().optional(),
  /** There are matching events after `upTo` already. */
  more: z.boolean().optional(),
  serverTime: Time,
})
export type AuditPage = z.infer<typeof AuditPage>

// --- administration (editor writes resources and roles, admin writes people and grants) -------------------------------

export const TLS_MODES = ['disable', 'require', 'verify-ca', 'verify-full'] as const

/** What every resource has, whatever it speaks. */
const anyResource = {
  kind: z.literal('resource'),
  name: Name,
  description: z.string().max(500).default(''),
  /** HOST:PORT of the target, IPv6 in brackets. */
  address: z.string().regex(/^(\[[0-9a-fA-F:]+\]|[^:\s]+):\d{1,5}$/, 'an address is HOST:PORT, IPv6 in brackets'),
  labels: z.record(z.string().max(63), z.string().max(255)).default({}),
  /** How the server reaches it; agents come later, so `direct` is the only way now. */
  via: z.literal('direct').default('direct'),
}

export const PostgresResource = z.strictObject({
  ...anyResource,
  protocol: z.literal('postgres'),
  tls: z
    .strictObject({
      mode: z.enum(TLS_MODES).default('verify-full'),
      /** PEM of the CA that signed the target's certificate; the system's CAs if there is none. */
      ca: z.string().optional(),
      /** Name to verify instead of the address's host. */
      serverName: z.string().optional(),
    })
    .prefault({}),
  defaultDatabase: z.string().min(1).max(63).default('postgres'),
  /** Database users and their passwords, kept encrypted and shown to nobody. The first one is the default. */
  accounts: z.array(z.strictObject({ name: AccountName, password: z.string().max(1024).optional() })).min(1),
})
export type PostgresResource = z.infer<typeof PostgresResource>

const never = (what: string) => z.undefined(`a tcp resource has no ${what}: leave it out`).optional()

/** Anything else behind a HOST:PORT, byte for byte (DB6). Roles allow its one account by this name or by `*`. */
export const TcpResource = z.strictObject({
  ...anyResource,
  protocol: z.literal('tcp'),
  accounts: z
    .array(
      z.strictObject({
        name: z.literal(TCP_ACCOUNT, `a tcp resource has one account, ${TCP_ACCOUNT}: leave them out`),
        password: never('password'),
      }),
    )
    .length(1)
    .default([{ name: TCP_ACCOUNT }]),
  tls: never('tls of its own: what passes is up to the client and the target'),
  defaultDatabase: never('database'),
})
export type TcpResource = z.infer<typeof TcpResource>

export const ResourceSpec = z.discriminatedUnion('protocol', [PostgresResource, TcpResource])
export type ResourceSpec = z.infer<typeof ResourceSpec>

/** A duration as text, or `none`. It stays text: a role is kept and shown as it was written. */
const DurationOrNone = z
  .string()
  .refine(
    (text) => text === 'none' || parseDuration(text) !== undefined,
    'this is neither a duration such as 30s, 10m, 8h or 1h30m nor none',
  )
const Limit = z.number().int().min(1).max(1_000_000)

/**
 * What ends or refuses sessions through a role (S7). Where several roles allow the same route, the most generous counts, limit by
 * limit; what a role does not say is the server's default (durations), or no limit (counts).
 */
export const RoleLimits = z.strictObject({
  maxSessionDuration: DurationOrNone.optional(),
  /** Without a byte in either direction on any connection of the session. */
  idleTimeout: DurationOrNone.optional(),
  /** Of one person at once, through this role. */
  maxSessions: Limit.optional(),
  /** Of one session at once. */
  maxConnections: Limit.optional(),
})
export type RoleLimits = z.infer<typeof RoleLimits>

export const RoleSpec = z.strictObject({
  kind: z.literal('role'),
  name: Name,
  description: z.string().max(500).default(''),
  /** What may be reached: a resource matches a rule by name or by all of its labels; `*` in lists means any. */
  allow: z
    .array(
      z
        .strictObject({
          resources: z.array(z.union([Name, z.literal('*')])).optional(),
          labels: z.record(z.string(), z.string()).optional(),
          accounts: z.array(AccountName).min(1),
          databases: z.array(z.string().min(1)).min(1).default(['*']),
        })
        .refine(
          (rule) => rule.resources !== undefined || rule.labels !== undefined,
          'a rule names resources or labels',
        ),
    )
    .default([]),
  limits: RoleLimits.optional(),
})
export type RoleSpec = z.infer<typeof RoleSpec>

export const UserSpec = z.strictObject({
  kind: z.literal('user'),
  name: Name,
  email: z.email().nullable().default(null),
  level: PermissionLevel.default('none'),
  disabled: z.boolean().default(false),
  /** Sets the password; absent leaves an existing person's as it is. */
  password: Password.min(8, 'a password has at least 8 characters').optional(),
  /** Base32 TOTP seed to enrol, or null to remove it; absent leaves it as it is. */
  totpSecret: z
    .string()
    .regex(/^[A-Z2-7]{16,128}$/, 'a TOTP seed is base32 of at least 16 characters')
    .nullable()
    .optional(),
})
export type UserSpec = z.infer<typeof UserSpec>

export const GrantSpec = z.strictObject({
  kind: z.literal('grant'),
  user: Name,
  role: Name,
  until: Time.nullable().default(null),
})
export type GrantSpec = z.infer<typeof GrantSpec>

/** One document of `postern admin apply`; POST /v1/admin/apply takes `{documents}` and applies all or none. */
export const AdminDocument = z.discriminatedUnion('kind', [ResourceSpec, RoleSpec, UserSpec, GrantSpec])
export type AdminDocument = z.infer<typeof AdminDocument>
export const ApplyRequest = z.strictObject({ documents: z.array(AdminDocument).min(1).max(1000) })
export const ApplyResponse = z.object({
  applied: z.array(
    z.object({ kind: z.string(), name: z.string(), change: z.enum(['created', 'updated', 'unchanged']) }),
  ),
  serverTime: Time,
})

/** GET /v1/admin/{users,roles,resources,grants}: everything but secrets. DELETE /v1/admin/KIND/NAME (grants: USER/ROLE). */
export const AdminUser = z.object({
  name: Name,
  email: z.string().nullable(),
  level: PermissionLevel,
  disabled: z.boolean(),
  totp: z.boolean(),
  createdAt: Time,
})
export const AdminLists = {
  users: z.object({ users: z.array(AdminUser), serverTime: Time }),
  roles: z.object({ roles: z.array(RoleSpec), serverTime: Time }),
  resources: z.object({ resources: z.array(ResourceSpec), serverTime: Time }),
  grants: z.object({ grants: z.array(GrantSpec), serverTime: Time }),
} as const

/** GET /v1/admin/ca, and what POST /v1/admin/ca/rotate and …/finish answer (C7). */
export const CaStatus = z.object({
  state: z.enum(['idle', 'rotating']),
  authorities: z.array(
    z.object({
      kind: z.enum(['user', 'server']),
      id: z.string(),
      /** `sha256:HEX` of the DER. */
      fingerprint: z.string(),
      createdAt: Time,
      expiresAt: Time,
      /** `trusted`: signs nothing more, trusted until `finish`. */
      use: z.enum(['signs', 'trusted']),
    }),
  ),
  /** Living logins and route certificates that rest on the old user CA. */
  onOldCa: z.object({ logins: z.number().int(), routes: z.number().int() }),
  /** Until when clients that know only a server CA before this one find the way by themselves; null: they do not. */
  crossUntil: Time.nullable(),
  ...TrustNews.shape,
  serverTime: Time,
})
export type CaStatus = z.infer<typeof CaStatus>
/** `force`: although logins rest on the old user CA; they are ended. */
export const FinishRotationRequest = z.strictObject({ force: z.boolean().default(false) })

/** Every error of the API has this body; `code` is one of shared/errors.ts. */
export const ApiError = z.object({
  error: z.object({
    code: z.string(),
    text: z.string(),
    errorId: z.string().optional(),
    detail: z.unknown().optional(),
  }),
  serverTime: Time.optional(),
})
