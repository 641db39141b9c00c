// What the audit log writes (R5): for each event when it is written, which of the common fields it always has, and the shape of
// its detail. docs/audit.md is made from this, and a test holds what a running server writes against it. Names and fields only
// grow. Pure.
import { z } from 'zod'
import type { AuditEvent, AuditEventName } from './audit-api.ts'
import { SESSION_END_REASONS } from './session-api.ts'

/** The fields of every event that may be null. */
export type AuditField = 'user' | 'login' | 'session' | 'connection' | 'resource' | 'account' | 'address'

export type AuditEventDefinition = {
  /** When it is written, in words. */
  when: string
  /** Which of the common fields it always has; others may be there too. */
  always: readonly AuditField[]
  /** What `detail` has. Nothing else. */
  detail: z.ZodObject
  /**
   * `before`: in the store before what it tells of happens. `transaction`: in the same transaction as what it tells. `after`: right
   * after it, before whoever asked is answered. `batched`: within 100 ms, in the order in which things happened.
   */
  written: 'before' | 'transaction' | 'after' | 'batched'
}

const Count = z.number().int().nonnegative()
const DurationMs = z.number().nonnegative()
const Code = z.string()
const nothing = z.strictObject({})

const ofConnection = ['user', 'login', 'session', 'connection', 'resource', 'account', 'address'] as const
const ofSession = ['user', 'login', 'session', 'resource', 'account'] as const

/** What became of one statement. The text of an error may quote data, so only its code and class are kept. */
const Outcome = z.union([
  z.strictObject({ outcome: z.literal('completed'), tag: z.string(), rows: Count.optional() }),
  z.strictObject({ outcome: z.enum(['prepared', 'empty', 'suspended', 'skipped', 'unknown']) }),
  z.strictObject({ outcome: z.literal('error'), code: Code, class: z.string(), severity: z.string() }),
])

/** SQL without the secrets of statements that set them, cut at 64 KiB (`truncated`). */
const text = { sql: z.string().optional(), truncated: z.literal(true).optional() }
const outcomes = { outcomes: z.array(Outcome), durationMs: DurationMs, moreOutcomes: Count.optional() }
const statement = { statement: z.string().optional() }
const portal = { portal: z.string().optional() }

/** `database`, `application_name` where the protocol is PostgreSQL. */
const opened = { database: z.string().optional(), application_name: z.string().optional() }

export const AUDIT_EVENT_CATALOGUE: Record<AuditEventName, AuditEventDefinition> = {
  'server.start': {
    when: 'the access server listens',
    always: [],
    detail: z.strictObject({ version: z.string(), address: z.string() }),
    written: 'batched',
  },
  'server.stop': {
    when: 'it stops, and everything it served is over',
    always: [],
    detail: z.strictObject({ why: z.string() }),
    written: 'after',
  },
  'login.succeeded': {
    when: 'somebody logged in',
    always: ['user', 'login', 'address'],
    detail: z.strictObject({ how: z.enum(['password', 'sso', 'setup code']), expiresAt: z.iso.datetime() }),
    written: 'before',
  },
  'login.failed': {
    when: 'a login was refused; `user` is the name as it was typed, `person` whom the identity provider meant',
    always: ['address'],
    detail: z.strictObject({
      how: z.enum(['password', 'sso', 'setup code']),
      code: Code,
      person: z.string().optional(),
    }),
    written: 'batched',
  },
  'login.renewed': {
    when: 'a login got another certificate; `ca` signed it',
    always: ['user', 'login', 'address'],
    detail: z.strictObject({ ca: z.string() }),
    written: 'before',
  },
  'login.ended': {
    when: 'a login was ended before its time; `by` is the administrator, if it was one',
    always: ['user', 'login'],
    detail: z.strictObject({ reason: z.string(), everywhere: z.boolean().optional(), by: z.string().optional() }),
    written: 'transaction',
  },
  'account.change': {
    when: 'somebody changed how they log in: password, or second factor',
    always: ['user', 'login', 'address'],
    detail: z.strictObject({ change: z.enum(['password', 'totp']) }),
    written: 'transaction',
  },
  'access.denied': {
    when: 'a call or a connection was refused (not: a target that is down)',
    always: ['address'],
    detail: z.strictObject({
      code: Code,
      text: z.string(),
      /** Of a call: method and path. */
      request: z.string().optional(),
      /** Of a connection: what its startup message asked for. */
      asked: z.record(z.string(), z.unknown()).optional(),
    }),
    written: 'batched',
  },
  'session.start': {
    when: 'the first connection of a route, before a target is dialled',
    always: [...ofSession, 'address'],
    detail: nothing,
    written: 'before',
  },
  'session.active': { when: 'its target was reached', always: ofSession, detail: nothing, written: 'batched' },
  'session.inactive': {
    when: 'the core that it goes through answers no more; it was heard last at `since`',
    always: ofSession,
    detail: z.strictObject({ since: z.iso.datetime() }),
    written: 'batched',
  },
  'session.resumed': {
    when: 'the core of an inactive session is there again',
    always: ofSession,
    detail: nothing,
    written: 'batched',
  },
  'session.end.asked': {
    when: 'a person asked for the end of a session, before it happens; `of` is whose it is, `reason` how it will end unless something else was first',
    always: [...ofSession, 'address'],
    detail: z.strictObject({ of: z.string(), reason: z.enum(SESSION_END_REASONS) }),
    written: 'before',
  },
  'session.end': {
    when: 'it ended, once; `by` is the person who ended it, if it was one; `why` says which limit, if it was one',
    always: ofSession,
    detail: z.strictObject({
      reason: z.enum(SESSION_END_REASONS),
      by: z.string().optional(),
      why: z.string().optional(),
    }),
    written: 'after',
  },
  'connection.open': {
    when: 'a client connection was let in',
    always: ofConnection,
    detail: z.strictObject(opened),
    written: 'batched',
  },
  'connection.close': {
    when: 'it is over; `reason` is `client`, `target`, `ended` (by the server) or an error code',
    always: ofConnection,
    detail: z.strictObject({
      ...opened,
      reason: z.string(),
      errorId: z.string().optional(),
      bytesFromClient: Count,
      bytesToClient: Count,
      durationMs: DurationMs,
    }),
    written: 'batched',
  },
  'statement.query': {
    when: 'a simple query was answered; it may have several statements',
    always: ofConnection,
    detail: z.strictObject({ ...text, ...outcomes }),
    written: 'batched',
  },
  'statement.prepare': {
    when: 'a statement was prepared (Parse)',
    always: ofConnection,
    detail: z.strictObject({ ...text, ...statement, ...outcomes }),
    written: 'batched',
  },
  'statement.bind': {
    when: 'binding values to a prepared statement failed',
    always: ofConnection,
    detail: z.strictObject({ ...text, ...statement, ...portal, ...outcomes }),
    written: 'batched',
  },
  'statement.execute': {
    when: 'a prepared statement was run; `at: sync` where it failed only at the end of its transaction',
    always: ofConnection,
    detail: z.strictObject({ ...text, ...statement, ...portal, at: z.literal('sync').optional(), ...outcomes }),
    written: 'batched',
  },
  'statement.function': {
    when: 'a function was called (fast path)',
    always: ofConnection,
    detail: z.strictObject({ ...text, oid: Count, ...outcomes }),
    written: 'batched',
  },
  'statement.copy': {
    when: 'a COPY ended; its statement has an event of its own',
    always: ofConnection,
    detail: z.strictObject({
      ...text,
      direction: z.enum(['in', 'out', 'both']),
      bytes: Count,
      outcomes: z.array(Outcome),
      durationMs: DurationMs,
    }),
    written: 'batched',
  },
  'query.cancel': {
    when: 'a cancel request was passed on to the target',
    always: ['user', 'login', 'session', 'connection', 'resource', 'account'],
    detail: nothing,
    written: 'batched',
  },
  'admin.change': {
    when: 'an administrator changed a person, role, resource, grant or CA',
    always: ['user', 'login', 'address'],
    detail: z.strictObject({
      kind: z.string(),
      name: z.string(),
      change: z.string(),
      /** Of a CA. */
      fingerprint: z.string().optional(),
    }),
    written: 'transaction',
  },
  'audit.pruned': {
    when: 'events older than `audit.retention` were deleted: so many, up to `lastSeq`',
    always: [],
    detail: z.strictObject({ before: z.iso.datetime(), deleted: Count, lastSeq: Count }),
    written: 'after',
  },
}

/** What is wrong with an event as somebody wrote it; empty if it is as documented. */
export function auditEventProblems(event: AuditEvent): string[] {
  const definition = Object.entries(AUDIT_EVENT_CATALOGUE).find(([name]) => name === event.event)?.[1]
  if (!definition) return [`${event.event} is not documented`]
  const missing = definition.always.filter((field) => event[field] === null)
  const parsed = definition.detail.safeParse(event.detail)
  return [
    ...missing.map((field) => `${event.event} has no ${field}`),
    ...(parsed.success
      ? []
      : parsed.error.issues.map((issue) => `${event.event}: ${issue.path.join('.')} ${issue.message}`)),
  ]
}
