// What heavy neighbours do to everybody else's statements, on the whole way gateway → access server → engine → PostgreSQL: pgbench -S
// with one client, alone, beside a COPY in each direction, and beside clients that reconnect all the time. The target (issue 5): beside
// a busy COPY the p99 stays under 3 × that of the statements alone. The same straight to PostgreSQL over TLS, and through a pair of
// haproxies, says what the machine alone makes of it. As the fourth table of `npm run bench`, with p50 and what the COPY moves as
// well. Prints a table; judges nothing. Not part of `npm test`:
//
//   node_modules/.bin/node tests/bench/pings-beside-heavy-neighbours.ts [--rounds 3] [--seconds 2] [--ways postern,direct,haproxy] [--loads alone,in]
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { besideCopy } from './data-plane/neighbours.ts'
import { asSuperuser, pgbench, prepareDatabase } from './data-plane/pgbench.ts'
import { Ground } from './data-plane/postern-side.ts'
import { taxWays } from './data-plane/proxy-tax.ts'
import { percentileOf, spreadOf } from './data-plane/statistics.ts'
import type { RunningWay } from './data-plane/way.ts'

const LOADS = ['alone', 'out', 'in', 'reconnect'] as const
type Figures = { p50: number; p99: number; ratio: number; copied: number }
const RECONNECTING = 8
/** Of the statements, in s: the neighbour is there before and after. */
const AROUND = 1

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '2' },
    ways: { type: 'string', default: 'postern,direct,haproxy' },
    loads: { type: 'string', default: LOADS.join(',') },
  },
})
const seconds = Number(values.seconds)
const loads = LOADS.filter((load) => values.loads.split(',').includes(load))
const signal = new AbortController().signal
const directory = await mkdtemp(join(tmpdir(), 'postern-neighbours-'))
const ground = await Ground.start(directory)
const running = new Map<string, RunningWay>()
try {
  await prepareDatabase(ground, 5)
  const starters: Record<string, (() => Promise<RunningWay>) | undefined> = taxWays(ground, new Set(['haproxy']))
  for (const name of values.ways.split(',')) {
    const start = starters[name]
    if (!start) throw new Error(`no way is called ${name}; there are ${Object.keys(starters).join(', ')}`)
    const way = await start()
    running.set(name, way)
    // The first seconds of a program that was just started are slow: beside those anything looks good.
    await pgbench(way, directory, { mode: 'simple', clients: 8, seconds: 2 })
  }
  const seen = new Map<string, Figures[]>()
  for (let round = 0; round < Number(values.rounds); round++)
    for (const [name, way] of round % 2 === 0 ? running : [...running].toReversed()) {
      let alone = NaN
      for (const load of loads) {
        const figures = await beside(load, way)
        if (load === 'alone') alone = figures.p99
        const key = `${name.padEnd(8)} ${load.padEnd(9)}`
        seen.set(key, [...(seen.get(key) ?? []), { ...figures, ratio: figures.p99 / alone }])
      }
    }
  for (const [key, list] of [...seen].sort(([a], [b]) => a.localeCompare(b))) {
    const of = (what: keyof Figures) => spreadOf(list.map((one) => one[what]))
    const [ratio, copied] = [of('ratio'), of('copied').median]
    console.log(
      `${key} p50 ${of('p50').median.toFixed(0).padStart(6)} µs  p99 ${of('p99').median.toFixed(0).padStart(6)} µs` +
        `  p99/alone ${ratio.median.toFixed(1).padStart(5)} [${ratio.min.toFixed(1)} … ${ratio.max.toFixed(1)}]` +
        (copied > 0 ? `  ${copied.toFixed(0)} MB/s beside` : ''),
    )
  }
} finally {
  for (const way of running.values()) await way.stop()
  await ground.stop()
  await rm(directory, { recursive: true, force: true })
}

async function beside(load: (typeof LOADS)[number], way: RunningWay): Promise<Omit<Figures, 'ratio'>> {
  const measure = async (): Promise<Omit<Figures, 'ratio'>> => {
    const [before, from] = [await bytesCopied(), performance.now()]
    const { latencies } = await pgbench(way, directory, { mode: 'simple', clients: 1, seconds })
    const copied = ((await bytesCopied()) - before) / 1e3 / (performance.now() - from)
    return { p50: percentileOf(latencies, 0.5), p99: percentileOf(latencies, 0.99), copied }
  }
  if (load === 'alone') return measure()
  if (load !== 'reconnect') return besideCopy(ground, way, load, signal, measure)
  // Its log of transactions is a directory of its own.
  const apart = await mkdtemp(join(directory, 'reconnecting-'))
  const around = { mode: 'reconnect', clients: RECONNECTING, seconds: seconds + 2 * AROUND } as const
  const reconnecting = pgbench(way, apart, around)
  await new Promise((resolve) => setTimeout(resolve, AROUND * 1000))
  const [figures] = await Promise.all([measure(), reconnecting])
  return figures
}

/** What COPY has moved so far: PostgreSQL counts it. */
async function bytesCopied(): Promise<number> {
  const [row] = await asSuperuser(ground, [
    'select coalesce(sum(bytes_processed), 0)::float8 bytes from pg_stat_progress_copy',
  ])
  return (row as { bytes: number }).bytes
}
