// The typed contract between the core and its hosts (window, page, terminal): calls a host makes, events a host receives.
// Messages are one JSON object a line on the control socket. Schemas are checked on both sides. Pure.
import { z } from 'zod'
import { PermissionLevel } from './api.ts'
import { ResourceView } from './resource-api.ts'
import { SESSIONS_PAGE_MAX, SessionStatements, SessionView } from './session-api.ts'
import { AccountName, Name, RESOURCE_PROTOCOLS } from './names.ts'

/** Raised on a breaking change only; `hello`, `core.retire` and `core.stop` are understood by every version. */
export const RPC_VERSION = 1

const Id = z.string().min(1).max(128)
const Time = z.iso.datetime()
const ProfileName = Name

/** What the core knows of a profile (a cluster that the person signs in to). */
export const ProfileView = z.object({
  profile: ProfileName,
  /** HOST:PORT */
  address: z.string(),
  /** sha256:HEX of the trusted CA certificate. */
  fingerprint: z.string(),
  user: z.string().nullable(),
  level: PermissionLevel.nullable(),
  /** A login that runs out within a tenth of its life (at most 10 min) is `expiring`. */
  state: z.enum(['signed out', 'ready', 'expiring', 'expired', 'logging in', 'refused', 'offline']),
  /** When the login ends, by the server's clock. */
  expiresAt: Time.nullable(),
  /** Milliseconds left of it now, the clock offset already taken into account. */
  remainingMs: z.number().nullable(),
  /** Server clock minus this machine's, in ms. */
  clockOffsetMs: z.number(),
  /** Whether the server's control stream is up, so that news comes at once; everything works without it, later. */
  live: z.boolean().optional(),
  /** Counts up when what the person may use may have changed: whoever shows resources asks for them again. */
  resourcesVersion: z.number().int().optional(),
  /** The identity provider that people can log in with, as last heard of the server; null or absent: none. */
  sso: z.object({ name: z.string() }).nullable().optional(),
})
export type ProfileView = z.infer<typeof ProfileView>

export const GatewayState = z.enum([
  'starting',
  'listening',
  'needs login',
  'waiting for login',
  'cool-down',
  'refused',
  'port conflict',
  'closed',
])
export type GatewayState = z.infer<typeof GatewayState>

export const GatewayView = z.object({
  id: Id,
  profile: ProfileName,
  resource: Name,
  protocol: z.enum(RESOURCE_PROTOCOLS),
  account: AccountName,
  database: z.string(),
  host: z.string(),
  port: z.number().int(),
  url: z.string(),
  env: z.record(z.string(), z.string()),
  /** The Unix socket beside the port, and the URL that goes through it; absent where there is none. */
  socket: z.string().optional(),
  socketUrl: z.string().optional(),
  /** The gateway's own, which clients have to give; `url` and `env` carry it. Absent where it asks for none. */
  password: z.string().optional(),
  /** What keeps other users of this machine out of the port; older cores do not say it. */
  guardedBy: z.enum(['local user', 'password', 'nothing']).optional(),
  state: GatewayState,
  /** Why the state is what it is, for people; e.g. the server's refusal or who holds the port. */
  stateText: z.string().nullable(),
  /** `attached` closes with the terminal that opened it; `detached` stays and comes back after a restart. */
  keep: z.enum(['attached', 'detached']),
  /** When the route certificate ends, by the server's clock. */
  certificateExpiresAt: Time.nullable(),
  connections: z.number().int(),
  waiting: z.number().int(),
})
export type GatewayView = z.infer<typeof GatewayView>

/** What wanted the login, in the person's words (G11). */
export const LoginReason = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('connection'),
    gateway: Id,
    resource: z.string(),
    account: z.string(),
    /** Application name that the client gave, if any. */
    client: z.string().nullable(),
  }),
  z.object({ kind: z.literal('command'), what: z.string() }),
])
export type LoginReason = z.infer<typeof LoginReason>

/** A login that the core asks its hosts for. */
export const LoginPrompt = z.object({
  requestId: Id,
  profile: ProfileName,
  user: z.string(),
  reason: LoginReason,
  /** How many connections wait for it now. */
  waiting: z.number().int(),
  /** Whether the last login of this person needed a TOTP code, so that a host can ask for it at once. */
  totp: z.boolean(),
  /** The identity provider that this login can be given with, in the browser; absent: a password only. */
  sso: z.object({ name: z.string() }).optional(),
})
export type LoginPrompt = z.infer<typeof LoginPrompt>

export const LoginOutcome = z.enum(['succeeded', 'cancelled', 'failed', 'timed out', 'withdrawn'])
export type LoginOutcome = z.infer<typeof LoginOutcome>

/** Calls: method → parameters and result. */
export const CALLS = {
  /** First call of every host. `canAsk`: this host can put a login before the person. */
  hello: {
    params: z.object({
      rpcVersion: z.number().int(),
      appVersion: z.string(),
      kind: z.enum(['terminal', 'window', 'page']),
      canAsk: z.boolean(),
    }),
    result: z.object({ rpcVersion: z.number().int(), appVersion: z.string(), pid: z.number().int(), home: z.string() }),
  },
  /** Asks the core to end if nothing uses it (a newer version wants its place). */
  'core.retire': { params: z.object({}), result: z.object({ retired: z.boolean(), text: z.string() }) },
  'core.stop': { params: z.object({}), result: z.object({}) },

  'profile.list': {
    params: z.object({}),
    result: z.object({ profiles: z.array(ProfileView), current: ProfileName.nullable() }),
  },
  /**
   * Makes a cluster known. Trust comes from `caPem`, or from `caPin` (sha256:HEX) against the CA that the server sends.
   * With neither: error `server_untrusted` whose detail is {fingerprint}, for the person to compare and call again.
   */
  'profile.add': {
    params: z.object({
      address: z.string().min(1).max(300),
      caPem: z.string().optional(),
      caPin: z.string().optional(),
    }),
    result: ProfileView,
  },
  /** Logs in. Answers a pending login request of that profile too, whoever was asked (G5). `setupCode` makes the first administrator. */
  'login.submit': {
    params: z.object({
      profile: ProfileName.optional(),
      user: z.string().max(63).optional(),
      password: z.string().max(1024),
      totp: z.string().max(16).optional(),
      ttlSeconds: z.number().int().positive().optional(),
      setupCode: z.string().optional(),
      requestId: Id.optional(),
    }),
    result: ProfileView,
  },
  /**
   * Begins a login in the browser and returns the link that starts it; nothing is opened by the core (G10). A login of that profile
   * that is under way already is given up, and its link with it. Answers a pending request as `login.submit` does (G5).
   */
  'login.sso': {
    params: z.object({
      profile: ProfileName.optional(),
      ttlSeconds: z.number().int().positive().optional(),
      requestId: Id.optional(),
    }),
    /** `expiresAt`: when the link ends, by this machine's clock. */
    result: z.object({ url: z.string(), expiresAt: Time }),
  },
  /** Waits for the end of the browser login of that profile. Errors say why there is no login. */
  'login.ssoWait': { params: z.object({ profile: ProfileName.optional() }), result: ProfileView },
  /** The person has begun to fill in the request: it is not withdrawn any more when the last waiting client leaves (G8). */
  'login.touch': { params: z.object({ requestId: Id }), result: z.object({}) },
  /** The person cancelled, or gave up after wrong passwords (`failed`). Unknown ids are fine: it was over already. */
  'login.cancel': {
    params: z.object({ requestId: Id, outcome: z.enum(['cancelled', 'failed']) }),
    result: z.object({}),
  },
  logout: {
    params: z.object({ profile: ProfileName.optional(), everywhere: z.boolean().default(false) }),
    result: z.object({ profile: ProfileName }),
  },

  'resource.list': {
    params: z.object({ profile: ProfileName.optional() }),
    /** `leftOut`: so many more are there, in a form that this version does not understand (a newer server's kinds). */
    result: z.object({
      profile: ProfileName,
      resources: z.array(ResourceView),
      leftOut: z.number().int().nonnegative().default(0),
    }),
  },
  'gateway.open': {
    params: z.object({
      profile: ProfileName.optional(),
      resource: Name,
      account: AccountName.optional(),
      database: z.string().min(1).max(63).optional(),
      port: z.number().int().min(1).max(65535).optional(),
      /** A Unix socket beside the port: a directory that exists, or the path of the socket; absolute. */
      socket: z.string().min(1).max(4096).optional(),
      /** Whether the gateway asks for a password of its own; as it did before, or as the setting says, if left out. */
      password: z.boolean().optional(),
      keep: z.enum(['attached', 'detached']),
      /** The core has ended under a host that had it open: it listens at once, and the first connection gets its certificate (G17). */
      isAgain: z.boolean().optional(),
    }),
    /** `owned`: this host opened it and closes it; false if it was open already (G16). */
    result: z.object({ gateway: GatewayView, owned: z.boolean() }),
  },
  'gateway.list': { params: z.object({}), result: z.object({ gateways: z.array(GatewayView) }) },
  /** By id, or by resource (and account) where that is unambiguous. */
  'gateway.close': {
    params: z.object({ gateway: z.string().min(1).max(200) }),
    result: z.object({ closed: GatewayView }),
  },

  // --- the app: one state, mirrored (shared/app-state.ts) ---
  /** From now on this host gets `state.patch` events; what came before them is in `state`. */
  'state.subscribe': { params: z.object({}), result: z.object({ seq: z.number().int(), state: z.unknown() }) },
  'profile.select': { params: z.object({ profile: ProfileName }), result: z.object({}) },
  /** Forgets a cluster: logs out, closes its gateways, removes its files. */
  'profile.remove': { params: z.object({ profile: ProfileName }), result: z.object({}) },
  /**
   * Puts a login before this host's person now, ahead of time: opens a login request, or joins the one that is open. With
   * `requestId` it only moves that request to this host, as it is: error `not_found` if it is over or somebody fills it in.
   */
  'login.ask': { params: z.object({ profile: ProfileName, requestId: Id.optional() }), result: LoginPrompt },
  /** Port: the new listener comes up first, the old one stays if that fails (G15). Database: the strings only (G16). */
  'gateway.update': {
    params: z.object({
      gateway: Id,
      port: z.number().int().min(1).max(65535).optional(),
      database: z.string().min(1).max(63).optional(),
    }),
    result: GatewayView,
  },
  /** The whole way of a connection, step by step, with the time each took (ConnectionTest of app-state.ts). Asks nobody to log in. */
  'gateway.test': { params: z.object({ gateway: Id }), result: z.unknown() },
  'notice.read': { params: z.object({ ids: z.array(Id).max(1000) }), result: z.object({}) },
  'notice.clear': { params: z.object({}), result: z.object({}) },
  /** AppSettings of app-state.ts, any of its keys; checked by the core, written to settings.json, effective at once. */
  'settings.update': { params: z.record(z.string(), z.unknown()), result: z.unknown() },
  /** Whether anybody is there: nothing opens by itself while the screen is locked or the machine sleeps (G10). */
  'presence.set': { params: z.object({ presence: z.enum(['present', 'locked', 'suspended']) }), result: z.object({}) },
  /** Writes a redacted bundle into HOME and returns it (Diagnostics of app-state.ts). */
  'diagnostics.bundle': { params: z.object({}), result: z.unknown() },

  // --- sessions (shared/session-api.ts) ---
  /**
   * From now on this host gets `sessions.updated` events under the name `watch`, which it chooses: the list that it asks for, or the
   * one `session`. Asked for at the server every 2 s and on its news, as long as the host is attached; a watch of the same name
   * takes the place of the one before. A live list also keeps those that ended in the last two minutes.
   */
  'sessions.watch': {
    params: z.object({
      watch: Id,
      profile: ProfileName.optional(),
      session: Id.optional(),
      scope: z.enum(['mine', 'all']).default('mine'),
      state: z.enum(['live', 'ended', 'any']).default('live'),
      user: z.string().max(100).optional(),
      resource: z.string().max(100).optional(),
      limit: z.number().int().positive().max(SESSIONS_PAGE_MAX).default(200),
    }),
    result: z.object({ profile: ProfileName }),
  },
  /** Unknown names are fine: it was over already. */
  'sessions.unwatch': { params: z.object({ watch: Id }), result: z.object({}) },
  /** Ends a session; the reason that it has on record, which is another one where something else was first. */
  'sessions.end': {
    params: z.object({ profile: ProfileName.optional(), session: Id }),
    result: z.object({ reason: z.string() }),
  },
  /** A page of what a session ran; `next` asks on. */
  'sessions.statements': {
    params: z.object({
      profile: ProfileName.optional(),
      session: Id,
      order: z.enum(['oldest', 'newest']).default('newest'),
      after: z.number().int().nonnegative().optional(),
      search: z.string().min(1).max(200).optional(),
      limit: z.number().int().positive().max(1000).default(100),
    }),
    result: SessionStatements.pick({ events: true, next: true }),
  },

  /** A call of the server's API with the person's user certificate (administration, audit, account). */
  'api.call': {
    params: z.object({
      profile: ProfileName.optional(),
      method: z.enum(['GET', 'POST', 'PUT', 'DELETE']),
      path: z.string().startsWith('/v1/'),
      body: z.unknown().optional(),
    }),
    result: z.object({ body: z.unknown() }),
  },
} as const

export type Method = keyof typeof CALLS
export type Params<M extends Method> = z.input<(typeof CALLS)[M]['params']>
export type ParsedParams<M extends Method> = z.output<(typeof CALLS)[M]['params']>
export type Result<M extends Method> = z.output<(typeof CALLS)[M]['result']>

/** Events: core → host. */
export const EVENTS = {
  /** This host is asked to put a login before the person. */
  'login.requested': LoginPrompt,
  'login.updated': LoginPrompt,
  /** The request is over, whoever answered it; a host that shows it closes it. */
  'login.closed': z.object({ requestId: Id, profile: ProfileName, outcome: LoginOutcome, text: z.string().nullable() }),
  /** Nobody could be asked: sent to every host, so that one JSON line or a notification can say so. */
  'login.needed': LoginPrompt,
  'gateway.changed': GatewayView,
  /** Something a person should read once (a certificate that could not be renewed, a profile file kept aside). */
  /** The state has changed; `seq` counts by one, a gap means: subscribe again. */
  'state.patch': z.object({
    seq: z.number().int(),
    changes: z.array(z.object({ path: z.array(z.string()), value: z.unknown().optional() })),
  }),
  /** What a watch of this host has to say; times are by the server's clock. */
  'sessions.updated': z.object({
    watch: Id,
    profile: ProfileName,
    /** `failed`: it could not be asked just now; what was shown may be old, and it is tried again. */
    status: z.enum(['ready', 'failed']),
    error: z.object({ code: z.string(), text: z.string() }).nullable(),
    /** `sessions` is all there is; else those that are new or other, and `removed` those that are gone. */
    isWhole: z.boolean(),
    sessions: z.array(SessionView),
    removed: z.array(z.string()),
    /** There are more than the limit. */
    hasMore: z.boolean(),
    /** By this machine's clock: when the server was asked last with success; null: never. */
    asOf: Time.nullable(),
  }),
  notice: z.object({ level: z.enum(['info', 'warning', 'error']), text: z.string(), profile: z.string().nullable() }),
} as const
export type EventName = keyof typeof EVENTS
export type EventPayload<E extends EventName> = z.output<(typeof EVENTS)[E]>

/** One line on the control socket. */
export const HostMessage = z.object({ id: z.number().int().nonnegative(), method: z.string(), params: z.unknown() })
export const CoreMessage = z.union([
  z.object({ id: z.number().int(), result: z.unknown() }),
  z.object({
    id: z.number().int(),
    error: z.object({
      code: z.string(),
      text: z.string(),
      errorId: z.string().optional(),
      detail: z.unknown().optional(),
    }),
  }),
  z.object({ event: z.string(), payload: z.unknown() }),
])
/** A line longer than this is a broken or hostile peer, in bytes. */
export const RPC_LINE_MAX_BYTES = 4 * 1024 * 1024
