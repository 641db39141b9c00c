// `postern audit`: the server's audit log (R5), searched and followed. Needs the permission level viewer.
import { AuditPage, type AuditEvent } from '../../shared/api.ts'
import { parseDuration } from '../../shared/duration.ts'
import { PosternError } from '../../shared/errors.ts'
import { parseResponse } from '../call-api.ts'
import type { Context } from '../context.ts'
import { withCore } from '../with-core.ts'

export type AuditOptions = {
  profile?: string
  user?: string
  resource?: string
  session?: string
  event?: string
  since?: string
  follow?: boolean
  json?: boolean
}

/** Events asked for at once, and how long one question of --follow waits at the server, in s. */
const PAGE_SIZE = 1000
const FOLLOW_WAIT_SECONDS = 20

/** Prints all matching events, oldest first, one a line; with --follow it goes on until Ctrl-C. */
export async function showAudit(context: Context, options: AuditOptions): Promise<void> {
  const filter = new URLSearchParams({ limit: String(PAGE_SIZE) })
  for (const key of ['user', 'resource', 'session', 'event'] as const)
    if (options[key] !== undefined) filter.set(key, options[key])
  if (options.since !== undefined) filter.set('since', parseSince(options.since, context.now()))

  const reading = withCore(context, async (core) => {
    for (let after = 0, isAtEnd = false; ;) {
      filter.set('after', String(after))
      filter.set('waitSeconds', String(isAtEnd ? FOLLOW_WAIT_SECONDS : 0))
      const { body } = await core.call('api.call', {
        method: 'GET',
        path: `/v1/audit?${filter.toString()}`,
        ...(options.profile === undefined ? {} : { profile: options.profile }),
      })
      const { events } = parseResponse(AuditPage, body)
      for (const event of events)
        context.terminal.stdout.write(options.json ? `${JSON.stringify(event)}\n` : formatEvent(event))
      after = events.at(-1)?.seq ?? after
      isAtEnd = events.length < PAGE_SIZE
      if (isAtEnd && !options.follow) return
    }
  })
  try {
    await reading
  } catch (error) {
    // Ctrl-C is how following ends.
    if (!(options.follow && context.interrupt.aborted)) throw error
  }
}

/** `1h` means an hour ago; anything else must be a time. */
function parseSince(text: string, now: Date): string {
  const agoMs = parseDuration(text)
  const time = agoMs === undefined ? new Date(text) : new Date(now.getTime() - agoMs)
  if (Number.isNaN(time.getTime()))
    throw new PosternError('bad_request', `--since "${text}" is neither a duration such as 1h nor a time.`)
  return time.toISOString()
}

/** Who, where and what on one line; the detail as `key=value`. */
function formatEvent(event: AuditEvent): string {
  const where = event.resource === null ? '' : ` ${event.account ?? '?'}@${event.resource}`
  const session = event.session === null ? '' : ` session=${event.session.slice(0, 8)}`
  const detail = Object.entries(event.detail)
    .map(([key, value]) => ` ${key}=${typeof value === 'string' ? quote(value) : JSON.stringify(value)}`)
    .join('')
  return `${event.time}  ${event.event.padEnd(18)}  ${event.user ?? '-'}${where}${session}${detail}\n`
}

const quote = (text: string): string => (/^[\w.:@/-]+$/.test(text) ? text : JSON.stringify(text))
