// The fourth table: what a heavy neighbour does to the round trips of another connection of the same way, alone and beside it in
// turn, so that a ratio is of one moment. The neighbours are a download and an upload over plain TCP, a COPY out and in at PostgreSQL.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { until } from '../../support/run.ts'
import { nothing } from './data-plane.ts'
import { besideBulk, load } from './native-programs.ts'
import { startHaproxyPair, type PeerName } from './peers.ts'
import { asSuperuser, clientOf, pgbench, prepareDatabase } from './pgbench.ts'
import { PGBENCH, type Ground } from './postern-side.ts'
import { measureRounds, startWays, stopWays, type Log, type Measure, type Starters } from './rounds.ts'
import { percentileOf } from './statistics.ts'
import { taxWays } from './proxy-tax.ts'
import type { RunningWay } from './way.ts'

export type NeighbourSizes = { rounds: number; pings: number; seconds: number; scale: number }

/** For a neighbour to be at its full speed, in ms: buffers grow, and a stream becomes bulk. */
const UNDER_WAY_MS = 300
const COPY_STARTS_WITHIN_MS = 20_000
/** A row of a kilobyte, over and over. Not "from generate_series": that is written to the disk as a whole before its first row. */
const COPY_OUT = "copy (select repeat('x', 1000) from (select generate_series(1, 1000000000)) rows) to stdout"
/** All of it is read and none kept, so that the disk has no part in it. */
const COPY_IN = ['create temp table sink (line text)', 'copy sink from stdin where false']
const ENDLESS_LINES = `yes "$(head -c 1000 /dev/zero | tr '\\0' x)"`

/** Ways of both halves; the second is PostgreSQL's. */
export type NeighbourWays = { bytes: Starters; queries: Starters }

export function neighbourWays(ground: Ground, peers: ReadonlySet<PeerName>): NeighbourWays {
  const { directory, upstream } = ground
  const { direct, postern, haproxy } = taxWays(ground, peers)
  return {
    bytes: {
      direct: () => Promise.resolve(nothing(upstream.ports.plain)),
      postern: () => ground.startWholeWay('service'),
      ...(peers.has('haproxy') && { haproxy: () => startHaproxyPair(directory, upstream.ports.plain) }),
    },
    queries: { ...(direct && { direct }), ...(postern && { postern }), ...(haproxy && { haproxy }) },
  }
}

/** Values of the rows: alone first, then beside each neighbour. */
async function beside(
  id: string,
  measure: () => Promise<number>,
  neighbours: Record<string, (act: () => Promise<number>) => Promise<number>>,
): Promise<Record<string, number>> {
  // The first seconds of a program that was just started are slow: beside those anything looks good.
  await measure()
  const alone = await measure()
  const values: Record<string, number> = { [`${id}-alone`]: alone }
  for (const [name, withNeighbour] of Object.entries(neighbours)) {
    const p99 = await withNeighbour(measure)
    values[`${id}-${name}`] = p99
    values[`${id}-${name}-times`] = p99 / alone
  }
  return values
}

function pingBeside({ directory }: Ground, { pings, seconds }: NeighbourSizes, { signal }: Log): Measure {
  return {
    id: 'ping-beside',
    run: (way) => {
      const bulk = (direction: 'up' | 'down') => (act: () => Promise<number>) =>
        besideBulk(directory, way, direction, async () => {
          await delay(UNDER_WAY_MS, undefined, { signal })
          return act()
        })
      const ping = async (): Promise<number> => (await load(directory, way, ['ping', pings, seconds * 1000])).p99
      return beside('ping', ping, { down: bulk('down'), up: bulk('up') })
    },
  }
}

/** Commands of a shell, in which $PSQL is psql with its arguments. */
const COPIES = {
  out: `exec $PSQL -c "${COPY_OUT}" > /dev/null`,
  in: `${ENDLESS_LINES} | $PSQL ${COPY_IN.map((sql) => `-c '${sql}'`).join(' ')}`,
}

/** Runs `act` while psql copies over this way as fast as it can. @throws Error if it stopped by itself */
export async function besideCopy<T>(
  ground: Ground,
  way: RunningWay,
  direction: keyof typeof COPIES,
  signal: AbortSignal,
  act: () => Promise<T>,
): Promise<T> {
  const { args, env } = clientOf(way)
  const psql = ['psql', '-X', '-q', ...args, '-d', PGBENCH.database].join(' ')
  // A process group of its own: the shell, psql, and what feeds it.
  const copy = spawn('/bin/sh', ['-c', COPIES[direction].replace('$PSQL', psql)], {
    ...{ detached: true, stdio: 'ignore', env: { ...process.env, ...env } },
  })
  const closed = once(copy, 'close')
  const copies = async (): Promise<number> => {
    signal.throwIfAborted()
    return (await asSuperuser(ground, ['select from pg_stat_progress_copy where bytes_processed > 1000000'])).length
  }
  let result: T
  try {
    await until(async () => (await copies()) > 0, 'the COPY is under way', COPY_STARTS_WITHIN_MS)
    await delay(UNDER_WAY_MS, undefined, { signal })
    result = await act()
    if (copy.exitCode !== null) throw new Error(`the COPY beside it ended by itself (${copy.exitCode})`)
  } finally {
    if (copy.pid !== undefined && copy.exitCode === null) process.kill(-copy.pid, 'SIGKILL')
    await closed
  }
  // PostgreSQL notices when it reads or writes next.
  await until(async () => (await copies()) === 0, 'the COPY is over', COPY_STARTS_WITHIN_MS)
  return result
}

function selectBeside(ground: Ground, { seconds }: NeighbourSizes, log: Log): Measure {
  return {
    id: 'select-beside',
    run: (way) => {
      const copy = (direction: 'out' | 'in') => (act: () => Promise<number>) =>
        besideCopy(ground, way, direction, log.signal, act)
      const select = async (): Promise<number> =>
        percentileOf((await pgbench(way, ground.directory, { mode: 'simple', clients: 1, seconds })).latencies, 0.99)
      return beside('select', select, { 'copy-out': copy('out'), 'copy-in': copy('in') })
    },
  }
}

/** Measures the table; `wanted` picks ping-beside or select-beside, both if it is empty. */
export async function measureNeighbours(
  ground: Ground,
  starters: NeighbourWays,
  sizes: NeighbourSizes,
  wanted: readonly string[],
  log: Log,
): Promise<void> {
  await half(starters.bytes, pingBeside(ground, sizes, log))
  await half(starters.queries, selectBeside(ground, sizes, log), () => prepareDatabase(ground, sizes.scale))

  async function half(ofHalf: Starters, measure: Measure, prepare?: () => Promise<void>): Promise<void> {
    if (wanted.length > 0 && !wanted.includes(measure.id)) return
    await prepare?.()
    const ways = await startWays('neighbours', ofHalf, log)
    try {
      const { rounds } = sizes
      await measureRounds({ table: 'neighbours', ways, measures: [measure], rounds, alsoOnOneCore: [], log })
    } finally {
      await stopWays(ways)
    }
  }
}
