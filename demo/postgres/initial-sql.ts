// Runs the statements that fill a fresh cluster, as superuser. Called by startPostgres on the first start only.
import pg from 'pg'

/** One simple query (several statements are one transaction, so CREATE DATABASE stands alone) in one database. */
export type InitialSql = { database: string; sql: string }

const CONNECT_TIMEOUT_MS = 15_000
/** Filling the demo takes a second; a statement that takes minutes is a mistake. */
const STATEMENT_TIMEOUT_MS = 120_000

/** Runs the statements in order. Rejects with the first error, or with the signal's reason between two statements. */
export async function runInitialSql(
  statements: readonly InitialSql[],
  server: { port: number; password: string; signal: AbortSignal },
): Promise<void> {
  for (const { database, sql } of statements) {
    server.signal.throwIfAborted()
    const client = new pg.Client({
      host: '127.0.0.1',
      port: server.port,
      user: 'postgres',
      password: server.password,
      database,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      statement_timeout: STATEMENT_TIMEOUT_MS,
    })
    await client.connect()
    try {
      await client.query(sql)
    } finally {
      await client.end()
    }
  }
}
