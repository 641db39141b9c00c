// The limits of a role (S7) as flags, and as text in lists: what ends its sessions, and how many may be at once. Pure. Used by
// admin-commands.ts, which defines the flags, and the commands behind it.
import { type Command, InvalidArgumentError, Option } from 'commander'
import { ROLE_LIMIT_MAX, type RoleLimits } from '../shared/admin-api.ts'
import { parseDuration } from '../shared/duration.ts'

/** `none`: there is no such limit; `default`: the role does not say it. */
export type LimitFlags = {
  sessionMax?: string
  idle?: string
  sessions?: number | 'none'
  connections?: number | 'none'
}

function parseTime(text: string): string {
  if (text === 'none' || text === 'default' || parseDuration(text) !== undefined) return text
  throw new InvalidArgumentError("Write a duration such as 30m, 8h or 1h30m, none, or default for the server's own.")
}

function parseCount(text: string): number | 'none' {
  if (text === 'none') return text
  const count = Number(text)
  if (/^\d{1,7}$/.test(text) && count >= 1 && count <= ROLE_LIMIT_MAX) return count
  throw new InvalidArgumentError(`Write a whole number from 1 to ${ROLE_LIMIT_MAX}, or none.`)
}

/** Adds the flags to `postern admin role add` and `set`. */
export const withLimitFlags = (command: Command): Command =>
  command
    .addOption(
      new Option('--session-max <duration>', 'a session ends after so long; none, or default').argParser(parseTime),
    )
    .addOption(
      new Option('--idle <duration>', 'a session ends after so long without a byte; none, or default').argParser(
        parseTime,
      ),
    )
    .addOption(
      new Option('--sessions <count>', 'so many of one person at once, through this role; none').argParser(parseCount),
    )
    .addOption(new Option('--connections <count>', 'so many of one session at once; none').argParser(parseCount))

/** The limits after the flags; undefined where the role says none at all. */
export function changedLimits(old: RoleLimits | undefined, flags: LimitFlags): RoleLimits | undefined {
  const limits = {
    maxSessionDuration: flags.sessionMax ?? old?.maxSessionDuration,
    idleTimeout: flags.idle ?? old?.idleTimeout,
    maxSessions: flags.sessions ?? old?.maxSessions,
    maxConnections: flags.connections ?? old?.maxConnections,
  }
  const { maxSessionDuration, idleTimeout, maxSessions, maxConnections } = limits
  const said: RoleLimits = {
    ...(isSaid(maxSessionDuration) ? { maxSessionDuration } : {}),
    ...(isSaid(idleTimeout) ? { idleTimeout } : {}),
    ...(typeof maxSessions === 'number' ? { maxSessions } : {}),
    ...(typeof maxConnections === 'number' ? { maxConnections } : {}),
  }
  return Object.keys(said).length === 0 ? undefined : said
}

const isSaid = (time: string | undefined): time is string => time !== undefined && time !== 'default'

/** `8h long, 30m idle, 5 sessions, 20 connections`; a dash where the role says nothing. */
export function formatLimits({
  maxSessionDuration,
  idleTimeout,
  maxSessions,
  maxConnections,
}: RoleLimits = {}): string {
  const parts = [
    maxSessionDuration === undefined
      ? ''
      : maxSessionDuration === 'none'
        ? 'however long'
        : `${maxSessionDuration} long`,
    idleTimeout === undefined ? '' : idleTimeout === 'none' ? 'however idle' : `${idleTimeout} idle`,
    maxSessions === undefined ? '' : plural(maxSessions, 'session'),
    maxConnections === undefined ? '' : plural(maxConnections, 'connection'),
  ].filter(Boolean)
  return parts.length === 0 ? '-' : parts.join(', ')
}

const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`
