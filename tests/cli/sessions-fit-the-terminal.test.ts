// `postern sessions ls` and `watch` as a person reads them: on any width whole columns, however many sessions there are ids that the
// other commands take, and counts that say what is not shown. A core in this process answers as the server does.
import { expect, it } from 'vitest'
import { listSessions, type ListOptions } from '../../cli/commands/sessions.ts'
import { watchSessions } from '../../cli/commands/sessions-watch.ts'
import { statementLine } from '../../cli/session-table.ts'
import { PosternError } from '../../shared/errors.ts'
import type { SessionView } from '../../shared/session-api.ts'
import { makeContext, makeFakeCore, type FakeCore, type TestContext } from './support/fake-core.ts'

const NOW = Date.parse('2026-11-22T12:00:00.000Z')

const view = (number: number, part: Partial<SessionView> = {}): SessionView => ({
  id: `${number.toString(16).padStart(8, '0')}-3c1d-4b8e-9f20-5d7a1c0e4b6f`,
  ...{ user: 'alice', resource: 'orders', protocol: 'postgres', account: 'reader', address: '10.4.1.17:51234' },
  ...{
    state: 'active',
    endedAt: null,
    endReason: null,
    endedBy: null,
    endsAt: null,
    idleEndsAt: null,
    inactiveSince: null,
    endWhy: null,
  },
  startedAt: new Date(NOW - (number + 1) * 60_000).toISOString(),
  activeAt: new Date(NOW - (number + 1) * 60_000).toISOString(),
  ...{ connections: 3, connectionsTotal: 7, bytesFromClient: 96_300, bytesToClient: 1_842_000, statements: 42 },
  lastActivityAt: new Date(NOW - 9000).toISOString(),
  lastStatementAt: new Date(NOW - 9000).toISOString(),
  ...part,
})

/** Pages as the server makes them: newest first, behind the last one. */
const serverWith = (sessions: readonly SessionView[]): FakeCore =>
  makeFakeCore({
    'api.call': ({ path }) => {
      const query = new URL(String(path), 'http://x').searchParams
      const behind = sessions.findIndex(({ id }) => id === query.get('beforeId')) + 1
      const page = sessions.slice(behind, behind + Number(query.get('limit')))
      return { body: { sessions: page, serverTime: new Date(NOW).toISOString() } }
    },
  })

async function ls(sessions: readonly SessionView[], columns: number | undefined, options: ListOptions = {}) {
  const context = makeContext([serverWith(sessions)])
  if (columns !== undefined) context.terminal.screen = () => ({ columns, rows: 24 })
  await listSessions(context, options)
  return { lines: context.out().trimEnd().split('\n'), err: context.err() }
}

it('R5: on a narrow screen whole columns are left out, the least needed first; a pipe has all of them', async () => {
  const sessions = [view(1), view(2, { user: 'bartholomew.featherstonehaugh', resource: 'warehouse-of-the-north' })]
  const all = (await ls(sessions, undefined)).lines
  expect(all[0]).toMatch(/^ID +USER +RESOURCE +ACCOUNT +PROTOCOL +STATE +LASTS +CONNECTIONS +IDLE +BYTES +STATEMENTS$/)
  expect((await ls(sessions, 400)).lines).toEqual(all)
  const titles = async (columns: number) => (await ls(sessions, columns)).lines[0]?.trim().split(/ +/)
  expect(await titles(130)).toEqual([
    'ID',
    'USER',
    'RESOURCE',
    'ACCOUNT',
    'PROTOCOL',
    ...(all[0] ?? '').split(/ +/).slice(5, 10),
  ])
  expect(await titles(100)).toEqual(['ID', 'USER', 'RESOURCE', 'ACCOUNT', 'STATE', 'LASTS', 'IDLE'])
  for (const columns of [100, 120, 130])
    for (const line of (await ls(sessions, columns)).lines) expect(line.length, line).toBeLessThanOrEqual(columns)
  // What says which session it is stays, however narrow: the terminal wraps it.
  expect(await titles(20)).toEqual(['ID', 'USER', 'RESOURCE', 'STATE'])
})

it('R5: ids are as long as it takes to tell them apart', async () => {
  const twin = view(7, { id: '00000007-9999-4b8e-9f20-5d7a1c0e4b6f' })
  expect((await ls([view(7), view(8)], 80)).lines[1]).toMatch(/^00000007 /)
  expect((await ls([view(7), twin], 80)).lines.slice(1).map((line) => line.split(' ')[0])).toEqual([
    ...['00000007-3c1d', '00000007-9999'],
  ])
})

it('R5: two thousand are listed page by page, and said where there are more', async () => {
  const many = Array.from({ length: 2000 }, (_, n) => view(n))
  const first = await ls(many, 80)
  expect(first.lines).toHaveLength(101)
  expect(first.err).toContain('these are the newest 100; there may be more: --limit N')
  const all = await ls(many, 80, { limit: 3000 })
  expect(all.lines).toHaveLength(2001)
  expect(all.err).toBe('')
  const json = await ls(many, undefined, { limit: 2000, json: true })
  const { sessions, serverTime } = JSON.parse(json.lines[0] ?? '') as { sessions: SessionView[]; serverTime: string }
  expect([sessions.length, serverTime]).toEqual([2000, new Date(NOW).toISOString()])
  expect(sessions[3]).toEqual(view(3))
})

it('R5: none is a sentence, and an empty list as JSON; a server that is away is an error', async () => {
  expect((await ls([], 80)).lines).toEqual(['No live session.'])
  expect((await ls([], 80, { state: 'ended' })).lines).toEqual(['No ended session.'])
  expect(JSON.parse((await ls([], 80, { json: true })).lines[0] ?? '')).toMatchObject({ sessions: [] })
  const away = makeFakeCore({
    'api.call': () => Promise.reject(new PosternError('server_unreachable', 'the server is away')),
  })
  await expect(listSessions(makeContext([away]), {})).rejects.toMatchObject({ code: 'server_unreachable' })
})

it('R5: on a screen a statement takes a line, in a pipe it is whole', () => {
  const sql = `select ${'x, '.repeat(200)}y\n  from orders`
  const event = {
    time: '2026-11-22T12:00:00.000Z',
    event: 'statement.query',
    detail: { sql, durationMs: 3.2 },
  } as never
  const cut = statementLine(event, 80)
  expect(Array.from(cut)).toHaveLength(81)
  expect(cut).toMatch(/^2026-11-22T12:00:00\.000Z +3\.2 ms .*select x, .*…\n$/)
  expect(statementLine(event)).toContain('y from orders\n')
})

it('R5: names from outside do not rewrite the terminal', async () => {
  const { lines } = await ls([view(1, { account: '\u001b[2Jreader\nroot' })], undefined)
  expect(lines).toHaveLength(2)
  expect(lines[1]).toContain('\ufffd[2Jreader⏎root')
})

/** `sessions watch` on a screen of this size at NOW, whose core tells of these sessions. */
async function watched(
  sessions: SessionView[],
  columns: number,
  hasMore: boolean,
): Promise<{ text: string; context: TestContext }> {
  const core = makeFakeCore({ 'sessions.watch': () => ({ profile: 'test' }), 'profile.list': () => ({ profiles: [] }) })
  const context = makeContext([core])
  context.now = () => new Date(NOW)
  context.terminal.screen = () => ({ columns, rows: 12 })
  const watching = watchSessions(context, { all: true })
  await core.called('sessions.watch')
  core.emit('sessions.updated', {
    ...{ watch: 'terminal', profile: 'test', status: 'ready', error: null, asOf: null, isWhole: true },
    ...{ sessions, removed: [], hasMore },
  })
  await context.outShows('Ctrl-C')
  const text = context.out()
  context.interruptNow()
  await watching
  return { text, context }
}

it('C9: watch draws what fits, counts the rest, and does not call the newest thousand all of them', async () => {
  const many = Array.from({ length: 1000 }, (_, n) => view(n))
  const { text } = await watched(many, 60, true)
  const lines = text.split('\n')
  expect(lines[0]).toContain('At least 1000 live sessions on test.')
  expect(lines[1]).toMatch(/^ID +USER +RESOURCE +ACCOUNT +STATE +LASTS +IDLE/)
  expect(text).toContain('… and 992 or more older ones')
  expect((await watched([], 60, false)).text).toMatch(
    // eslint-disable-next-line no-control-regex -- what the terminal is told
    /^\r0 live sessions on test\. Ctrl-C ends this\.\u001b\[K\n\u001b\[J$/,
  )
})
