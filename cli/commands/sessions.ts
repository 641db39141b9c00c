// `postern sessions ls|show|end`: what the access server knows of sessions, and ending one.
import type { AuditEvent } from '../../shared/audit-api.ts'
import { SessionAnswer, SessionList, SESSIONS_PAGE_MAX, type SessionView } from '../../shared/session-api.ts'
import { PosternError } from '../../shared/errors.ts'
import type { ProfileView } from '../../shared/rpc.ts'
import { askInTerminal } from '../ask-secret.ts'
import { callApi } from '../call-api.ts'
import type { Context, Core } from '../context.ts'
import { howEnded, nameOf, sessionFacts, sessionTable, shortId, statementLine } from '../session-table.ts'
import { withCore } from '../with-core.ts'

type Common = { profile?: string; json?: boolean }
export type SessionFilter = { all?: boolean; user?: string; resource?: string }
export type ListOptions = Common & SessionFilter & { state?: 'live' | 'ended' | 'any'; limit?: number }
export type ShowOptions = Common & { search?: string; limit?: number }
export type EndOptions = Common & { yes?: boolean }

const LIMIT = 100
/** Statements asked for at once. */
const STATEMENTS_PAGE = 1000
/** Sessions that an ambiguous beginning names, at most. */
const NAMED_MAX = 5

/** One's own, or with --all (or somebody's name) everyone's. */
export async function listSessions(context: Context, options: ListOptions): Promise<void> {
  const { limit = LIMIT, state = 'live' } = options
  await withCore(context, async (core) => {
    const { sessions, serverTime } = await readSessions(core, options.profile, { ...filterOf(options), state }, limit)
    const { stdout, stderr } = context.terminal
    if (options.json) {
      stdout.write(`${JSON.stringify({ sessions, serverTime })}\n`)
      return
    }
    if (sessions.length === 0) stdout.write(`No ${state === 'any' ? '' : `${state} `}session.\n`)
    else stdout.write(sessionTable(sessions, Date.parse(serverTime), context.terminal.screen?.().columns))
    if (sessions.length === limit)
      stderr.write(`postern: these are the newest ${limit}; there may be more: --limit N, --user or --resource\n`)
  })
}

/** What --all, --user and --resource mean to the API. */
export const filterOf = ({ all, user, resource }: SessionFilter): Record<string, string> => ({
  scope: all === true || user !== undefined ? 'all' : 'mine',
  ...(user === undefined ? {} : { user }),
  ...(resource === undefined ? {} : { resource }),
})

/** As many as wanted, page by page. */
async function readSessions(
  core: Core,
  profile: string | undefined,
  filter: Record<string, string>,
  limit: number,
): Promise<{ sessions: SessionView[]; serverTime: string }> {
  const sessions: SessionView[] = []
  for (;;) {
    const count = Math.min(limit - sessions.length, SESSIONS_PAGE_MAX)
    const last = sessions.at(-1)
    const query = new URLSearchParams({
      ...filter,
      limit: String(count),
      ...(last === undefined ? {} : { before: last.startedAt, beforeId: last.id }),
    })
    const path = `/v1/sessions?${query.toString()}`
    const page = await callApi(core, SessionList, { profile, method: 'GET', path })
    sessions.push(...page.sessions)
    if (page.sessions.length < count || sessions.length >= limit) return { sessions, serverTime: page.serverTime }
  }
}

/** Facts, and the last statements with the newest at the end, as in a log. */
export async function showSession(context: Context, id: string, options: ShowOptions): Promise<void> {
  await withCore(context, async (core) => {
    const found = await findSession(core, options.profile, id, 'any')
    const path = `/v1/sessions/${found.id}`
    const { session, serverTime } = await callApi(core, SessionAnswer, {
      profile: options.profile,
      method: 'GET',
      path,
    })
    const statements = await lastStatements(core, session.id, options)
    const { stdout } = context.terminal
    if (options.json) {
      stdout.write(`${JSON.stringify({ session, statements, serverTime })}\n`)
      return
    }
    stdout.write(sessionFacts(session, Date.parse(serverTime)))
    const within = context.terminal.screen?.().columns
    if (statements.length > 0) stdout.write(`\n${statements.map((event) => statementLine(event, within)).join('')}`)
    else if (options.search !== undefined) stdout.write('\nNo statement has that in its text.\n')
  })
}

async function lastStatements(core: Core, session: string, options: ShowOptions): Promise<AuditEvent[]> {
  const { limit = LIMIT, search, profile } = options
  const newestFirst: AuditEvent[] = []
  for (let after: number | undefined; newestFirst.length < limit;) {
    const { events, next } = await core.call('sessions.statements', {
      session,
      limit: Math.min(limit - newestFirst.length, STATEMENTS_PAGE),
      ...(profile === undefined ? {} : { profile }),
      ...(search === undefined ? {} : { search }),
      ...(after === undefined ? {} : { after }),
    })
    newestFirst.push(...events)
    if (next === null || next === undefined) break
    after = next
  }
  return newestFirst.reverse()
}

/** Asks first, where a person can be asked; says the reason that is on record. */
export async function endSession(context: Context, id: string, options: EndOptions): Promise<void> {
  const { terminal } = context
  await withCore(context, async (core) => {
    const session = await findSession(core, options.profile, id, 'live')
    if (session.state !== 'ended' && options.yes !== true) await confirm(context, session)
    const { reason } = await core.call('sessions.end', {
      session: session.id,
      ...(options.profile === undefined ? {} : { profile: options.profile }),
    })
    const wasOver = session.state === 'ended'
    if (options.json) terminal.stdout.write(`${JSON.stringify({ id: session.id, reason, wasOver })}\n`)
    else if (wasOver) terminal.stdout.write(`It had ended already: ${howEnded(session)}.\n`)
    else terminal.stdout.write(`Ended ${shortId(session.id)}, ${session.user} on ${nameOf(session)}: ${reason}.\n`)
  })
}

/** @throws PosternError `bad_request` where nobody can be asked, `login_cancelled` for anything but a yes */
async function confirm({ terminal, interrupt }: Context, session: SessionView): Promise<void> {
  const count = session.connections === 1 ? '1 connection is' : `${session.connections} connections are`
  const what = `the session of ${session.user} on ${nameOf(session)}`
  if (!terminal.canAsk)
    throw new PosternError('bad_request', `This ends ${what}. Say --yes, since nobody can be asked here.`)
  const answer = await askInTerminal(terminal, {
    prompt: `End ${what}? ${count} cut at once. [y/N] `,
    hidden: false,
    signal: interrupt,
  })
  if (!/^y(es)?$/i.test(answer.trim())) throw new PosternError('login_cancelled', 'Nothing was ended.')
}

/**
 * The one session whose id begins so, among those that this person may see.
 * @param prefer where a beginning fits several, living ones are meant
 * @throws PosternError `not_found`, or `bad_request` naming those that it fits
 */
async function findSession(
  core: Core,
  profile: string | undefined,
  id: string,
  prefer: 'live' | 'any',
): Promise<SessionView> {
  if (!/^[0-9a-f-]{1,36}$/i.test(id))
    throw new PosternError('bad_request', `"${id}" is no id of a session. See: postern sessions ls`)
  const scope = (await levelOf(core, profile)) === 'none' ? 'mine' : 'all'
  for (const state of prefer === 'live' ? ['live', 'any'] : ['any']) {
    const { sessions } = await readSessions(core, profile, { scope, state, id }, NAMED_MAX + 1)
    const [found] = sessions
    if (sessions.length === 1 && found) return found
    if (sessions.length > 1) {
      const named = sessions.slice(0, NAMED_MAX).map((session) => session.id)
      const more = sessions.length > NAMED_MAX ? ' …' : ''
      throw new PosternError(
        'bad_request',
        `Several sessions begin with ${id}: ${named.join(', ')}${more}. Give more of it.`,
      )
    }
  }
  throw new PosternError(
    'not_found',
    `There is no session ${id}, or it is none of yours. See: postern sessions ls --state any`,
  )
}

async function levelOf(core: Core, name: string | undefined): Promise<NonNullable<ProfileView['level']>> {
  const { profiles, current } = await core.call('profile.list', {})
  return profiles.find(({ profile }) => profile === (name ?? current))?.level ?? 'none'
}
