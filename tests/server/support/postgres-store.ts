// A real PostgreSQL for tests of the store: fresh databases on a free loopback port, everything removed after.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import pg from 'pg'
import pino from 'pino'
import { startPostgres } from '../../../demo/postgres/start-postgres.ts'
import { freePort } from '../../support/free-port.ts'

export type PostgresStore = {
  /** Makes an empty database; its URL. */
  newDatabase: (name: string) => Promise<string>
  stop: () => Promise<void>
}

export async function startPostgresStore(): Promise<PostgresStore> {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'postern-store-pg-'))
  const postgres = await startPostgres({
    dataDir,
    port: await freePort(),
    durable: false,
    signal: AbortSignal.timeout(120_000),
    log: pino({ level: 'silent' }),
  })
  const urlOf = (database: string) =>
    `postgresql://postgres:${encodeURIComponent(postgres.superuserPassword)}@127.0.0.1:${postgres.port}/${database}`
  return {
    newDatabase: async (name) => {
      const client = new pg.Client({ connectionString: urlOf('postgres') })
      await client.connect()
      await client.query(`create database ${client.escapeIdentifier(name)}`)
      await client.end()
      return urlOf(name)
    },
    stop: async () => {
      await postgres.stop()
      await rm(dataDir, { recursive: true, force: true, maxRetries: 10 })
    },
  }
}
