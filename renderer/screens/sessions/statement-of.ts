// Reads an audit event as a statement: its text, what became of it, how long it took. Servers of other versions may say more or
// less: nothing here throws. Pure.
import type { AuditEvent } from '../../../shared/audit-api.ts'
import { formatBytes, formatDuration } from '../../format.ts'
import { texts } from '../../texts.ts'

const words = texts.sessions

export type Statement = {
  seq: number
  time: string
  /** Quiet word before the text: prepare, COPY …; null for a plain statement. */
  kind: string | null
  sql: string | null
  isCut: boolean
  isBad: boolean
  /** What became of it: `done`, `100 rows`, `error 42P01 (undefined table)`. */
  outcome: string
  duration: string | null
  connection: string | null
}

type Fields = Readonly<Record<string, unknown>>
const textIn = (fields: Fields, key: string): string | null => (typeof fields[key] === 'string' ? fields[key] : null)
const numberIn = (fields: Fields, key: string): number | null => (typeof fields[key] === 'number' ? fields[key] : null)

export function statementOf({ seq, time, event, detail, connection }: AuditEvent): Statement {
  const outcomes = Array.isArray(detail['outcomes']) ? detail['outcomes'].filter(isFields) : []
  const more = numberIn(detail, 'moreOutcomes')
  const durationMs = numberIn(detail, 'durationMs')
  const bytes = numberIn(detail, 'bytes')
  const parts = [
    ...outcomes.map(outcomeText),
    ...(more === null ? [] : [words.moreOutcomes(more)]),
    ...(bytes === null ? [] : [words.bytes(formatBytes(bytes), textIn(detail, 'direction') ?? '').trim()]),
  ]
  return {
    seq,
    time,
    kind: words.statementKind[event] ?? (event === 'statement.query' ? null : event.replace('statement.', '')),
    sql: event === 'query.cancel' ? words.cancelRequest : textIn(detail, 'sql'),
    isCut: detail['truncated'] === true,
    isBad: outcomes.some((outcome) => outcome['outcome'] === 'error'),
    outcome: parts.join(', '),
    duration: durationMs === null ? null : formatTook(durationMs),
    connection,
  }
}

function outcomeText(fields: Fields): string {
  const outcome = textIn(fields, 'outcome') ?? ''
  if (outcome === 'error') {
    const name = textIn(fields, 'class')
    return `${words.outcome['error'] ?? ''} ${textIn(fields, 'code') ?? ''}${name === null ? '' : ` (${name})`}`.trim()
  }
  const rows = numberIn(fields, 'rows')
  if (rows !== null) return words.rows(rows)
  return textIn(fields, 'tag') ?? words.outcome[outcome] ?? outcome
}

const isFields = (value: unknown): value is Fields => typeof value === 'object' && value !== null

/** `0.4 ms`, `12 ms`, `1.2 s`, `3 min`. */
function formatTook(ms: number): string {
  if (ms < 10) return `${ms.toFixed(1)} ms`
  if (ms < 1000) return `${Math.round(ms)} ms`
  return ms < 60_000 ? `${(ms / 1000).toFixed(1)} s` : formatDuration(ms)
}
