// Upgrades as docs/operations.md tells them: a store that an older version has filled is migrated by the start of this one, with all
// that is in it; a store of a newer version is refused with what to do. On SQLite and on PostgreSQL.
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Kysely } from 'kysely'
import { Migrator } from 'kysely/migration'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadConfig, type ServerConfig } from '../../server/config.ts'
import { initialise } from '../../server/init.ts'
import { startServer } from '../../server/start.ts'
import { migrationsFor } from '../../server/store/migrations/index.ts'
import { postgresDialect } from '../../server/store/postgres.ts'
import { NodeSqliteDialect } from '../../server/store/sqlite.ts'
import { openStore, type StoreLocation } from '../../server/store/store.ts'
import { startPostgresStore, type PostgresStore } from './support/postgres-store.ts'

const now = () => new Date()
/** What the first version that had a server knew. */
const OLDEST = '0001-first-tables'
const TABLES = ['settings', 'ca_keys'] as const

let postgres: PostgresStore
let directory: string
beforeAll(async () => {
  postgres = await startPostgresStore()
  directory = await mkdtemp(path.join(tmpdir(), 'postern-upgrade-'))
})
afterAll(async () => {
  await postgres.stop()
  await rm(directory, { recursive: true, force: true })
})

const configOf = (name: string): ServerConfig => ({
  ...loadConfig(undefined, { dataDir: path.join(directory, name), listen: '127.0.0.1:0' }),
  log: { level: 'error', file: path.join(directory, `${name}.log`) },
})

/** The tables as that version left them, with a person, a session that ran when it stopped, and what it had logged. */
async function fillOldStore(location: StoreLocation, from: ServerConfig): Promise<void> {
  const dialect =
    location.kind === 'sqlite' ? new NodeSqliteDialect(location.file) : postgresDialect(location.url, () => undefined)
  const old = new Kysely<Record<string, Record<string, unknown>>>({ dialect })
  const { [OLDEST]: oldest } = migrationsFor(location.kind)
  if (!oldest) throw new Error('the first migration is not there any more')
  const migrator = new Migrator({ db: old, provider: { getMigrations: () => Promise.resolve({ [OLDEST]: oldest }) } })
  expect((await migrator.migrateToLatest()).error).toBeUndefined()

  const made = await openStore(from.store)
  for (const table of TABLES)
    for (const row of await made.db.selectFrom(table).selectAll().execute()) {
      const values: Record<string, unknown> = { ...row }
      // Came with a later migration.
      delete values['cross_pem']
      await old.insertInto(table).values(values).execute()
    }
  await made.close()
  const common = { user_name: 'alice', resource: 'orders', account: 'reader', address: '127.0.0.1:1' }
  const time = '2026-01-01T00:00:00.000Z'
  const person = { name: 'alice', email: null, level: 'viewer', disabled: 0, created_at: time }
  const session = { ...common, route_id: 'r', login_id: 'l', protocol: 'postgres', state: 'active', started_at: time }
  const event = { ...common, time, login_id: 'l', session_id: 's-old', connection_id: null, detail: '{}' }
  await old
    .insertInto('users')
    .values({ ...person, totp_last_step: 0 })
    .execute()
  await old
    .insertInto('sessions')
    .values({ ...session, id: 's-old', active_at: time })
    .execute()
  await old
    .insertInto('audit')
    .values({ ...event, event: 'session.start' })
    .execute()
  await old.destroy()
}

describe.each(['sqlite', 'postgres'] as const)('a store on %s', (kind) => {
  it('S9, R5, C1: is migrated at the start with all that is in it; what ran when it stopped is ended as restart', async () => {
    // Keys and settings of a real init, put into the tables of the older version.
    const fresh = configOf(`fresh-${kind}`)
    const { fingerprint } = await initialise(fresh, { now })
    const config = {
      ...configOf(`old-${kind}`),
      masterKeyFile: fresh.masterKeyFile,
      ...(kind === 'postgres'
        ? { store: { kind, url: await postgres.newDatabase('old') } as const, dataDir: fresh.dataDir }
        : { store: { kind, file: path.join(directory, 'old.sqlite') } as const, dataDir: fresh.dataDir }),
    }
    await fillOldStore(config.store, fresh)

    const server = await startServer(config, { now, version: '2' })
    expect(server.fingerprint, 'the same CA').toBe(fingerprint)
    const store = await openStore(config.store)
    const { db } = store
    expect(await db.selectFrom('users').select(['name', 'level']).execute()).toEqual([
      { name: 'alice', level: 'viewer' },
    ])
    expect(await db.selectFrom('sessions').select(['id', 'state', 'end_reason', 'bytes_to_client']).execute()).toEqual([
      { id: 's-old', state: 'ended', end_reason: 'restart', bytes_to_client: null },
    ])
    const events = db.selectFrom('audit').select('event').where('session_id', '=', 's-old').orderBy('seq')
    expect((await events.execute()).map(({ event }) => event)).toEqual(['session.start', 'session.end'])
    await store.close()
    await server.stop('test')
    // A second start finds nothing to do.
    await (await startServer(config, { now, version: '2' })).stop('test')
  })

  it('E3: of a newer version is refused, named with its migration, and left as it is', async () => {
    const config = {
      ...configOf(`newer-${kind}`),
      ...(kind === 'postgres' ? { store: { kind, url: await postgres.newDatabase('newer') } as const } : {}),
    }
    await initialise(config, { now })
    const migrateFurther = async () => {
      const store = await openStore(config.store)
      const known = store.db.$extendTables<{ kysely_migration: { name: string; timestamp: string } }>()
      await known.insertInto('kysely_migration').values({ name: '0999-later', timestamp: '1' }).execute()
      await store.close()
    }
    await migrateFurther()
    await expect(startServer(config, { now, version: '1' })).rejects.toMatchObject({
      code: 'misconfigured',
      message: expect.stringMatching(
        /^the store \(.*\) was migrated by a newer version of Postern \(0999-later\): start that version, or put back the backup from before it$/,
      ) as string,
    })
  })
})

it('E3: why a start failed is in the log, with what lies under it', async () => {
  const config = {
    ...configOf('broken'),
    store: { kind: 'postgres' as const, url: 'postgresql://x:hunter2@127.0.0.1:1/x' },
  }
  const fresh = configOf('for-a-key')
  await initialise(fresh, { now })
  const started = startServer(
    { ...config, masterKeyFile: fresh.masterKeyFile, dataDir: fresh.dataDir },
    { now, version: '1' },
  )
  await expect(started).rejects.toThrow('cannot be opened; see the log')
  const log = await readFile(path.join(directory, 'broken.log'), 'utf8')
  expect(log).toContain('the access server cannot start')
  expect(log).toContain('ECONNREFUSED')
  expect(log).not.toContain('hunter2')
})

it('E3, C1: a lost master key is told from a server that was never made', async () => {
  const config = configOf('keyless')
  await expect(startServer(config, { now, version: '1' })).rejects.toThrow(
    /^there is no server in .* yet: run `postern server init/,
  )
  await initialise(config, { now })
  await rm(config.masterKeyFile)
  await expect(startServer(config, { now, version: '1' })).rejects.toThrow(
    /^the master key file .* is missing, and what is in the store .*postern\.sqlite cannot be read without it: put it back$/,
  )
})
