// The part of the access server's JSON API that is about sessions: who is connected to what, what they ran, and ending one. Used
// by server/web to answer, by client/ and cli/ to check what came back. Contracts only grow. Pure.
import { z } from 'zod'
import { AuditEvent, SESSION_END_REASONS } from './api.ts'

const Time = z.iso.datetime()
const Count = z.number().int().nonnegative()

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
})
export type SessionView = z.infer<typeof SessionView>

/**
 * GET /v1/sessions: newest first. `mine` is for everybody, `all` for viewers. `before` is the `startedAt` of the last one seen,
 * for the next page.
 */
export const SessionsQuery = z.strictObject({
  scope: z.enum(['mine', 'all']).default('mine'),
  state: z.enum(['live', 'ended', 'any']).default('any'),
  user: z.string().optional(),
  resource: z.string().optional(),
  before: Time.optional(),
  limit: z.coerce.number().int().positive().max(500).default(100),
})
export type SessionsQuery = z.infer<typeof SessionsQuery>
export const SessionList = z.object({ sessions: z.array(SessionView), serverTime: Time })
export type SessionList = z.infer<typeof SessionList>

/** GET /v1/sessions/:id (one's own, or viewer) */
export const SessionAnswer = z.object({ session: SessionView, serverTime: Time })

/**
 * GET /v1/sessions/:id/statements (one's own, or viewer): what the audit log has of it, oldest first. `search` is looked for in
 * the text of the statements, whatever its case.
 */
export const SessionStatementsQuery = z.strictObject({
  after: z.coerce.number().int().nonnegative().optional(),
  search: z.string().min(1).max(200).optional(),
  limit: z.coerce.number().int().positive().max(1000).default(200),
})
export const SessionStatements = z.object({ events: z.array(AuditEvent), serverTime: Time })

/**
 * POST /v1/sessions/:id/end: one's own ends as *cancelled*, somebody else's as *terminated* (admin). The answer comes when the end
 * is on record (S3), with the reason that it has, which is another one where something else was first.
 */
export const EndSessionResponse = z.object({ reason: z.enum(SESSION_END_REASONS), serverTime: Time })
