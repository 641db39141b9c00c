// R5: what docs/audit.md says about when each event is written. The real access server on a real store; the store refuses one kind of
// event (a trigger), or everything that the log writes by itself, and it is looked at what has happened then and what has not.
import { once } from 'node:events'
import net from 'node:net'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createAuditLog, type AuditLogOptions } from '../../server/audit/audit-log.ts'
import type { RowWriter } from '../../server/audit/row-writer.ts'
import { prune } from '../../server/audit/retention.ts'
import type { AuditEventName } from '../../shared/audit-api.ts'
import { AUDIT_EVENT_CATALOGUE } from '../../shared/audit-events.ts'
import { ALPN } from '../../shared/names.ts'
import { newKeyAndCsr } from '../server/support/access-server.ts'
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts'
import { run, until } from '../support/run.ts'
import { startRunningServer, type Credentials, type Door, type RunningTestServer } from '../support/running-server.ts'
import { TcpService } from '../support/tcp-service.ts'

const PASSWORD = 'correct horse alice'

/** The log's own writer, which a test makes fail. */
const gate = { isRefusing: false }
let audit: ReturnType<typeof createAuditLog>
function openAudit(options: AuditLogOptions): ReturnType<typeof createAuditLog> {
  const { writer } = options
  if (!writer) throw new Error('this server writes by a thread')
  const refused = () => Promise.reject(new Error('the test refuses it'))
  const gated: RowWriter = {
    write: (rows) => (gate.isRefusing ? refused() : writer.write(rows)),
    sync: () => (gate.isRefusing ? refused() : (writer.sync?.() ?? Promise.resolve())),
    close: () => writer.close(),
  }
  return (audit = createAuditLog({ ...options, writer: gated }))
}

let server: RunningTestServer
let postgres: TestPostgres
const service = new TcpService()
let door: Door
let pgDoor: Door
beforeAll(async () => {
  postgres = await startTestPostgres()
  server = await startRunningServer('', { openAudit })
  await service.start()
  await server.apply(
    { kind: 'resource', name: 'cache', protocol: 'tcp', address: `127.0.0.1:${service.port}` },
    {
      ...{ kind: 'resource', name: 'orders', protocol: 'postgres', address: `127.0.0.1:${postgres.port}` },
      ...{ tls: { mode: 'disable' }, accounts: [{ name: postgres.superuser, password: postgres.superuserPassword }] },
    },
    { kind: 'role', name: 'dev', allow: [{ resources: ['*'], accounts: ['*'] }] },
    { kind: 'user', name: 'alice', password: PASSWORD },
    { kind: 'grant', user: 'alice', role: 'dev' },
  )
  const alice = await server.logIn('alice')
  door = await server.door(await server.routeFor(alice, 'cache', 'tcp', 'tcp'), ALPN.tcp)
  pgDoor = await server.door(await server.routeFor(alice, 'orders', 'postgres', postgres.superuser))
})
afterAll(async () => {
  await server.close()
  await service.stop()
  await postgres.close()
})

const db = () => server.store.db
const inStore = (event: AuditEventName) => db().selectFrom('audit').selectAll().where('event', '=', event).execute()

/** While it works, the store refuses this event, and the batch or transaction that it is in. */
async function refusing<T>(event: AuditEventName, work: () => Promise<T>): Promise<T> {
  const text = `create trigger refused before insert on audit when new.event = '${event}' begin select raise(abort, 'the test refuses it'); end`
  await sql.raw(text).execute(db())
  try {
    return await work()
  } finally {
    await sql.raw('drop trigger refused').execute(db())
  }
}

const failed = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'it was answered',
    (error: unknown) => String(error),
  )

/** A client of the tcp resource whose first line came back. */
async function connected(): Promise<net.Socket> {
  const socket = net.connect(door.port, '127.0.0.1').on('error', () => undefined)
  socket.write('hello\n')
  await once(socket, 'data')
  return socket
}
const over = async (socket: net.Socket): Promise<void> => {
  if (!socket.destroyed) socket.destroy()
  await until(() => service.living === 0, 'the target is left')
}
const psql = () => {
  const user = encodeURIComponent(postgres.superuser)
  const url = `postgresql://${user}@127.0.0.1:${pgDoor.port}/postgres?sslmode=disable`
  return run('psql', ['-X', '-A', '-t', url, '-c', 'select 7'])
}
const endSessions = async (): Promise<void> => {
  const { sessions } = await server.call<{ sessions: { id: string }[] }>(
    'GET',
    '/v1/sessions?scope=all',
    undefined,
    server.root,
  )
  for (const { id } of sessions) await server.call('POST', `/v1/sessions/${id}/end`, {}, server.root)
}

/** Before: `act` fails while the event is refused. Transaction: `isDone` says whether it has happened. */
type Case =
  | { written: 'before'; act: () => Promise<unknown> }
  | { written: 'transaction'; prepare: () => Promise<{ act: () => Promise<unknown>; isDone: () => Promise<boolean> }> }
  | { written: 'batched'; act: () => Promise<unknown> }
  | { written: 'before' | 'after' | 'batched'; shownBy: string }

const CASES: Record<AuditEventName, Case> = {
  'admin.change': {
    written: 'transaction',
    prepare: () =>
      Promise.resolve({
        act: () => server.apply({ kind: 'role', name: `made-${Date.now()}`, description: 'made', allow: [] }),
        isDone: async () => {
          const { rows } = await sql`select name from roles where name like 'made-%'`.execute(db())
          await sql`delete from roles where name like 'made-%'`.execute(db())
          return rows.length === 1
        },
      }),
  },
  'login.ended': {
    written: 'transaction',
    prepare: async () => {
      const login = await server.logIn('alice')
      const newest = () => db().selectFrom('logins').selectAll().orderBy('created_at', 'desc').limit(1)
      const { id } = await newest().executeTakeFirstOrThrow()
      return {
        act: () => server.call('POST', '/v1/logout', {}, login),
        isDone: async () => {
          const row = await db().selectFrom('logins').selectAll().where('id', '=', id).executeTakeFirstOrThrow()
          return row.ended_at !== null
        },
      }
    },
  },
  'account.change': {
    written: 'transaction',
    prepare: async () => {
      const login = await server.logIn('alice')
      const hash = async () => {
        const row = db().selectFrom('users').select('password_hash').where('name', '=', 'alice')
        return (await row.executeTakeFirstOrThrow()).password_hash
      }
      const before = await hash()
      return {
        act: () => server.call('POST', '/v1/account/password', { current: PASSWORD, next: PASSWORD }, login),
        isDone: async () => (await hash()) !== before,
      }
    },
  },
  'login.succeeded': { written: 'before', act: () => server.logIn('alice') },
  'login.renewed': {
    written: 'before',
    act: () => server.call('POST', '/v1/login/certificate', { csr: newKeyAndCsr().csr }, server.root),
  },
  'session.start': {
    written: 'before',
    act: async () => {
      const before = service.connections
      const socket = net.connect(door.port, '127.0.0.1').on('error', () => undefined)
      const back: Buffer[] = []
      socket.on('data', (bytes: Buffer) => back.push(bytes))
      socket.write('hello\n')
      await once(socket, 'close')
      expect(service.connections).toBe(before)
      expect(back).toEqual([])
      throw new Error(`refused: ${door.refusals.at(-1)?.code ?? 'without a word'}`)
    },
  },
  'session.end.asked': { written: 'before', shownBy: 'its place before the end' },
  'session.end': { written: 'after', shownBy: 'its row, which stands first' },
  'server.stop': { written: 'after', shownBy: 'the log of a server that was stopped' },
  'audit.pruned': { written: 'after', shownBy: 'what is gone while it is refused' },
  'login.failed': {
    written: 'batched',
    act: async () => {
      const wrong = { user: 'alice', password: 'wrong horse alice', csr: newKeyAndCsr().csr }
      expect(await failed(server.call('POST', '/v1/login', wrong))).toContain('bad_credentials')
    },
  },
  'access.denied': {
    written: 'batched',
    act: async () => {
      const route = server.call('GET', '/v1/sessions?scope=all', undefined, await aliceLogin())
      expect(await failed(route)).toContain('forbidden')
    },
  },
  'session.active': { written: 'batched', act: async () => over(await connected()) },
  'connection.open': { written: 'batched', act: async () => over(await connected()) },
  'connection.close': { written: 'batched', act: async () => over(await connected()) },
  'statement.query': { written: 'batched', act: async () => expect(await psql()).toMatchObject({ stdout: '7\n' }) },
  'statement.prepare': { written: 'batched', shownBy: 'statement.query' },
  'statement.bind': { written: 'batched', shownBy: 'statement.query' },
  'statement.execute': { written: 'batched', shownBy: 'statement.query' },
  'statement.function': { written: 'batched', shownBy: 'statement.query' },
  'statement.copy': { written: 'batched', shownBy: 'statement.query' },
  'query.cancel': { written: 'batched', shownBy: 'statement.query' },
  'server.start': { written: 'batched', shownBy: 'connection.open' },
  'session.inactive': { written: 'batched', shownBy: 'session.active' },
  'session.resumed': { written: 'batched', shownBy: 'session.active' },
}

let login: Credentials | undefined
const aliceLogin = async (): Promise<Credentials> => (login ??= await server.logIn('alice'))

const isOf =
  <W extends Case['written']>(written: W) =>
  (entry: [string, Case]): entry is [AuditEventName, Extract<Case, { written: W; shownBy?: never }>] =>
    entry[1].written === written && !('shownBy' in entry[1])

it('R5: every event is looked at here as it is documented', () => {
  const documented = Object.entries(AUDIT_EVENT_CATALOGUE).map(([name, { written }]) => [name, written])
  expect(Object.fromEntries(documented)).toEqual(
    Object.fromEntries(Object.entries(CASES).map(([name, { written }]) => [name, written])),
  )
})

describe.each(Object.entries(CASES).filter(isOf('transaction')))('R5: %s stands in the transaction', (event, one) => {
  it('and what it tells of does not happen without it', async () => {
    const { act, isDone } = await one.prepare()
    const before = (await inStore(event)).length
    expect(await refusing(event, () => failed(act()))).toMatch(/500/)
    expect(await isDone()).toBe(false)
    expect(await inStore(event)).toHaveLength(before)
  })

  it('and is there with it, whatever becomes of the log after that', async () => {
    const { act, isDone } = await one.prepare()
    const before = (await inStore(event)).length
    gate.isRefusing = true
    try {
      expect(await failed(act())).toMatch(/500/)
      expect(await isDone()).toBe(true)
      expect((await inStore(event)).length).toBeGreaterThan(before)
    } finally {
      gate.isRefusing = false
    }
    await audit.flush()
  })
})

describe.each(Object.entries(CASES).filter(isOf('before')))(
  'R5: %s comes before what it tells of',
  (event, { act }) => {
    it('which does not happen while it is refused', async () => {
      await endSessions()
      const outcome = await refusing(event, () => failed(act()))
      expect(outcome).toMatch(/500|refused: internal/)
    })
  },
)

describe.each(Object.entries(CASES).filter(isOf('batched')))('R5: %s is written in a batch', (event, { act }) => {
  it('that nobody waits for, and nothing of it is lost', async () => {
    await aliceLogin()
    await endSessions()
    const before = (await inStore(event)).length
    await refusing(event, async () => {
      await act()
      expect(await inStore(event)).toHaveLength(before)
    })
    // What is said at the end of a connection comes with it, a moment after the other side has seen it.
    const isThere = async (): Promise<boolean> => {
      await audit.flush()
      return (await inStore(event)).length > before
    }
    await until(isThere, `${event} is in the store`)
  })
})

it('R5: session.end.asked and session.end: who asked comes first, then the row, then the event', async () => {
  await endSessions()
  const socket = await connected()
  const { sessions } = await server.call<{ sessions: { id: string }[] }>(
    'GET',
    '/v1/sessions?scope=all',
    undefined,
    server.root,
  )
  const id = String(sessions[0]?.id)
  await refusing('session.end', async () => {
    // The answer waits for the event, too, and says that something is wrong.
    expect(await failed(server.call('POST', `/v1/sessions/${id}/end`, {}, server.root))).toMatch(/500/)
    const rows = await db().selectFrom('audit').select('event').where('session_id', '=', id).execute()
    expect(rows.map((row) => row.event)).toContain('session.end.asked')
    expect(rows.map((row) => row.event)).not.toContain('session.end')
    const session = await db().selectFrom('sessions').selectAll().where('id', '=', id).executeTakeFirstOrThrow()
    expect(session).toMatchObject({ state: 'ended', end_reason: 'terminated', ended_by: 'root' })
  })
  await over(socket)
  await audit.flush()
  const told = await db().selectFrom('audit').select('event').where('session_id', '=', id).orderBy('seq').execute()
  const events = told.map((row) => row.event)
  expect(events.filter((event) => event === 'session.end')).toHaveLength(1)
  expect(events.indexOf('session.end.asked')).toBeLessThan(events.indexOf('session.end'))
})

it('R5: audit.pruned tells what is gone already', async () => {
  const log = { info: () => undefined, error: () => undefined }
  const now = () => new Date(Date.now() + 60_000)
  const parts = { db: db(), audit, retentionMs: 1000, now, log: log as never }
  const before = await db().selectFrom('audit').selectAll().execute()
  await refusing('audit.pruned', () => failed(prune(parts, new AbortController().signal)))
  await audit.flush()
  expect(before.length).toBeGreaterThan(10)
  const left = await db().selectFrom('audit').select(['seq', 'event']).execute()
  const gone = new Set(before.map(({ seq }) => seq))
  expect(left.filter(({ seq }) => gone.has(seq))).toEqual([])
  expect(left.map(({ event }) => event)).toContain('audit.pruned')
})

it('R5: server.stop is the last word of a server that was stopped', async () => {
  await server.stop('a test')
  const last = await db().selectFrom('audit').selectAll().orderBy('seq', 'desc').limit(1).executeTakeFirstOrThrow()
  expect(last).toMatchObject({ event: 'server.stop', detail: '{"why":"a test"}' })
})
