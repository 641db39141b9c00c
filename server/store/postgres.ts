// PostgreSQL as a dialect of the store, over `pg`. Called by store.ts only. Promises that both dialects hand out the same
// JavaScript values, and that connecting and running a statement have deadlines.
import pg from 'pg'
import { PostgresDialect } from 'kysely'

const CONNECT_TIMEOUT_MS = 10_000
const STATEMENT_TIMEOUT_MS = 30_000
const INT8_OID = 20

/**
 * A Kysely dialect on the database behind a `postgresql://` URL; Kysely's `destroy()` ends the pool.
 * @param onIdleError called when an idle connection breaks; the pool replaces it by itself
 */
export function postgresDialect(url: string, onIdleError: (error: Error) => void): PostgresDialect {
  // bigint (audit.seq, count) arrives as text, because it may not fit a number; ours do, for longer than we live.
  const types = new pg.TypeOverrides()
  types.setTypeParser(INT8_OID, Number)
  const pool = new pg.Pool({
    connectionString: url,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    types,
  })
  pool.on('error', onIdleError)
  return new PostgresDialect({ pool })
}
