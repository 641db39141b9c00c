// `postern audit`: the server's audit log (R5), searched and followed. Needs the permission level viewer. Following survives a
// server that restarts, a core that ends and a login that runs out: it goes on behind the last event that was printed.
import { setTimeout as delay } from 'node:timers/promises'
import type { AuditEvent } from '../../shared/audit-api.ts'
import { PosternError } from '../../shared/errors.ts'
import type { Context, Core } from '../context.ts'
import { withCore } from '../with-core.ts'
import { filterParams, readPage, type AuditFilter } from './audit-query.ts'

export type AuditOptions = AuditFilter & { limit?: number; follow?: boolean; json?: boolean }

/** Events asked for at once, and how long one question of --follow waits at the server, in s. */
const PAGE_SIZE = 1000
const FOLLOW_WAIT_SECONDS = 15
/** Before --follow asks again after a failure, in ms: doubled from one to the other. */
const RETRY_FIRST_MS = 500
const RETRY_MAX_MS = 10_000

/** How far it was printed: the next question goes on behind it, whatever happens in between. */
type Cursor = { after: number | undefined }

/** Prints all matching events (or the newest `limit`), oldest first, one a line; with --follow it goes on until Ctrl-C. */
export async function showAudit(context: Context, options: AuditOptions): Promise<void> {
  const filter = filterParams(options, context.now())
  const cursor: Cursor = { after: options.limit === undefined ? 0 : undefined }
  const read = (core: Core) => printPages(core, filter, cursor, context, options)
  if (!options.follow) {
    await withCore(context, read)
    return
  }
  // The first answer comes, or the person is told why not; only then is it followed through thick and thin.
  for (let waitMs = RETRY_FIRST_MS, told = ''; !context.interrupt.aborted;) {
    const before = cursor.after
    try {
      await withCore(context, read)
    } catch (error) {
      if (isInterrupted(context)) return
      if (!hasBegun(cursor) || !mayPass(error)) throw error
      if (cursor.after !== before) waitMs = RETRY_FIRST_MS
      const text = error.message
      if (text !== told) context.terminal.stderr.write(`postern: ${text}; following goes on once that is over\n`)
      told = text
      await delay(waitMs, undefined, { signal: context.interrupt }).catch(() => undefined)
      waitMs = Math.min(2 * waitMs, RETRY_MAX_MS)
    }
  }
}

/** Ctrl-C is how following ends. */
const isInterrupted = ({ interrupt }: Context): boolean => interrupt.aborted

const hasBegun = ({ after }: Cursor): boolean => after !== undefined && after > 0

/** What is over by itself, or after a login: everything that says nothing about whether this person may read the log. */
const mayPass = (error: unknown): error is PosternError =>
  error instanceof PosternError &&
  (error.kind === 'unreachable' || error.kind === 'expired' || error.kind === 'internal')

async function printPages(
  core: Core,
  filter: URLSearchParams,
  cursor: Cursor,
  { terminal }: Context,
  { profile, limit, follow, json }: AuditOptions,
): Promise<void> {
  for (let isAtEnd = false; ;) {
    const page = await readPage(core, filter, {
      profile,
      limit: cursor.after === undefined ? (limit ?? PAGE_SIZE) : PAGE_SIZE,
      ...(cursor.after === undefined ? {} : { after: cursor.after }),
      waitSeconds: isAtEnd ? FOLLOW_WAIT_SECONDS : 0,
    })
    for (const event of page.events) terminal.stdout.write(json ? `${JSON.stringify(event)}\n` : formatEvent(event))
    cursor.after = page.upTo
    isAtEnd = !page.more
    if (isAtEnd && !follow) return
  }
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
