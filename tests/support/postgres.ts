// A real PostgreSQL for tests: one cluster per test file, in a fresh directory that its user can enter, on a free port, gone
// afterwards. Not durable: tests do not survive a power cut either.
import { mkdtemp, chmod, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { pino } from 'pino'
import { afterAll, beforeAll } from 'vitest'
import { findPostgresBinaries } from '../../demo/postgres/binaries.ts'
import { startPostgres, type PostgresOptions, type RunningPostgres } from '../../demo/postgres/start-postgres.ts'
import { freePort } from './free-port.ts'
import { until } from './run.ts'

export type TestPostgres = RunningPostgres & {
  /** Runs one simple query as superuser. */
  sql: (text: string, database?: string) => Promise<pg.QueryResult>
  /** Stops it and removes its directory. */
  close: () => Promise<void>
}

/** Starts a cluster of its own; the caller closes it. */
export async function startTestPostgres(options: Partial<PostgresOptions> = {}): Promise<TestPostgres> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-pg-'))
  await chmod(folder, 0o755)
  const server = await startPostgres({
    dataDir: join(folder, 'data'),
    port: await freePort(),
    durable: false,
    maxConnections: 100,
    binaries: await findPostgresBinaries({ searchPath: process.env['PATH'] }),
    signal: AbortSignal.timeout(90_000),
    log: pino({ level: 'silent' }),
    ...options,
  })
  return {
    ...server,
    sql: (text, database = 'postgres') => runAsSuperuser(server, text, database),
    close: async () => {
      await server.stop()
      await rm(folder, { recursive: true, force: true, maxRetries: 10 })
    },
  }
}

/** Waits until so many other backends are as a condition on pg_stat_activity says. The server tells nobody, so it is asked again. */
export const untilBackends = (server: Pick<TestPostgres, 'sql'>, count: number, condition: string): Promise<void> =>
  until(
    async () =>
      (await server.sql(`select from pg_stat_activity where pid <> pg_backend_pid() and ${condition}`)).rowCount ===
      count,
    `there are ${count} backends with ${condition}`,
    30_000,
  )

/**
 * Holds an advisory lock, so that a statement that asks for it goes on for as long as it should.
 * @returns gives it back
 */
export async function holdLock(server: RunningPostgres, lock: number, database: string): Promise<() => Promise<void>> {
  const { host, port, superuser: user, superuserPassword: password } = server
  const client = new pg.Client({ host, port, user, password, database })
  // A test that failed before it gave the lock back stops the server with it.
  client.on('error', () => undefined)
  await client.connect()
  await client.query('select pg_advisory_lock($1)', [lock])
  return () => client.end()
}

async function runAsSuperuser(server: RunningPostgres, text: string, database: string): Promise<pg.QueryResult> {
  const { host, port, superuser: user, superuserPassword: password } = server
  const client = new pg.Client({ host, port, user, password, database })
  await client.connect()
  try {
    return await client.query(text)
  } finally {
    await client.end()
  }
}

/** One cluster for all tests of a file; read `current` inside of tests and hooks. */
export function useTestPostgres(options: Partial<PostgresOptions> = {}): { readonly current: TestPostgres } {
  let cluster: TestPostgres | undefined
  beforeAll(async () => {
    cluster = await startTestPostgres(options)
  })
  afterAll(async () => {
    await cluster?.close()
  })
  return {
    get current() {
      if (cluster === undefined) throw new Error('the test cluster runs inside of tests and hooks only')
      return cluster
    },
  }
}
