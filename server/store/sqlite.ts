// SQLite as a dialect of the store, over Node's own node:sqlite. Called by store.ts only. Promises WAL, enforced foreign
// keys, and that a migration is applied whole or not at all.
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { SqliteAdapter, SqliteDialect, type DialectAdapter, type SqliteDatabase, type SqliteStatement } from 'kysely'

/** How long a statement waits for another process (a backup, `sqlite3`) that holds the file, in ms. */
const BUSY_TIMEOUT_MS = 5000

/** A Kysely dialect on the SQLite database in `file`; Kysely's `destroy()` closes it. */
export class NodeSqliteDialect extends SqliteDialect {
  constructor(file: string) {
    super({ database: () => Promise.resolve(openDatabase(file)) })
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
  const database = new DatabaseSync(file, { enableForeignKeyConstraints: true, timeout: BUSY_TIMEOUT_MS })
  // NORMAL under WAL: a crash of the process loses nothing, a power cut may lose the last commits but never corrupts.
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL')
  return { close: () => database.close(), prepare: (sql) => statementOf(database.prepare(sql)) }
}

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
