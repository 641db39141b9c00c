// The seams between the parts of the access server: what the router asks of access, what engines are given, what
// everybody writes to the audit log. Interfaces only, so that each part can be read (and tested) without the others.
import type { X509Certificate } from 'node:crypto'
import type { Logger } from 'pino'
import type { ResourceSpec } from '../shared/admin-api.ts'
import type { AuditEvent, AuditEventName, AuditQuery } from '../shared/audit-api.ts'
import type { SessionEndReason } from '../shared/session-api.ts'
import type { LoginEndReason } from '../shared/control.ts'
import type { ErrorCode } from '../shared/errors.ts'
import type { ResourceProtocol, UserIdentity } from '../shared/names.ts'
import type { Link, PumpProgress } from '../link/link.ts'
import type { Db } from './store/store.ts'

export type Clock = () => Date

/** One entry for the audit log (R5). Absent fields are null in the record. */
export type AuditEntry = {
  event: AuditEventName
  user?: string | undefined
  login?: string | undefined
  session?: string | undefined
  connection?: string | undefined
  resource?: string | undefined
  account?: string | undefined
  address?: string | undefined
  detail?: Record<string, unknown>
}

export interface AuditLog {
  /** Queues an entry; entries are written in the order of these calls. Never throws. */
  record(entry: AuditEntry): void
  /** Resolves once everything recorded so far is in the store; rejects if the store refuses it. */
  flush(): Promise<void>
}

/** For changes of the store whose record must neither be lost nor stand there without them: both are there, or none. */
export interface TransactionalAuditLog extends AuditLog {
  /**
   * Runs a change in a transaction of the store, with what `recordsOf` makes of its outcome in the same one, after everything that
   * was recorded before. `change` must not wait for `flush`, which waits for its end. Resolves once it is committed; a `flush`
   * after that promises that it outlives a power cut, too.
   * @throws what `change` throws, or the store: nothing of it is in the store then
   */
  transaction<T>(change: (trx: Db) => Promise<T>, recordsOf: (outcome: T) => readonly AuditEntry[]): Promise<T>
}

/** `upTo`: everything up to that seq was looked at; `more`: there are further matches already (shared/audit-api.ts, AuditPage). */
export type AuditAnswer = { events: AuditEvent[]; upTo: number; more: boolean }

/** An audit log that says when it cannot keep up: engines hold their clients back then. */
export interface BoundedAuditLog extends AuditLog {
  /** Undefined while entries may come; else resolves when they may again, and rejects if the store refuses what waits. */
  room(): Promise<void> | undefined
}

export interface AuditReader {
  /** Events in the order of their seq. With `waitSeconds` it waits that long for the first match after `after`. */
  query(query: AuditQuery, signal: AbortSignal): Promise<AuditAnswer>
}

/** What is known of a live session at this moment, beside its row. Counts are over all of its connections since it began. */
export type LiveSession = {
  sessionId: string
  connections: number
  connectionsTotal: number
  bytesFromClient: number
  bytesToClient: number
  lastActivityAt: Date
  lastStatementAt: Date | null
  statements: number
  /** When its limits end it; null: no such limit. */
  endsAt: Date | null
  idleEndsAt: Date | null
  /** Its core was heard last then, and answers no more (I3); null: it is there. */
  inactiveSince: Date | null
}

/** What the web API asks of the sessions (S1, S8): each resolves once the sessions concerned have their ended record. */
export interface SessionControl {
  /** Sessions that are not over. */
  live(): readonly LiveSession[]
  /**
   * Ends a session once; every caller gets the one result, which is another reason where something else was first. Null for an
   * id that nobody knows.
   * @param by the person who asked for it, if one did
   */
  end(sessionId: string, reason: SessionEndReason, by?: string): Promise<SessionEndReason | null>
  /** Ends the session of a route; its id, or null if the route has none. */
  endRoute(routeId: string, reason: SessionEndReason, by?: string): Promise<string | null>
  endLogin(loginId: string, reason: SessionEndReason, by?: string): Promise<void>
  endUser(user: string, reason: SessionEndReason, by?: string): Promise<void>
  /**
   * After a change of roles, grants or resources: ends the sessions whose route is not allowed any more, as *revoked*; the others go
   * on within the limits of now.
   * @param users whom the change concerns
   */
  endDisallowed(by?: string, users?: ReadonlySet<string> | 'all'): Promise<void>
  /**
   * The core of a login answers no more, or does again: its sessions become inactive, or what they were (I3).
   * @param silentSince when it was heard last; null: it is there
   * @param graceMs so long it may still give a sign; without it, it was asked and has not answered
   */
  noteCore(loginId: string, silentSince: Date | null, graceMs?: number): void
}

/** A session that has its ended record, as its person is told of it. */
export type EndedSession = Pick<Route, 'loginId' | 'resource' | 'account'> & {
  sessionId: string
  reason: SessionEndReason
  /** Who ended it, where a person did. */
  by?: string | null
  /** What the reason alone does not say: which limit, and whose. */
  why?: string | null
}

/** A session that has its row, as its person is told of it. */
export type StartedSession = Pick<Route, 'loginId' | 'resource' | 'account'> & { sessionId: string }

/**
 * Tells signed-in clients at once what has changed (C9). Called after the change was committed; never throws and never waits,
 * because nothing may depend on it.
 */
export interface ControlHub {
  /** Logout, disable or removal: the login's stream is told and closed (W4). */
  loginEnded(loginId: string, reason: LoginEndReason): void
  /** Roles, grants, resources or the person itself changed, for these people or for everybody. */
  accessChanged(users: ReadonlySet<string> | 'all'): void
  sessionStarted(session: StartedSession): void
  sessionEnded(session: EndedSession): void
  /** This login asked for everyone's sessions and may see them: for a while it hears at once when any begins or ends. */
  looksAtEveryone(loginId: string): void
  /** A rotation of the CAs began or ended (C7). */
  casChanged(): void
}

/** A route as the store has it, with the person and the login it belongs to. */
export type Route = {
  routeId: string
  loginId: string
  user: string
  resource: string
  protocol: ResourceProtocol
  account: string
}

/** What the roles of a person allow on one route at this moment. */
export type RouteAccess = {
  route: Route
  resource: ResourceSpec
  /** Databases that may be opened; `*` means any. */
  databases: readonly string[]
}

/** A limit that counts, and the role that it comes from. */
export type RoleLimit = { most: number; role: string }

/** What ends or refuses the sessions of one route (S7). Null: no such limit. */
export type SessionLimits = {
  /** From its start, in ms. */
  maxDurationMs: number | null
  /** The role that says so; null: the server's own setting. */
  maxDurationRole: string | null
  /** Without a byte in either direction on any of its connections, in ms (I2). */
  idleTimeoutMs: number | null
  /** As of the duration. */
  idleTimeoutRole: string | null
  /** Of the person at once, through the role that is named. */
  maxSessions: RoleLimit | null
  /** Of the session at once. */
  maxConnections: RoleLimit | null
  /** When the last grant that allows the route runs out. */
  until: Date | null
  /** The roles that allow the route. */
  roles: readonly string[]
}

/** A route that may be used now, and within which limits. */
export type AuthorisedRoute = RouteAccess & { limits: SessionLimits }

/** What of it opens a session. */
export type LimitedRoute = Pick<AuthorisedRoute, 'route' | 'limits'>

/** A route whose certificate and login are good. */
export type AuthenticRoute = {
  route: Route
  /** By what the store said at that moment. @throws PosternError `resource_denied`, `account_denied` */
  authorise: () => AuthorisedRoute
}

/**
 * Each answer is by the store as it is at the call (C4). A certificate is judged by chain, validity (unless `allowExpired`), login
 * not ended, person not disabled.
 */
export interface AccessCheck {
  /**
   * Of a person's own certificate.
   * @throws PosternError `bad_certificate`, `login_expired`, `wrong_identity`, `user_disabled`
   */
  authenticateUser(
    certificate: X509Certificate | undefined,
    options?: { allowExpired?: boolean },
  ): Promise<UserIdentity>
  /**
   * Of a route's certificate.
   * @throws PosternError `bad_certificate`, `certificate_expired`, `login_expired`, `wrong_identity`, `user_disabled`
   */
  authenticateRoute(
    certificate: X509Certificate | undefined,
    options?: { allowExpired?: boolean },
  ): Promise<AuthenticRoute>
  /** @throws PosternError `resource_denied`, `account_denied`, `not_found` */
  authoriseRoute(routeId: string): Promise<AuthorisedRoute>
  /** The route row alone, whatever the roles say now. */
  findRoute(routeId: string): Promise<Route | undefined>
}

export interface CredentialStore {
  /** The password of a database user, decrypted; undefined where the account has none. */
  fetchPassword(resource: string, account: string): Promise<string | undefined>
}

/** A session as an engine and the router see it (S1): one login using one route, over any number of connections. */
export interface Session {
  readonly id: string
  readonly route: Route
  /** Aborts when the session ends; `signal.reason` is a SessionEnded. */
  readonly signal: AbortSignal
  /** The first reached target makes it active; a no-op after that. @throws SessionEnded once it is over (S5) */
  markActive(): Promise<void>
}

/** The statements of one connection, where its protocol has such a thing: the engine counts them as they come. */
export type StatementActivity = { statements: number; lastStatementAtMs: number | null }

/** Why a session's signal was aborted. */
export class SessionEnded extends Error {
  override readonly name = 'SessionEnded'
  readonly reason: SessionEndReason
  /** What the reason alone does not say, for the client: which limit, for example. */
  readonly why: string | null
  constructor(reason: SessionEndReason, why: string | null = null) {
    super(`the session has ended: ${why ?? reason}`)
    this.reason = reason
    this.why = why
  }
}

/** What an engine gets for one connection. It returns when the connection is over and everything it opened is released. */
export type EngineConnection = {
  link: Link
  connectionId: string
  session: Session
  access: RouteAccess
  address: string
  /** The engine adds what it moves, in bytes: `forward` from the client, `backward` to it. Idle time is reckoned from it (I1). */
  progress: PumpProgress
  /** The engine counts here what the client asks of the target (databases). */
  activity: StatementActivity
  /** Aborts on the session's end; a server that stops ends all sessions. */
  signal: AbortSignal
  /**
   * Says ok in the preamble, once, before any byte of the protocol. What an engine throws before is the refusal that the
   * preamble says instead; after it, errors are the protocol's own.
   */
  admit: () => Promise<void>
  log: Logger
}

export interface Engine {
  serve(connection: EngineConnection): Promise<void>
  /** A connection that carries only a cancel request; the caller has checked who it is. Never throws. */
  cancel?(link: Link, route: Route, isActive: (sessionId: string) => boolean, log: Logger): Promise<void>
}

/** Writes an error to the server's log under a fresh id, for the sanitised text that the client gets (E1). */
export type ReportError = (code: ErrorCode, cause: unknown, log: Logger) => string
