// The migrations run on both dialects, and both take and give back the same rows and refuse the same ones.
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { MasterKey } from '../../server/secrets/master-key.ts'
import { addSsoRequest, takeSsoRequest } from '../../server/sso/sso-requests.ts'
import { storeTroubleOf } from '../../server/store/store-trouble.ts'
import { openStore, type Store } from '../../server/store/store.ts'
import { startPostgresStore, type PostgresStore } from './support/postgres-store.ts'

let directory: string
let postgres: PostgresStore
let locations: { sqlite: { kind: 'sqlite'; file: string }; postgres: { kind: 'postgres'; url: string } }
beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'postern-store-'))
  postgres = await startPostgresStore()
  locations = {
    sqlite: { kind: 'sqlite', file: path.join(directory, 'store.sqlite') },
    postgres: { kind: 'postgres', url: await postgres.newDatabase('postern') },
  }
})
afterAll(async () => {
  await postgres.stop()
  await rm(directory, { recursive: true, force: true })
})

const time = '2026-11-22T10:00:00.000Z'
const session = (id: string, state: 'starting' | 'active' | 'ended') => ({
  id,
  route_id: 'route-1',
  login_id: 'login-1',
  user_name: 'alice',
  resource: 'orders',
  protocol: 'postgres',
  account: 'reader',
  address: '127.0.0.1:1',
  state,
  started_at: time,
  active_at: null,
  ended_at: null,
  end_reason: null,
})
const route = {
  id: 'route-1',
  login_id: 'login-1',
  resource: 'orders',
  protocol: 'postgres',
  account: 'reäder ☂',
  created_at: time,
}
const audit = {
  time,
  event: 'login.succeeded',
  user_name: 'alice',
  login_id: null,
  session_id: null,
  connection_id: null,
  resource: null,
  account: null,
  address: null,
  detail: '{"a":1}',
}

/** The same rows, written and read back; everything that came out. */
async function roundTrip({ db }: Store): Promise<unknown> {
  await db
    .insertInto('users')
    .values({
      name: 'alice',
      email: null,
      level: 'viewer',
      disabled: 0,
      password_hash: null,
      totp_sealed: null,
      totp_pending_sealed: null,
      totp_last_step: 59_000_000,
      created_at: time,
    })
    .execute()
  await db.insertInto('roles').values({ name: 'dev', spec: '{}' }).execute()
  await db.insertInto('grants').values({ user_name: 'alice', role: 'dev', until: null, created_at: time }).execute()
  await db.insertInto('resources').values({ name: 'orders', protocol: 'postgres', spec: '{"ü":"☂"}' }).execute()
  await db
    .insertInto('resource_accounts')
    .values({ resource: 'orders', position: 0, name: 'reader', password_sealed: null })
    .execute()
  await db
    .insertInto('logins')
    .values({
      id: 'login-1',
      user_name: 'alice',
      address: '::1',
      created_at: time,
      expires_at: time,
      ended_at: null,
      ended_reason: null,
    })
    .execute()
  await db.insertInto('routes').values(route).execute()
  await db.insertInto('sessions').values(session('session-1', 'active')).execute()
  const first = await db.insertInto('audit').values(audit).returning('seq').executeTakeFirstOrThrow()
  const second = await db.insertInto('audit').values(audit).returning('seq').executeTakeFirstOrThrow()
  await db
    .insertInto('settings')
    .values({ key: 'cluster', value: 'one' })
    .onConflict((conflict) => conflict.column('key').doUpdateSet({ value: 'two' }))
    .execute()
  await db
    .insertInto('ca_keys')
    .values({ id: 'a', kind: 'user', certificate_pem: 'pem', key_sealed: 'v1:', created_at: time, state: 'active' })
    .execute()
  const { numDeletedRows } = await db.deleteFrom('settings').where('key', '=', 'nothing').executeTakeFirst()
  const counted = await db
    .selectFrom('audit')
    .select((select) => select.fn.countAll().as('count'))
    .executeTakeFirstOrThrow()
  return {
    seqs: [first.seq, second.seq, typeof first.seq],
    counted,
    numDeletedRows,
    tables: await Promise.all(
      (
        [
          'users',
          'roles',
          'grants',
          'resources',
          'resource_accounts',
          'logins',
          'routes',
          'sessions',
          'audit',
          'settings',
          'ca_keys',
        ] as const
      ).map((table) => db.selectFrom(table).selectAll().execute()),
    ),
  }
}

/** Each of these must be refused by the store itself, whatever the code above it does. */
const refusals = ({ db }: Store): Record<string, () => Promise<unknown>> => ({
  'a second running session of a route': () =>
    db.insertInto('sessions').values(session('session-2', 'starting')).execute(),
  'a second route of the same four': () =>
    db
      .insertInto('routes')
      .values({ ...route, id: 'route-2' })
      .execute(),
  'a grant of nobody': () =>
    db.insertInto('grants').values({ user_name: 'nobody', role: 'dev', until: null, created_at: time }).execute(),
  'a grant of no role': () =>
    db.insertInto('grants').values({ user_name: 'alice', role: 'none', until: null, created_at: time }).execute(),
  'a second active CA of a kind': () =>
    db
      .insertInto('ca_keys')
      .values({ id: 'b', kind: 'user', certificate_pem: 'pem', key_sealed: 'v1:', created_at: time, state: 'active' })
      .execute(),
  'a user twice': () =>
    db
      .insertInto('users')
      .values({
        name: 'alice',
        email: null,
        level: 'none',
        disabled: 0,
        password_hash: null,
        totp_sealed: null,
        totp_pending_sealed: null,
        totp_last_step: 0,
        created_at: time,
      })
      .execute(),
})

describe.each(['sqlite', 'postgres'] as const)('the store on %s', (kind) => {
  it('takes and gives back the same rows, keeps its rules, and opens again with all of it', async () => {
    const store = await openStore(locations[kind])
    expect(await roundTrip(store)).toMatchObject({ seqs: [1, 2, 'number'], counted: { count: 2 }, numDeletedRows: 0n })
    for (const [what, attempt] of Object.entries(refusals(store))) await expect(attempt(), what).rejects.toThrow()
    await store.db.insertInto('sessions').values(session('session-0', 'ended')).execute()
    await store.db.updateTable('sessions').set({ state: 'ended' }).where('id', '=', 'session-1').execute()
    await store.db.insertInto('sessions').values(session('session-2', 'starting')).execute()
    await store.close()
    await store.close()

    const again = await openStore(locations[kind])
    await again.db.deleteFrom('users').where('name', '=', 'alice').execute()
    for (const table of ['grants', 'logins', 'routes'] as const)
      expect(await again.db.selectFrom(table).selectAll().execute(), table).toEqual([])
    expect(await again.db.selectFrom('sessions').selectAll().execute()).toHaveLength(3)
    await again.close()
  })

  it('undoes a transaction that fails, and runs others meanwhile', async () => {
    const store = await openStore(locations[kind])
    const failing = store.db.transaction().execute(async (trx) => {
      await trx.insertInto('roles').values({ name: 'half', spec: '{}' }).execute()
      throw new Error('no')
    })
    const other = store.db.insertInto('roles').values({ name: `whole`, spec: '{}' }).execute()
    await expect(failing).rejects.toThrow('no')
    await other
    const names = (await store.db.selectFrom('roles').select('name').orderBy('name').execute()).map(({ name }) => name)
    expect(names).toEqual(['dev', 'whole'])
    await store.close()
  })
})

it('both dialects gave back exactly the same rows', async () => {
  const results = []
  for (const location of [
    { kind: 'sqlite' as const, file: path.join(directory, 'fresh.sqlite') },
    { kind: 'postgres' as const, url: await postgres.newDatabase('fresh') },
  ]) {
    const store = await openStore(location)
    results.push(await roundTrip(store))
    await store.close()
  }
  expect(results[0]).toEqual(results[1])
})

it('SQLite runs in WAL', () => {
  const raw = new DatabaseSync(locations.sqlite.file)
  expect(raw.prepare('PRAGMA journal_mode').get()).toEqual({ journal_mode: 'wal' })
  raw.close()
})

it('E3: a store that cannot be opened is named, without its password', async () => {
  const refused = openStore({ kind: 'postgres', url: 'postgresql://postgres:hunter2@127.0.0.1:1/postern' })
  await expect(refused).rejects.toMatchObject({ code: 'misconfigured' })
  const text = await refused.catch((error: unknown) => String(error))
  expect(text).toContain('127.0.0.1:1/postern')
  expect(text).not.toContain('hunter2')
  await expect(openStore({ kind: 'sqlite', file: path.join(directory, 'no', 'such', 'folder') })).rejects.toMatchObject(
    { code: 'misconfigured' },
  )
})

it('W2: a store that went away is told apart from a wrong statement', async () => {
  for (const kind of ['sqlite', 'postgres'] as const) {
    const store = await openStore(locations[kind])
    const wrong = await store.db
      .selectFrom('users')
      .select('nothing' as 'name')
      .execute()
      .catch((error: unknown) => error)
    await store.close()
    const gone = await store.db
      .selectFrom('users')
      .selectAll()
      .execute()
      .catch((error: unknown) => error)
    expect([storeTroubleOf(wrong), storeTroubleOf(gone)], kind).toEqual([undefined, 'unreachable'])
  }
})

it('W2: a SQLite store that is full, or held by another process, is told apart, too; one that is free in time is waited for', async () => {
  const { file } = locations.sqlite
  const store = await openStore(locations.sqlite)
  const write = (key: string, value = 'x') => store.db.insertInto('settings').values({ key, value }).execute()
  const { rows } = await sql<{ page_count: number }>`pragma page_count`.execute(store.db)
  await sql`pragma max_page_count = ${sql.lit(rows[0]?.page_count ?? 0)}`.execute(store.db)
  const full = await write('much', 'x'.repeat(1_000_000)).catch((error: unknown) => error)
  expect([storeTroubleOf(full), String(full)]).toEqual(['full', expect.stringContaining('full')])
  expect(storeTroubleOf(new Error(String(full)))).toBe('full')

  const holder = new DatabaseSync(file)
  holder.exec('begin immediate')
  const [waits, waitsToo] = [
    write('waits'),
    store.db.transaction().execute((db) => db.selectFrom('users').selectAll().execute()),
  ]
  // Nobody else has to wait for that, in this process.
  await new Promise((resolve) => setTimeout(resolve, 60))
  holder.exec('rollback')
  await Promise.all([waits, waitsToo])
  holder.exec('begin immediate')
  expect(storeTroubleOf(await write('never').catch((error: unknown) => error))).toBe('busy')
  holder.exec('rollback')
  holder.close()
  await store.close()
})

it('W7: a login at the identity provider that is under way is taken once, on both', async () => {
  const masterKey = new MasterKey(randomBytes(32), 'test')
  const journey = { state: 'state-1', nonce: 'nonce-1', codeVerifier: 'verifier-1' }
  const now = new Date(time)
  for (const location of [
    { kind: 'sqlite', file: path.join(directory, 'sso.sqlite') } as const,
    { kind: 'postgres', url: await postgres.newDatabase('sso') } as const,
  ]) {
    const store = await openStore(location)
    const { db } = store
    const request = { redirectUri: 'http://127.0.0.1:1/callback', challenge: 'c', journey, address: '127.0.0.1:1' }
    const { id, expiresAt } = await addSsoRequest(db, masterKey, request, now)
    expect(expiresAt).toEqual(new Date('2026-11-22T10:10:00.000Z'))
    await addSsoRequest(db, masterKey, request, now)
    const both = await Promise.all([takeSsoRequest(db, masterKey, id, now), takeSsoRequest(db, masterKey, id, now)])
    expect(both.filter(Boolean)).toEqual([
      { redirectUri: request.redirectUri, challenge: 'c', journey, isExpired: false },
    ])
    // The one that has run out goes with the next one that begins.
    await addSsoRequest(db, masterKey, request, new Date(now.getTime() + 11 * 60_000))
    expect(await db.selectFrom('sso_requests').select('id').execute()).toHaveLength(1)
    await store.close()
  }
})
