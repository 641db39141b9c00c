// Whether a psql got what it should have: its rows word for word, or a statement that nothing disturbed. Used by scenario.ts. Pure.
import type { GatewayView } from '../../shared/rpc.ts'
import type { Psql, PsqlEnd } from './psql-clients.ts'
import type { BusyClient, HeldClient } from './report.ts'

export type Client = { name: string; gateway: GatewayView; sql: string; psql: Psql }

/** @param expected what PostgreSQL itself answers */
export function judgeHeld(
  { name, gateway }: Client,
  { tookMs, rows, problem }: PsqlEnd,
  expected: string[],
): HeldClient {
  const isRight = rows.join('\n') === expected.join('\n')
  return {
    client: name,
    gateway: nameOf(gateway),
    waitedMs: Math.round(tookMs),
    rows: rows.length,
    problem: problem ?? (isRight ? null : 'it printed other rows than PostgreSQL has'),
  }
}

/** @param isTooSoon it was over before it should be */
export function judgeBusy({ name, gateway, psql }: Client, { rows, problem }: PsqlEnd, isTooSoon: boolean): BusyClient {
  const isWhole = rows.every((row, at) => row.startsWith(`${at + 1}\t`))
  const why = isTooSoon ? 'its statement ended too soon' : isWhole ? null : 'rows are missing'
  return {
    client: name,
    gateway: nameOf(gateway),
    rows: rows.length,
    longestPauseMs: Math.round(psql.longestPauseMs),
    problem: problem ?? why,
  }
}

/** Every psql has one. */
export const endOf = (ends: readonly PsqlEnd[], at: number): PsqlEnd =>
  ends[at] ?? { tookMs: 0, rows: [], problem: 'it was not started' }

export const nameOf = ({ resource, account }: GatewayView): string => `${resource} as ${account}`
