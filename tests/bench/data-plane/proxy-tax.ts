// The third table: what everything between pgbench and one real PostgreSQL costs, for short statements.
import { startHaproxyPair, startPgbouncer, startSshForward, type PeerName } from './peers.ts'
import { pgbench, prepareDatabase, type PgbenchMode } from './pgbench.ts'
import { PGBENCH, type Ground } from './postern-side.ts'
import { cpuSecondsOf } from './processes.ts'
import { measureRounds, startWays, stopWays, type Log, type Measure, type Starters } from './rounds.ts'
import { percentileOf } from './statistics.ts'

export type TaxSizes = {
  rounds: number
  seconds: number
  /** Of the cells in which one or 8 clients reconnect: they have a hundredth of the transactions. */
  reconnectSeconds: number
  scale: number
  cells: readonly string[]
}

/** All of them; a quick run takes some. */
export const CELLS = [
  ...['simple', 'prepared'].flatMap((mode) => [1, 8, 64].map((clients) => `${mode}-${clients}`)),
  'reconnect-1',
  'reconnect-8',
  'reconnect-64',
]

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
function measureCell(cell: string, sizes: Pick<TaxSizes, 'seconds' | 'reconnectSeconds'>, directory: string): Measure {
  const [mode, count] = cell.split('-') as [PgbenchMode, string]
  const clients = Number(count)
  const seconds = mode === 'reconnect' && clients <= 8 ? sizes.reconnectSeconds : sizes.seconds
  return {
    id: cell,
    run: async (way) => {
      const before = await cpuSecondsOf(way.pids)
      const { tps, latencies, transactions } = await pgbench(way, directory, {
        mode,
        clients,
        seconds,
      })
      const cpu = (await cpuSecondsOf(way.pids)) - before
      return {
        [cell]: tps,
        [`${cell}-p50`]: percentileOf(latencies, 0.5),
        [`${cell}-p99`]: percentileOf(latencies, 0.99),
        ...(way.pids.length > 0 ? { [`${cell}-cpu`]: (cpu * 1e6) / transactions } : {}),
      }
    },
  }
}

/** Measures the table. */
export async function measureProxyTax(
  ground: Ground,
  starters: Starters,
  { rounds, scale, cells, ...sizes }: TaxSizes,
  log: Log,
): Promise<void> {
  log.progress('proxy-tax: the tables of pgbench')
  await prepareDatabase(ground, scale)
  const ways = await startWays('proxy-tax', starters, log)
  try {
    const warmUp = measureCell('simple-8', { ...sizes, seconds: 1 }, ground.directory)
    for (const [id, way] of ways)
      await warmUp.run(way, undefined).catch((error: unknown) => {
        log.failures.push(
          `proxy-tax: ${id} carries no query: ${error instanceof Error ? error.message : String(error)}`,
        )
      })
    const measures = cells.map((cell) => measureCell(cell, sizes, ground.directory))
    await measureRounds({ table: 'proxy-tax', ways, measures, rounds, alsoOnOneCore: [], log })
  } finally {
    await stopWays(ways)
  }
}
