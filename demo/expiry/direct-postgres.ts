// The demonstration's own way to PostgreSQL, past all gateways: it says when the running statements may end, and what rows a psql
// has to print. Used by scenario.ts.
import pg from 'pg'
import type { RunningPostgres } from '../postgres/start-postgres.ts'

/** Holds an advisory lock in each database until it is released. */
export async function holdLocks(
  postgres: RunningPostgres,
  lock: number,
  databases: string[],
): Promise<{ release(): Promise<void> }> {
  const holders = databases.map((database) => directly(postgres, database))
  let released: Promise<void> | undefined
  const release = (): Promise<void> =>
    (released ??= Promise.all(holders.map((holder) => holder.end())).then(() => undefined))
  try {
    for (const holder of holders) {
      await holder.connect()
      await holder.query(`select pg_advisory_lock(${lock})`)
    }
  } catch (error) {
    await release().catch(() => undefined)
    throw error
  }
  return { release }
}

/** What PostgreSQL itself answers, past the gateways, written as psql writes it. */
export async function askDirectly(postgres: RunningPostgres, database: string, sql: string): Promise<string[]> {
  const client = directly(postgres, database)
  await client.connect()
  try {
    const { rows } = await client.query<unknown[]>({ text: sql, rowMode: 'array' })
    return rows.map((row) => row.map(String).join('|'))
  } finally {
    await client.end()
  }
}

function directly(postgres: RunningPostgres, database: string): pg.Client {
  const { host, port, superuser: user, superuserPassword: password } = postgres
  const client = new pg.Client({ host, port, user, password, database })
  // Its end is seen by whoever asks it something.
  client.on('error', () => undefined)
  return client
}
