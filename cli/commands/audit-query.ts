// What `postern audit` and `postern audit export` share: the filters as flags, and one page of the server's audit log.
import { AuditPage, AuditQuery } from '../../shared/audit-api.ts'
import { parseDuration } from '../../shared/duration.ts'
import { PosternError } from '../../shared/errors.ts'
import { callApi } from '../call-api.ts'
import type { Core } from '../context.ts'

export type AuditFilter = {
  profile?: string
  user?: string
  login?: string
  session?: string
  resource?: string
  account?: string
  event?: string
  since?: string
  until?: string
}

const FIELDS = ['user', 'login', 'session', 'resource', 'account', 'event'] as const

/** The filters as the server takes them. @throws PosternError `bad_request` for a time that is none */
export function filterParams(filter: AuditFilter, now: Date): URLSearchParams {
  const params = new URLSearchParams()
  for (const field of FIELDS) if (filter[field] !== undefined) params.set(field, filter[field])
  if (filter.since !== undefined) params.set('since', parseTime('--since', filter.since, now))
  if (filter.until !== undefined) params.set('until', parseTime('--until', filter.until, now))
  return params
}

/** `1h` means an hour ago; anything else must be a time. */
function parseTime(flag: string, text: string, now: Date): string {
  const agoMs = parseDuration(text)
  const time = agoMs === undefined ? new Date(text) : new Date(now.getTime() - agoMs)
  if (Number.isNaN(time.getTime()))
    throw new PosternError('bad_request', `${flag} "${text}" is neither a duration such as 1h nor a time.`)
  return time.toISOString()
}

export type Page = { events: AuditPage['events']; upTo: number; more: boolean }

/**
 * One page: the oldest events after a seq, or without it the newest.
 * @param waitSeconds how long the server waits for an event where there is none yet
 */
export async function readPage(
  core: Core,
  filter: URLSearchParams,
  at: { profile: string | undefined; after?: number; limit: number; waitSeconds?: number },
): Promise<Page> {
  const query = new URLSearchParams(filter)
  query.set('limit', String(at.limit))
  if (at.after !== undefined) query.set('after', String(at.after))
  if (at.waitSeconds !== undefined) query.set('waitSeconds', String(at.waitSeconds))
  AuditQuery.parse(Object.fromEntries(query))
  const { events, upTo, more } = await callApi(core, AuditPage, {
    profile: at.profile,
    method: 'GET',
    path: `/v1/audit?${query.toString()}`,
  })
  // Servers before this field: a page that is not full was the last one.
  return { events, upTo: upTo ?? events.at(-1)?.seq ?? at.after ?? 0, more: more ?? events.length === at.limit }
}
