// How sessions and what they ran look in a terminal: rows of a table, facts, one line a statement. Pure; `now` is by the server's
// clock, in ms.
import type { AuditEvent } from '../shared/audit-api.ts'
import type { SessionView } from '../shared/session-api.ts'
import { formatDuration } from '../shared/duration.ts'
import { hasAccounts, RESOURCE_PROTOCOLS, type ResourceProtocol } from '../shared/names.ts'
import { formatTable, type Column } from './table.ts'

const SESSION_COLUMNS: readonly Column[] = [
  { title: 'ID' },
  { title: 'USER' },
  { title: 'RESOURCE' },
  { title: 'ACCOUNT', rank: 2 },
  { title: 'PROTOCOL', rank: 6 },
  { title: 'STATE' },
  { title: 'LASTS', align: 'right', rank: 3 },
  { title: 'CONNECTIONS', align: 'right', rank: 4 },
  { title: 'IDLE', align: 'right', rank: 1 },
  { title: 'BYTES', align: 'right', rank: 5 },
  { title: 'STATEMENTS', align: 'right', rank: 7 },
]

/** Characters of an id that are shown: among some thousands it seldom takes more. */
const ID_CHARACTERS = 8
export const shortId = (id: string): string => id.slice(0, ID_CHARACTERS)

/** How many characters tell these apart, each a beginning that the commands take: groups of an id are shown whole. */
export function idCharactersOf(sessions: readonly Pick<SessionView, 'id'>[]): number {
  const isEnough = (characters: number): boolean =>
    new Set(sessions.map(({ id }) => id.slice(0, characters))).size === sessions.length
  return [ID_CHARACTERS, 13, 18].find(isEnough) ?? 36
}

/** The table of sessions. @param within characters of a line, where there is a screen */
export function sessionTable(sessions: readonly SessionView[], now: number, within?: number): string {
  const idCharacters = idCharactersOf(sessions)
  const rows = sessions.map((session) => sessionRow(session, now, idCharacters))
  return formatTable(SESSION_COLUMNS, rows, within)
}

function sessionRow(session: SessionView, now: number, idCharacters: number): string[] {
  const isOver = session.state === 'ended'
  return [
    session.id.slice(0, idCharacters),
    session.user,
    session.resource,
    accountOf(session) ?? '-',
    session.protocol,
    isOver ? `ended: ${howEnded(session)}` : stateOf(session),
    formatDuration(lastedMs(session, now)),
    String(isOver ? session.connectionsTotal : session.connections),
    isOver || session.lastActivityAt === null ? '-' : formatDuration(now - Date.parse(session.lastActivityAt)),
    formatBytes(session.bytesFromClient + session.bytesToClient),
    String(session.statements),
  ]
}

/** The facts of one session, one a line. */
export function sessionFacts(session: SessionView, now: number): string {
  const isOver = session.state === 'ended'
  const left = (at: string): string => `in ${formatDuration(Date.parse(at) - now)}`
  const facts: [string, string | null][] = [
    ['Session', session.id],
    ['State', isOver ? `ended ${session.endedAt ?? ''}: ${whyEnded(session)}` : stateOf(session)],
    [
      'Inactive',
      session.inactiveSince === null
        ? null
        : `since ${session.inactiveSince}: the program that it goes through does not answer`,
    ],
    ['Who', `${session.user}, from ${session.address}`],
    ['What', `${nameOf(session)} (${session.protocol})`],
    ['Since', `${session.startedAt}, for ${formatDuration(lastedMs(session, now))}`],
    ['Connections', isOver ? `${session.connectionsTotal}` : `${session.connections} of ${session.connectionsTotal}`],
    [
      'Bytes',
      `${formatBytes(session.bytesFromClient)} from the client, ${formatBytes(session.bytesToClient)} to the client`,
    ],
    ['Last active', session.lastActivityAt],
    [
      'Statements',
      `${session.statements}${session.lastStatementAt === null ? '' : `, last ${session.lastStatementAt}`}`,
    ],
    ['Ends', session.endsAt === null ? null : left(session.endsAt)],
    ['Ends idle', session.idleEndsAt === null ? null : `${left(session.idleEndsAt)}, unless something moves`],
  ]
  return facts
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${`${name}:`.padEnd(13)} ${value ?? ''}\n`)
    .join('')
}

/**
 * When, what became of it, how long it took, its text on one line.
 * @param within characters of a line, where there is a screen: a statement may be 64 KiB long, and the next one is wanted, too
 */
export function statementLine({ time, event, detail }: AuditEvent, within = Number.POSITIVE_INFINITY): string {
  const outcomes = Array.isArray(detail['outcomes']) ? (detail['outcomes'] as unknown[]) : []
  const became = outcomes.map(outcomeText).join(', ') || '-'
  const durationMs = detail['durationMs']
  const took = typeof durationMs === 'number' ? `${durationMs.toFixed(1)} ms` : '-'
  const sql = typeof detail['sql'] === 'string' ? detail['sql'].replace(/\s+/g, ' ').trim() : ''
  const kind = event === 'statement.query' ? '' : `${event.replace('statement.', '')}: `
  const line = Array.from(`${time}  ${took.padStart(10)}  ${became.padEnd(14)}  ${printable(`${kind}${sql}`)}`)
  return line.length <= within ? `${line.join('')}\n` : `${line.slice(0, Math.max(0, within - 1)).join('')}…\n`
}

function outcomeText(outcome: unknown): string {
  if (typeof outcome !== 'object' || outcome === null) return ''
  const { outcome: what, tag, code } = outcome as Record<string, unknown>
  if (what === 'error') return typeof code === 'string' ? `error ${code}` : 'error'
  if (typeof tag === 'string') return tag
  return typeof what === 'string' ? what : ''
}

/** What people know it as: `orders as reader`, or the resource alone where it has no accounts. */
export function nameOf(session: SessionView): string {
  const account = accountOf(session)
  return account === null ? session.resource : `${session.resource} as ${account}`
}

const isKnown = (protocol: string): protocol is ResourceProtocol =>
  (RESOURCE_PROTOCOLS as readonly string[]).includes(protocol)
const accountOf = ({ protocol, account }: SessionView): string | null =>
  isKnown(protocol) && !hasAccounts(protocol) ? null : account

const lastedMs = ({ startedAt, endedAt }: SessionView, now: number): number =>
  (endedAt === null ? now : Date.parse(endedAt)) - Date.parse(startedAt)

/** A live one whose core does not answer is inactive (I3). */
const stateOf = ({ state, inactiveSince }: SessionView): string => (inactiveSince === null ? state : 'inactive')

/** `terminated by root`, `idle`. */
export const howEnded = ({ endReason, endedBy }: SessionView): string =>
  `${endReason ?? 'unknown'}${endedBy === null ? '' : ` by ${endedBy}`}`

/** With which limit it was, if it was one: `idle: nothing has moved on it for 15m, …`. */
export const whyEnded = (session: SessionView): string =>
  session.endWhy === null ? howEnded(session) : `${howEnded(session)}: ${printable(session.endWhy)}`

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB']
function formatBytes(bytes: number): string {
  let [size, step] = [bytes, 0]
  for (; size >= 999.5 && step < UNITS.length - 1; step += 1) size /= 1000
  return `${step === 0 || size >= 99.5 ? Math.round(size) : size.toFixed(1)} ${UNITS[step] ?? 'B'}`
}

/** Texts come from outside: their control characters must not reach the terminal. */
// eslint-disable-next-line no-control-regex -- the point is to find them
const printable = (text: string): string => text.replace(/[\u0000-\u001f\u007f-\u009f]/g, '\ufffd')
