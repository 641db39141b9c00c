// The part of the access server's JSON API that is about administration: people, roles, resources and grants as documents, what is
// listed of them, and the rotation of the CAs. Editors write resources and roles, admins write people and grants too (W1). Pure.
import { z } from 'zod'
import { Password, PermissionLevel, Time, TrustNews } from './api.ts'
import { parseDuration } from './duration.ts'
import { AccountName, Name, TCP_ACCOUNT } from './names.ts'

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
/** Largest limit of numbers; beyond it, none is meant. */
export const ROLE_LIMIT_MAX = 1_000_000
const limitText = `a limit is a whole number from 1 to ${ROLE_LIMIT_MAX}; leave it out where there is none`
const Limit = z.number(limitText).int(limitText).min(1, limitText).max(ROLE_LIMIT_MAX, limitText)

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
