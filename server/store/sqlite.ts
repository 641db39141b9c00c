// SQLite as a dialect of the store, over Node's own node:sqlite. Called by store.ts only. Promises WAL, enforced foreign
// keys, and that a migration is applied whole or not at all.
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import {
  SqliteAdapter,
  SqliteDialect,
  type DialectAdapter,
  type Driver,
  type SqliteDatabase,
  type SqliteStatement,
} from 'kysely'
import { retryBusy } from './busy-retry.ts'

/** How long a call waits for who else writes to the file, in ms: the audit log's thread most often. busy-retry.ts waits longer. */
const BUSY_TIMEOUT_MS = 50
/** The same while it is opened, when there is no loop to stop yet. */
const OPEN_TIMEOUT_MS = 5000
/** Pages in the write-ahead log at which a commit of this connection writes them back: four times SQLite's default. */
const CHECKPOINT_PAGES = 4000
/** The program has some dozens of queries; more texts come from lists of different lengths. */
const MAX_PREPARED = 200

/** A Kysely dialect on the SQLite database in `file`; Kysely's `destroy()` closes it. */
export class NodeSqliteDialect extends SqliteDialect {
  constructor(file: string) {
    super({ database: () => Promise.resolve(openDatabase(file)) })
  }

  override createDriver(): Driver {
    return retryBusy(super.createDriver())
  }

  override createAdapter(): DialectAdapter {
    return new TransactionalDdlAdapter()
  }
}

/** SQLite's DDL is transactional; Kysely's own adapter says no, so a broken migration would stay half applied. */
class TransactionalDdlAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true
  }
}

function openDatabase(file: string): SqliteDatabase {
  const database = new DatabaseSync(file, { enableForeignKeyConstraints: true, timeout: OPEN_TIMEOUT_MS })
  // NORMAL under WAL: a crash of the process loses nothing, a power cut may lose the last commits but never corrupts. The audit
  // log's own connection syncs all that came before with each of its batches (server/audit/sqlite-row-writer-thread.ts), and
  // also does the checkpoints, which stop the thread that does them for tens of milliseconds: here only when it does not.
  database.exec(
    `PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}; PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`,
  )
  const prepared = new Map<string, SqliteStatement>()
  return {
    close: () => database.close(),
    prepare: (sql) => {
      const known = prepared.get(sql)
      if (known) return known
      const statement = statementOf(database.prepare(textOf(sql)))
      const [oldest] = prepared.size >= MAX_PREPARED ? prepared.keys() : []
      if (oldest !== undefined) prepared.delete(oldest)
      prepared.set(sql, statement)
      return statement
    },
  }
}

/**
 * A transaction that reads before it writes fails at once where the audit log's connection wrote in between (SQLITE_BUSY_SNAPSHOT:
 * no timeout helps). One that begins as a writer waits for its turn first.
 */
const textOf = (sql: string): string => (sql === 'begin' ? 'begin immediate' : sql)

/** What Kysely expects of a prepared statement: parameters as one array, and whether it returns rows. */
function statementOf(statement: StatementSync): SqliteStatement {
  return {
    reader: statement.columns().length > 0,
    all: (parameters) => statement.all(...parameters.map(bindable)),
    run: (parameters) => statement.run(...parameters.map(bindable)),
    iterate: (parameters) => statement.iterate(...parameters.map(bindable)),
  }
}

function bindable(value: unknown): SQLInputValue {
  if (value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint')
    return value
  throw new TypeError(`the store keeps text, numbers and null, not ${typeof value}`)
}
