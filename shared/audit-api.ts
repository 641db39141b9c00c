// The part of the access server's JSON API that is about the audit log: the names of its events, an event, and how they are asked
// for. What each event says is in shared/audit-events.ts. Pure.
import { z } from 'zod'
import { Time } from './api.ts'

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
