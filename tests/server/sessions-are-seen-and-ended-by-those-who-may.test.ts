// The endpoints of sessions over real TLS: one's own for everybody, everyone's for viewers, ending others' for administrators;
// who asked is on record before the end; what is over keeps its first reason. Rows are written here, the owner of sessions is a
// recording one: the real one is in tests/sessions and tests/scenario.
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { PERMISSION_LEVELS } from '../../shared/api.ts'
import { EndSessionResponse, SessionAnswer, SessionList, SessionStatements } from '../../shared/session-api.ts'
import { startTestServer, user, type Person, type TestServer } from './support/access-server.ts'

let server: TestServer
const people = new Map<string, Person>()
const as = (name: string): Person => people.get(name)!

beforeAll(async () => {
  server = await startTestServer()
  const root = await server.setUp()
  await server.apply(root, ...PERMISSION_LEVELS.map((level) => user(`p-${level}`, { level })))
  for (const level of PERMISSION_LEVELS)
    people.set(`p-${level}`, await server.logIn(`p-${level}`, `correct horse p-${level}`))
})
afterAll(() => server.close())
beforeEach(async () => {
  await server.store.db.deleteFrom('sessions').execute()
  await server.store.db.deleteFrom('audit').execute()
  server.sessionEnds.length = 0
  server.audit.length = 0
})

type Row = { id?: string; user_name?: string; resource?: string; started_at?: string; ended?: string; reason?: string }

async function addSession({ id = randomUUID(), ended, reason = 'idle', ...part }: Row = {}): Promise<string> {
  await server.store.db
    .insertInto('sessions')
    .values({
      ...{ id, route_id: randomUUID(), login_id: 'l', user_name: 'p-none', resource: 'orders', protocol: 'postgres' },
      ...{ account: 'reader', address: '10.0.0.1:5', started_at: '2026-11-22T08:00:00.000Z' },
      ...part,
      ...(ended === undefined
        ? { state: 'active' }
        : {
            state: 'ended',
            ended_at: ended,
            end_reason: reason,
            ended_by: 'root',
            connections_total: 3,
            statements: 9,
          }),
    })
    .execute()
  return id
}

async function addStatement(session: string, sql: string, event = 'statement.query'): Promise<void> {
  await server.store.db
    .insertInto('audit')
    .values({
      ...{ time: new Date().toISOString(), event, user_name: 'p-none', login_id: 'l', session_id: session },
      ...{ connection_id: 'c', resource: 'orders', account: 'reader', address: null },
      detail: JSON.stringify({ sql, outcomes: [] }),
    })
    .execute()
}

const get = (path: string, name: string) => server.call('GET', path, { credentials: as(name) })
const end = (id: string, name: string) => server.call('POST', `/v1/sessions/${id}/end`, { credentials: as(name) })
const list = async (query: string, name: string): Promise<string[]> => {
  const answer = await get(`/v1/sessions${query}`, name)
  expect(answer.status, JSON.stringify(answer.body)).toBe(200)
  return SessionList.parse(answer.body).sessions.map(({ id }) => id)
}

describe('who sees which sessions', () => {
  it('W1: one’s own for everybody, everyone’s from viewer on', async () => {
    const own = await addSession()
    const other = await addSession({ user_name: 'p-admin', started_at: '2026-11-22T07:00:00.000Z' })
    expect(await list('', 'p-none')).toEqual([own])
    const refused = await get('/v1/sessions?scope=all', 'p-none')
    expect([refused.status, refused.body.error.code]).toEqual([403, 'forbidden'])
    for (const level of ['p-viewer', 'p-editor', 'p-admin']) {
      expect(await list('?scope=all', level)).toEqual([own, other])
      expect(await list('?scope=all&user=p-admin', level)).toEqual([other])
      expect((await get(`/v1/sessions/${own}`, level)).status).toBe(200)
    }
    // Somebody's name does not widen one's own.
    expect(await list('?user=p-admin', 'p-none')).toEqual([])
    for (const id of [other, randomUUID()]) {
      const missing = await get(`/v1/sessions/${id}`, 'p-none')
      expect([missing.status, missing.body.error.code]).toEqual([404, 'not_found'])
      expect((await get(`/v1/sessions/${id}/statements`, 'p-none')).status).toBe(404)
    }
  })

  it('S1: by state, resource, id; in pages that lose none of the same millisecond; ended ones as they ended', async () => {
    const live = await addSession({ id: `aaaa${randomUUID().slice(4)}` })
    const over = await addSession({ id: `aaab${randomUUID().slice(4)}`, ended: '2026-11-22T09:00:00.000Z' })
    const elsewhere = await addSession({ resource: 'billing', id: `bbbb${randomUUID().slice(4)}` })
    expect((await list('?state=live', 'p-none')).sort()).toEqual([live, elsewhere].sort())
    expect(await list('?state=ended', 'p-none')).toEqual([over])
    expect(await list('?resource=billing', 'p-none')).toEqual([elsewhere])
    expect((await list('?id=AAA', 'p-none')).sort()).toEqual([live, over].sort())
    expect((await get('/v1/sessions?id=%25', 'p-none')).status).toBe(400)
    expect(await list('?state=live&endedSince=2026-11-22T08:59:59.000Z', 'p-none')).toHaveLength(3)
    expect(await list('?state=live&endedSince=2026-11-22T09:00:01.000Z', 'p-none')).toHaveLength(2)

    const seen: string[] = []
    for (let query = '?limit=1'; ;) {
      const { sessions } = SessionList.parse((await get(`/v1/sessions${query}`, 'p-none')).body)
      const [last] = sessions
      if (!last) break
      seen.push(last.id)
      query = `?limit=1&before=${last.startedAt}&beforeId=${last.id}`
    }
    expect(seen.sort()).toEqual([live, over, elsewhere].sort())
    const { session } = SessionAnswer.parse((await get(`/v1/sessions/${over}`, 'p-none')).body)
    expect(session).toMatchObject({
      ...{ state: 'ended', endReason: 'idle', endedBy: 'root', connections: 0, connectionsTotal: 3, statements: 9 },
      endsAt: null,
    })
  })

  it('R5: what a session ran, in either order, in pages, searched whatever the case; nothing of another one', async () => {
    const id = await addSession()
    for (const sql of ['select 1', 'SELECT Ärger', 'insert']) await addStatement(id, sql)
    await addStatement(id, 'x', 'connection.open')
    await addStatement(await addSession(), 'select other')
    const ran = async (query: string) => {
      const answer = await get(`/v1/sessions/${id}/statements${query}`, 'p-none')
      return SessionStatements.parse(answer.body)
    }
    const sqlOf = ({ events }: SessionStatements) => events.map(({ detail }) => detail['sql'])
    expect(await ran('').then(sqlOf)).toEqual(['select 1', 'SELECT Ärger', 'insert'])
    const newest = await ran('?order=newest&limit=2')
    expect(sqlOf(newest)).toEqual(['insert', 'SELECT Ärger'])
    const rest = await ran(`?order=newest&limit=2&after=${newest.next ?? 0}`)
    expect([sqlOf(rest), rest.next]).toEqual([['select 1'], null])
    expect(await ran(`?search=${encodeURIComponent('ärger')}`).then(sqlOf)).toEqual(['SELECT Ärger'])
    expect(await ran('?search=100%25')).toMatchObject({ events: [], next: null })
  })
})

describe('who ends which sessions', () => {
  it('S1, R5: one’s own ends as cancelled, and who asked is on record before it happens', async () => {
    const id = await addSession()
    const answer = await end(id, 'p-none')
    expect(EndSessionResponse.parse(answer.body).reason).toBe('cancelled')
    expect(server.sessionEnds).toEqual([`end ${id} cancelled`])
    expect(server.audit).toMatchObject([
      { event: 'session.end.asked', user: 'p-none', session: id, detail: { of: 'p-none', reason: 'cancelled' } },
    ])
  })

  it('W1: others’ are terminated by administrators; viewers and editors are refused, anybody else finds none', async () => {
    const id = await addSession({ user_name: 'root' })
    const outcomes = []
    for (const name of ['p-none', 'p-viewer', 'p-editor']) {
      const answer = await end(id, name)
      outcomes.push([answer.status, answer.body.error.code])
    }
    expect(outcomes).toEqual([
      [404, 'not_found'],
      [403, 'forbidden'],
      [403, 'forbidden'],
    ])
    expect(server.sessionEnds).toEqual([])
    expect((await server.call('POST', `/v1/sessions/${id}/end`)).status).toBe(401)
    expect(EndSessionResponse.parse((await end(id, 'p-admin')).body).reason).toBe('terminated')
    expect(server.sessionEnds).toEqual([`end ${id} terminated`])
    expect(server.audit.filter(({ event }) => event === 'session.end.asked')).toMatchObject([
      { user: 'p-admin', detail: { of: 'root', reason: 'terminated' } },
    ])
  })

  it('S1: what is over already keeps its first reason; an unknown id is not found', async () => {
    const id = await addSession({ ended: '2026-11-22T09:00:00.000Z', reason: 'revoked' })
    expect(EndSessionResponse.parse((await end(id, 'p-none')).body).reason).toBe('revoked')
    expect([server.sessionEnds, server.audit]).toEqual([[], []])
    expect((await end(randomUUID(), 'p-admin')).status).toBe(404)
  })
})
