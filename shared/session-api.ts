// The part of the access server's JSON API that is about sessions: who is connected to what, what they ran, and ending one. Used
// by server/web to answer, by client/ and cli/ to check what came back. Contracts only grow. Pure.
import { z } from 'zod'
import { Time } from './api.ts'
import { AuditEvent } from './audit-api.ts'

const Count = z.number().int().nonnegative()

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

/** `starting`: registered, no target reached yet. An ended session is final: the route's next connection opens another. */
export const SESSION_STATES = ['starting', 'active', 'ended'] as const
export type SessionState = (typeof SESSION_STATES)[number]

/** One session, as its person and viewers see it. Counts are over all of its connections since it began. */
export const SessionView = z.object({
  id: z.string(),
  user: z.string(),
  resource: z.string(),
  protocol: z.string(),
  account: z.string(),
  /** Where its first connection came from, HOST:PORT. */
  address: z.string(),
  state: z.enum(SESSION_STATES),
  startedAt: Time,
  activeAt: Time.nullable(),
  endedAt: Time.nullable(),
  /** One of SESSION_END_REASONS, or one that came later. */
  endReason: z.string().nullable(),
  /** Who ended it, where a person did. */
  endedBy: z.string().nullable(),
  /** What the reason alone does not say, as a part of a sentence: which limit, and whose. Older servers do not say it. */
  endWhy: z.string().nullable().default(null),
  /** That are open now. */
  connections: Count,
  /** That there were. */
  connectionsTotal: Count,
  bytesFromClient: Count,
  bytesToClient: Count,
  /** When a byte last moved, in either direction (I1). */
  lastActivityAt: Time.nullable(),
  /** Databases: when a statement last came, and how many there were. */
  lastStatementAt: Time.nullable(),
  statements: Count,
  /** When its limits end it: by its duration, and by its idle time if nothing moves until then. Null: no such limit, or over. */
  endsAt: Time.nullable(),
  idleEndsAt: Time.nullable(),
  /** The core that it goes through was heard last then, and answers no more (I3); null: it is there, or has nothing to be asked by. */
  inactiveSince: Time.nullable().default(null),
})
export type SessionView = z.infer<typeof SessionView>

/** Sessions of one page, at most: 2,000 of them are about 1.2 MB of JSON, and an answer has to fit into one line of the core's RPC. */
export const SESSIONS_PAGE_MAX = 2000

/**
 * GET /v1/sessions: newest first. `mine` is for everybody, `all` for viewers. `before` is the `startedAt` of the last one seen,
 * for the next page, and `beforeId` its id, so that none of the same millisecond is lost.
 */
export const SessionsQuery = z.strictObject({
  scope: z.enum(['mine', 'all']).default('mine'),
  state: z.enum(['live', 'ended', 'any']).default('any'),
  user: z.string().optional(),
  resource: z.string().optional(),
  /** How its id begins. */
  id: z
    .string()
    .regex(/^[0-9a-f-]{1,36}$/i, 'an id, or how it begins: hexadecimal digits and hyphens')
    .optional(),
  /** With `live`: also those that ended since then, so that whoever looks sees why. */
  endedSince: Time.optional(),
  before: Time.optional(),
  beforeId: z.string().max(100).optional(),
  limit: z.coerce.number().int().positive().max(SESSIONS_PAGE_MAX).default(100),
})
export type SessionsQuery = z.infer<typeof SessionsQuery>
export const SessionList = z.object({ sessions: z.array(SessionView), serverTime: Time })
export type SessionList = z.infer<typeof SessionList>

/** GET /v1/sessions/:id (one's own, or viewer) */
export const SessionAnswer = z.object({ session: SessionView, serverTime: Time })

/**
 * GET /v1/sessions/:id/statements (one's own, or viewer): what the audit log has of it, oldest first. `search` is looked for in
 * the text of the statements, whatever its case. `after` is the `next` of the page before, or a seq.
 */
export const SessionStatementsQuery = z.strictObject({
  order: z.enum(['oldest', 'newest']).default('oldest'),
  after: z.coerce.number().int().nonnegative().optional(),
  search: z.string().min(1).max(200).optional(),
  limit: z.coerce.number().int().positive().max(1000).default(200),
})
export type SessionStatementsQuery = z.infer<typeof SessionStatementsQuery>
export const SessionStatements = z.object({
  events: z.array(AuditEvent),
  /** What to ask on with: there may be more beyond it, in the order that was asked for. Null or absent: that was all there is now. */
  next: z.number().int().nullable().optional(),
  serverTime: Time,
})
export type SessionStatements = z.infer<typeof SessionStatements>

/**
 * POST /v1/sessions/:id/end: one's own ends as *cancelled*, somebody else's as *terminated* (admin). The answer comes when the end
 * is on record (S3), with the reason that it has, which is another one where something else was first.
 */
export const EndSessionResponse = z.object({ reason: z.enum(SESSION_END_REASONS), serverTime: Time })
