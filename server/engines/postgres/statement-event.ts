// What the audit log gets to read about one statement: its text without secrets, its names, what became of it. Called by the
// statement log. The shapes are documented here and only grow.
import type { AuditEventName } from '../../../shared/audit-api.ts'
import type { KeptText } from './prepared-names.ts'
import { sqlstateClass } from './sqlstate-class.ts'
import type { SeenError } from '../../../shared/wire/postgres/backend-messages.ts'

/**
 * What became of a statement. `skipped`: an earlier error made the target pass over it; `suspended`: its portal has more rows;
 * `unknown`: the connection ended before the answer came. The text of an error may quote data, so only its class is kept.
 */
export type Outcome =
  | { outcome: 'completed'; tag: string; rows?: number }
  | { outcome: 'prepared' | 'empty' | 'suspended' | 'skipped' | 'unknown' }
  | { outcome: 'error'; code: string; class: string; severity: string }

export const errorOutcome = ({ code, severity }: SeenError): Outcome & { outcome: 'error' } => ({
  outcome: 'error',
  code,
  class: sqlstateClass(code),
  severity,
})

export type CopyDirection = 'in' | 'out' | 'both'

export type StatementEvent = { event: AuditEventName; detail: Record<string, unknown> }

/** A request whose answer is complete. */
export type Answered = {
  kind: 'query' | 'parse' | 'bind' | 'describe' | 'execute' | 'close' | 'function' | 'sync' | 'copy-end'
  statement: string | undefined
  portal: string | undefined
  oid: number | undefined
  outcomes: readonly Outcome[]
  /** Outcomes beyond those that are listed. */
  moreOutcomes: number
}

/** The event of a request; none for what is no statement, and for Bind and Sync unless they failed. */
export function statementEvent(
  { kind, statement, portal, oid, outcomes, moreOutcomes }: Answered,
  text: KeptText | undefined,
  durationMs: number,
): StatementEvent | undefined {
  const event = EVENT_OF[kind]
  const isSilent = kind === 'bind' || kind === 'sync'
  if (event === undefined || (isSilent && !outcomes.some(({ outcome }) => outcome === 'error'))) return undefined
  // Field by field, in the order in which people read them: one is made for each statement.
  const detail: Record<string, unknown> = {}
  if (text !== undefined) {
    detail['sql'] = text.sql
    if (text.truncated) detail['truncated'] = true
  }
  if (statement !== undefined) detail['statement'] = statement
  if (portal !== undefined) detail['portal'] = portal
  if (oid !== undefined) detail['oid'] = oid
  // Deferred constraints and the like fail where the transaction ends, not where the statement was.
  if (kind === 'sync') detail['at'] = 'sync'
  detail['outcomes'] = outcomes
  if (moreOutcomes > 0) detail['moreOutcomes'] = moreOutcomes
  detail['durationMs'] = durationMs
  return { event, detail }
}

/** The event of a COPY, which comes before that of its statement. */
export const copyEvent = (
  text: KeptText | undefined,
  copy: { direction: CopyDirection; bytes: number; outcome: Outcome; durationMs: number },
): StatementEvent => {
  const { outcome, ...rest } = copy
  return { event: 'statement.copy', detail: { ...text, ...rest, outcomes: [outcome] } }
}

const EVENT_OF: Partial<Record<Answered['kind'], AuditEventName>> = {
  query: 'statement.query',
  parse: 'statement.prepare',
  bind: 'statement.bind',
  execute: 'statement.execute',
  function: 'statement.function',
  sync: 'statement.execute',
}
