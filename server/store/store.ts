// The door of the store: opens SQLite or PostgreSQL, brings its tables up to date, hands out Kysely on them. Called by
// init, start and tests; whoever opens it closes it.
import { Kysely } from 'kysely'
import { Migrator } from 'kysely/migration'
import { PosternError } from '../../shared/errors.ts'
import { migrationsFor } from './migrations/index.ts'
import { postgresDialect } from './postgres.ts'
import type { StoreDialect, Tables } from './schema.ts'
import { NodeSqliteDialect } from './sqlite.ts'

export type StoreLocation = { kind: 'sqlite'; file: string } | { kind: 'postgres'; url: string }

/** Kysely on the store, or on a transaction of it. */
export type Db = Kysely<Tables>

export interface Store {
  readonly db: Db
  readonly dialect: StoreDialect
  /** Waits for running statements, then closes. Idempotent. */
  close(): Promise<void>
}

/**
 * Opens the store and runs the migrations that it has not seen yet.
 * @param onIdleError told of PostgreSQL connections that break while nobody uses them
 * @throws PosternError `misconfigured` if it cannot be opened or migrated, or a newer version has migrated it; the text names the
 * store, not its password
 */
export async function openStore(
  location: StoreLocation,
  onIdleError: (error: Error) => void = () => undefined,
): Promise<Store> {
  let db: Kysely<Tables> | undefined
  try {
    db = new Kysely<Tables>({
      dialect:
        location.kind === 'sqlite' ? new NodeSqliteDialect(location.file) : postgresDialect(location.url, onIdleError),
    })
    const migrations = migrationsFor(location.kind)
    const migrator = new Migrator({ db, provider: { getMigrations: () => Promise.resolve(migrations) } })
    const { error } = await migrator.migrateToLatest()
    if (error !== undefined) {
      const unknown = await newestUnknown(db, migrations)
      if (unknown !== undefined) throw fromTheFuture(location, unknown)
      throw new Error('a migration failed', { cause: error })
    }
  } catch (cause) {
    await db?.destroy().catch(() => undefined)
    if (cause instanceof PosternError) throw cause
    throw cannotOpen(location, cause)
  }
  const opened = db
  let closing: Promise<void> | undefined
  return { db: opened, dialect: location.kind, close: () => (closing ??= opened.destroy()) }
}

/** The latest migration in this store that this version does not have. */
async function newestUnknown(db: Kysely<Tables>, migrations: object): Promise<string | undefined> {
  const done = db.$extendTables<{ kysely_migration: { name: string } }>().selectFrom('kysely_migration').select('name')
  const rows = await done.orderBy('name', 'desc').execute()
  return rows.find(({ name }) => !(name in migrations))?.name
}

const fromTheFuture = (location: StoreLocation, migration: string): PosternError =>
  new PosternError(
    'misconfigured',
    `the store (${describeStore(location)}) was migrated by a newer version of Postern (${migration}): start that version, or put back the backup from before it`,
  )

export const cannotOpen = (location: StoreLocation, cause: unknown): PosternError =>
  new PosternError('misconfigured', `the store (${describeStore(location)}) cannot be opened; see the log`, { cause })

/** For people: never with its password. */
export function describeStore(location: StoreLocation): string {
  if (location.kind === 'sqlite') return location.file
  const url = URL.parse(location.url)
  return url === null ? 'PostgreSQL, whose URL cannot be read' : `PostgreSQL at ${url.host}${url.pathname}`
}
