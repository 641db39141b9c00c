// The third table: what everything between pgbench and one real PostgreSQL costs, for short statements.
import { chown, copyFile, readdir, readFile, rm } from 'node:fs/promises'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { run } from '../../support/run.ts'
import { startHaproxyPair, startPgbouncer, startSshForward, type PeerName } from './peers.ts'
import { PGBENCH, type Ground } from './postern-side.ts'
import { cpuSecondsOf } from './processes.ts'
import { measureRounds, startWays, stopWays, type Log, type Measure, type Starters } from './rounds.ts'
import { percentileOf } from './statistics.ts'
import type { RunningWay } from './way.ts'

export type TaxSizes = { rounds: number; seconds: number; scale: number; cells: readonly string[] }

/** All of them; a quick run takes some. */
export const CELLS = [
  ...['simple', 'prepared'].flatMap((mode) => [1, 8, 64].map((clients) => `${mode}-${clients}`)),
  'reconnect-1',
  'reconnect-8',
]
const SETUP_TIMEOUT_MS = 120_000
/** Above what was asked for; 64 clients log in first. */
const RUN_SLACK_MS = 30_000

/** The ways that pgbench speaks TLS on itself. */
const isTls = ({ tlsDirectory }: RunningWay): boolean => tlsDirectory !== undefined

const environmentFor = (isSecure: boolean): Record<string, string> => ({
  PGPASSWORD: PGBENCH.password,
  PGSSLMODE: isSecure ? 'require' : 'disable',
  PGGSSENCMODE: 'disable',
})

/** Makes the tables of pgbench and lets PostgreSQL speak TLS, for the way that leads straight to it. */
export async function prepareDatabase({ cluster, directory }: Ground, scale: number): Promise<void> {
  const { postgres } = cluster
  const { uid, gid } = await stat(postgres.clusterDir)
  const pem = join(postgres.clusterDir, 'bench.pem')
  await copyFile(join(directory, 'server.pem'), pem)
  await chown(pem, uid, gid)
  const client = new pg.Client({
    ...{ host: postgres.host, port: postgres.port, user: postgres.superuser, password: postgres.superuserPassword },
    database: 'postgres',
  })
  await client.connect()
  try {
    for (const sql of [
      `alter system set ssl_cert_file = '${pem}'`,
      `alter system set ssl_key_file = '${pem}'`,
      'alter system set ssl = on',
      'select pg_reload_conf()',
      `create role ${PGBENCH.user} login password '${PGBENCH.password}'`,
      `create database ${PGBENCH.database} owner ${PGBENCH.user}`,
    ])
      await client.query(sql)
  } finally {
    await client.end()
  }
  const args = [...connectionArgs(postgres.port), '-i', '-q', '-s', String(scale), PGBENCH.database]
  const made = await run('pgbench', args, { env: environmentFor(false), timeoutMs: SETUP_TIMEOUT_MS })
  if (made.code !== 0) throw new Error(`pgbench -i failed: ${made.stderr}`)
}

const connectionArgs = (port: number): string[] => ['-h', '127.0.0.1', '-p', String(port), '-U', PGBENCH.user]

export function taxWays(ground: Ground, peers: ReadonlySet<PeerName>): Starters {
  const { directory, cluster } = ground
  const { port } = cluster.postgres
  return {
    direct: () => Promise.resolve({ port, tlsDirectory: directory, pids: [], stop: () => Promise.resolve() }),
    postern: () => ground.startWholeWay('pgbench'),
    'postern-no-audit': () => ground.startWithoutAudit(),
    ...(peers.has('haproxy') && { haproxy: () => startHaproxyPair(directory, port) }),
    ...(peers.has('pgbouncer') && {
      pgbouncer: async () => ({ ...(await startPgbouncer(directory, { port, ...PGBENCH })), tlsDirectory: directory }),
    }),
    ...(peers.has('ssh') && {
      ssh: async () => {
        const { port: forwarded, clientPid, serverPid, stop } = await startSshForward(directory, port)
        return { port: forwarded, pids: [clientPid, serverPid], stop }
      },
    }),
  }
}

/** @param cell MODE-CLIENTS */
function measureCell(cell: string, seconds: number, directory: string): Measure {
  const [mode = '', clients = ''] = cell.split('-')
  const how = mode === 'reconnect' ? ['-C', '-M', 'simple'] : ['-M', mode]
  return {
    id: cell,
    run: async (way) => {
      const prefix = join(directory, 'transactions')
      const args = [
        ...connectionArgs(way.port),
        ...['-n', '-S', '-T', String(seconds), '-c', clients, '-j', clients === '1' ? '1' : '2', ...how],
        ...['-l', `--log-prefix=${prefix}`, PGBENCH.database],
      ]
      const before = await cpuSecondsOf(way.pids)
      const done = await run('pgbench', args, {
        env: environmentFor(isTls(way)),
        timeoutMs: seconds * 1000 + RUN_SLACK_MS,
      })
      const cpu = (await cpuSecondsOf(way.pids)) - before
      const latencies = await takeTransactionLog(directory)
      const tps = Number(/^tps = ([\d.]+)/m.exec(done.stdout)?.[1])
      if (done.code !== 0) throw new Error(`pgbench failed: ${done.stderr.slice(-500)}`)
      if (!(tps > 0) || latencies.length === 0)
        throw new Error(`no transaction within ${seconds} s: its clients were still connecting`)
      return {
        [cell]: tps,
        [`${cell}-p50`]: percentileOf(latencies, 0.5),
        [`${cell}-p99`]: percentileOf(latencies, 0.99),
        ...(way.pids.length > 0 ? { [`${cell}-cpu`]: (cpu * 1e6) / latencies.length } : {}),
      }
    },
  }
}

/** Latencies of the run that just ended, in µs (pgbench's per-transaction log: the third field); the log is removed. */
async function takeTransactionLog(directory: string): Promise<Float64Array> {
  const files = (await readdir(directory)).filter((name) => name.startsWith('transactions.'))
  const latencies: number[] = []
  for (const name of files) {
    const file = join(directory, name)
    for (const line of (await readFile(file, 'utf8')).split('\n'))
      if (line !== '') latencies.push(Number(line.split(' ')[2]))
    await rm(file)
  }
  return Float64Array.from(latencies)
}

/** Measures the table. */
export async function measureProxyTax(
  ground: Ground,
  starters: Starters,
  { rounds, seconds, scale, cells }: TaxSizes,
  log: Log,
): Promise<void> {
  log.progress('proxy-tax: the tables of pgbench')
  await prepareDatabase(ground, scale)
  const ways = await startWays('proxy-tax', starters, log)
  try {
    const warmUp = measureCell('simple-8', 1, ground.directory)
    for (const [id, way] of ways)
      await warmUp.run(way, undefined).catch((error: unknown) => {
        log.failures.push(
          `proxy-tax: ${id} carries no query: ${error instanceof Error ? error.message : String(error)}`,
        )
      })
    const measures = cells.map((cell) => measureCell(cell, seconds, ground.directory))
    await measureRounds({ table: 'proxy-tax', ways, measures, rounds, alsoOnOneCore: [], log })
  } finally {
    await stopWays(ways)
  }
}
