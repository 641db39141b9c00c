// S9, E3: a PostgreSQL store is used by one access server at a time. A second one is refused by name, and ends nothing of the first;
// the lock falls with its holder, comes back after a break, and whoever lost it for good is told to stop.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import pg from 'pg'
import pino from 'pino'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { loadConfig } from '../../server/config.ts'
import { initialise } from '../../server/init.ts'
import { startServer } from '../../server/start.ts'
import { takeStore } from '../../server/store/sole-server.ts'
import { openStore } from '../../server/store/store.ts'
import { startPostgresStore, type PostgresStore } from './support/postgres-store.ts'

const log = pino({ level: 'silent' })
const SOON = { timeout: 30_000, interval: 20 }

let postgres: PostgresStore
let directory: string
beforeAll(async () => {
  postgres = await startPostgresStore()
  directory = await mkdtemp(path.join(tmpdir(), 'postern-sole-'))
})
afterAll(async () => {
  await postgres.stop()
  await rm(directory, { recursive: true, force: true })
})

/** Ends the connections that hold a store as a break of the network would; resolves when they are gone. */
async function cutHolders(url: string): Promise<number> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const { rowCount } = await client.query(
    `select pg_terminate_backend(pid, 30000) from pg_locks join pg_stat_activity using (pid)
     where locktype = 'advisory' and granted and datname = current_database()`,
  )
  await client.end()
  return rowCount ?? 0
}

it('S9, E3: a second server is refused with a text that says who has it, and ends no session of the first', async () => {
  const url = await postgres.newDatabase('two')
  const now = () => new Date()
  const config = {
    ...loadConfig(undefined, { dataDir: path.join(directory, 'one'), listen: '127.0.0.1:0' }),
    store: { kind: 'postgres' as const, url },
    log: { level: 'silent' as const },
  }
  await initialise(config, { now })
  const first = await startServer(config, { now, version: '0' })
  const store = await openStore(config.store)
  const common = { route_id: 'r', login_id: 'l', user_name: 'alice', resource: 'orders', protocol: 'postgres' }
  const session = { id: 's', ...common, account: 'reader', address: '127.0.0.1:1', state: 'active' as const }
  await store.db
    .insertInto('sessions')
    .values({ ...session, started_at: now().toISOString() })
    .execute()

  // Another machine: another data directory, with a copy of the master key.
  const elsewhere = { ...config, dataDir: await mkdtemp(path.join(directory, 'other-')) }
  await expect(startServer(elsewhere, { now, version: '0' })).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringMatching(
      /^another access server uses the store \(PostgreSQL at 127\.0\.0\.1:\d+\/two\), connected from 127\.0\.0\.1 since \d{4}-.*: stop that one first/,
    ) as string,
  })
  expect((await store.db.selectFrom('sessions').select('state').execute()).map(({ state }) => state)).toEqual([
    'active',
  ])

  await first.stop('test')
  const second = await startServer(elsewhere, { now, version: '0' })
  expect((await store.db.selectFrom('sessions').select('end_reason').execute())[0]?.end_reason).toBe('restart')
  await second.stop('test')
  await store.close()
})

it('S9: who loses the connection takes the store again; nobody else is let in meanwhile for long', async () => {
  const location = { kind: 'postgres' as const, url: await postgres.newDatabase('cut') }
  const onTakenOver = vi.fn()
  const giveBack = await takeStore(location, { onTakenOver, log })
  expect(await cutHolders(location.url)).toBe(1)
  // Somebody holds it again, and it is not the one that was cut off.
  await vi.waitFor(async () => expect(await holders(location.url)).toBe(1), SOON)
  await expect(takeStore(location, { onTakenOver, log, patienceMs: 50 })).rejects.toMatchObject({ code: 'conflict' })
  expect(onTakenOver).not.toHaveBeenCalled()
  await giveBack()
  const giveBackToo = await takeStore(location, { onTakenOver, log, patienceMs: 50 })
  await giveBackToo()
})

it('S9: who finds another one in its place is told to stop', async () => {
  const location = { kind: 'postgres' as const, url: await postgres.newDatabase('taken') }
  const told = Promise.withResolvers<string>()
  const giveBack = await takeStore(location, { onTakenOver: told.resolve, log, patienceMs: 50 })
  // Waits in the queue for the lock, so that it has it the moment the first one loses it.
  const waiting = takeStore(location, { onTakenOver: () => undefined, log, patienceMs: 30_000 })
  await vi.waitFor(async () => expect(await holders(location.url, false)).toBe(1), SOON)
  expect(await cutHolders(location.url)).toBe(1)
  const giveBackToo = await waiting
  expect(await told.promise).toMatch(/^another access server, connected from 127\.0\.0\.1, has taken the store over$/)
  await giveBack()
  await giveBackToo()
})

it('E3: a store that cannot be reached is named, without its password; a SQLite store is left to its directory', async () => {
  const unreachable = { kind: 'postgres' as const, url: 'postgresql://postgres:hunter2@127.0.0.1:1/postern' }
  const refused = takeStore(unreachable, { onTakenOver: () => undefined, log })
  await expect(refused).rejects.toThrow(
    /^the store \(PostgreSQL at 127\.0\.0\.1:1\/postern\) cannot be opened; see the log$/,
  )
  const giveBack = await takeStore({ kind: 'sqlite', file: '/nowhere' }, { onTakenOver: () => undefined, log })
  await giveBack()
})

/** How many connections hold a store of this database, or wait for it. */
async function holders(url: string, granted = true): Promise<number> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const { rows } = await client.query(
    `select 1 from pg_locks join pg_stat_activity using (pid)
     where locktype = 'advisory' and granted = ${granted} and datname = current_database()`,
  )
  await client.end()
  return rows.length
}
