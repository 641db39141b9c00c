// pgbench against one way: its tables, one run of it, and what its log of transactions says. Called by proxy-tax.ts and neighbours.ts.
import { chown, copyFile, readdir, readFile, rm } from 'node:fs/promises'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { run } from '../../support/run.ts'
import { PGBENCH, type Ground } from './postern-side.ts'
import type { RunningWay } from './way.ts'

const SETUP_TIMEOUT_MS = 120_000
/** Above what was asked for; 64 clients log in first. */
const RUN_SLACK_MS = 30_000
/** Fields of a line of the log (PostgreSQL's manual, pgbench, "Per-Transaction Logging"). */
const FIELD = { client: 0, latencyUs: 2, epochSeconds: 4, epochUs: 5 } as const

/** The ways that pgbench speaks TLS on itself. */
const isTls = ({ tlsDirectory }: RunningWay): boolean => tlsDirectory !== undefined

const environmentFor = (isSecure: boolean): Record<string, string> => ({
  PGPASSWORD: PGBENCH.password,
  PGSSLMODE: isSecure ? 'require' : 'disable',
  PGGSSENCMODE: 'disable',
})

const connectionArgs = (port: number): string[] => ['-h', '127.0.0.1', '-p', String(port), '-U', PGBENCH.user]

/** How psql and pgbench reach the database over a way: arguments and environment. */
export const clientOf = (way: RunningWay): { args: string[]; env: Record<string, string> } => ({
  args: connectionArgs(way.port),
  env: environmentFor(isTls(way)),
})

/** Runs statements of the superuser, straight at PostgreSQL. @returns the rows of the last */
export async function asSuperuser(
  { cluster: { postgres } }: Ground,
  statements: readonly string[],
): Promise<unknown[]> {
  const client = new pg.Client({
    ...{ host: postgres.host, port: postgres.port, user: postgres.superuser, password: postgres.superuserPassword },
    database: 'postgres',
  })
  await client.connect()
  try {
    let rows: unknown[] = []
    for (const sql of statements) ({ rows } = await client.query(sql))
    return rows
  } finally {
    await client.end()
  }
}

const prepared = new WeakSet<Ground>()

/** Makes the tables of pgbench and lets PostgreSQL speak TLS, for the way that leads straight to it; once for each ground. */
export async function prepareDatabase(ground: Ground, scale: number): Promise<void> {
  if (prepared.has(ground)) return
  const { postgres } = ground.cluster
  const { uid, gid } = await stat(postgres.clusterDir)
  const pem = join(postgres.clusterDir, 'bench.pem')
  await copyFile(join(ground.directory, 'server.pem'), pem)
  await chown(pem, uid, gid)
  await asSuperuser(ground, [
    `alter system set ssl_cert_file = '${pem}'`,
    `alter system set ssl_key_file = '${pem}'`,
    'alter system set ssl = on',
    'select pg_reload_conf()',
    `create role ${PGBENCH.user} login password '${PGBENCH.password}'`,
    `create database ${PGBENCH.database} owner ${PGBENCH.user}`,
  ])
  const args = [...connectionArgs(postgres.port), '-i', '-q', '-s', String(scale), PGBENCH.database]
  const made = await run('pgbench', args, { env: environmentFor(false), timeoutMs: SETUP_TIMEOUT_MS })
  if (made.code !== 0) throw new Error(`pgbench -i failed: ${made.stderr}`)
  prepared.add(ground)
}

export type PgbenchMode = 'simple' | 'prepared' | 'reconnect'

/**
 * Runs pgbench -S once.
 * @returns transactions a second, and how long each took in µs; reconnecting: with connecting, logging in and leaving
 * @throws Error if a client failed, or none had a transaction
 */
export async function pgbench(
  way: RunningWay,
  directory: string,
  { mode, clients, seconds }: { mode: PgbenchMode; clients: number; seconds: number },
): Promise<{ tps: number; latencies: Float64Array; transactions: number }> {
  const how = mode === 'reconnect' ? ['-C', '-M', 'simple'] : ['-M', mode]
  const { args, env } = clientOf(way)
  const done = await run(
    'pgbench',
    [
      ...args,
      ...['-n', '-S', '-T', String(seconds), '-c', String(clients), '-j', clients === 1 ? '1' : '2', ...how],
      ...['-l', `--log-prefix=${join(directory, 'transactions')}`, PGBENCH.database],
    ],
    { env, timeoutMs: seconds * 1000 + RUN_SLACK_MS },
  )
  const lines = await takeTransactionLog(directory)
  if (done.code !== 0) throw new Error(`pgbench failed: ${done.stderr.slice(-500)}`)
  const latencies = mode === 'reconnect' ? timesBetweenEnds(lines) : latenciesOf(lines)
  const tps = Number(/^tps = ([\d.]+)/m.exec(done.stdout)?.[1])
  if (!(tps > 0) || latencies.length === 0)
    throw new Error(`no transaction within ${seconds} s: its clients were still connecting`)
  return { tps, latencies, transactions: lines.length }
}

/** Lines of the run that just ended, as numbers; the log is removed. */
async function takeTransactionLog(directory: string): Promise<number[][]> {
  const names = (await readdir(directory)).filter((name) => name.startsWith('transactions.'))
  const lines: number[][] = []
  for (const name of names) {
    const file = join(directory, name)
    for (const line of (await readFile(file, 'utf8')).split('\n'))
      if (line !== '') lines.push(line.split(' ').map(Number))
    await rm(file)
  }
  return lines
}

/** What the log calls the latency of each transaction: from its first statement on. */
export const latenciesOf = (lines: readonly (readonly number[])[]): Float64Array =>
  Float64Array.from(lines, (line) => line[FIELD.latencyUs] ?? NaN)

/**
 * From the end of a client's transaction to the end of its next one. With -C that is what a transaction costs: its latency in the
 * log begins when the client has connected and logged in, and leaves that out.
 */
export function timesBetweenEnds(lines: readonly (readonly number[])[]): Float64Array {
  const lastEndOf = new Map<number, number>()
  const times: number[] = []
  for (const line of lines) {
    const [client = 0, end] = [
      line[FIELD.client],
      (line[FIELD.epochSeconds] ?? NaN) * 1e6 + (line[FIELD.epochUs] ?? NaN),
    ]
    const last = lastEndOf.get(client)
    if (last !== undefined) times.push(end - last)
    lastEndOf.set(client, end)
  }
  return Float64Array.from(times)
}
