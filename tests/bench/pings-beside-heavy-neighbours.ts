// What heavy neighbours do to everybody else's round trips, on the whole way gateway → access server → engine → PostgreSQL:
// p50 and p99 of `select 1` on one connection, alone, beside a COPY in each direction, and beside clients that reconnect all
// the time. The target (issue 5): beside a busy COPY the p99 stays under 3 × that of the connection alone. The same pings straight
// to PostgreSQL beside the same load say what the machine's scheduler alone makes of it. Prints ratios of one run. Not part of
// `npm test`:
//
//   node_modules/.bin/node tests/bench/pings-beside-heavy-neighbours.ts [--rounds 3] [--seconds 5]
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { performance } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import pg from 'pg'
import { startCluster } from '../support/cluster.ts'

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '3' }, seconds: { type: 'string', default: '5' } },
})
const rounds = Number(values.rounds)
const pingMs = Number(values.seconds) * 1000

/** Of the cluster's own PostgreSQL (tests/support/cluster.ts). */
const WRITER_PASSWORD = 'target-writer-secret'
const COPY_OUT = "copy (select repeat('x', 1000) from generate_series(1, 100000000)) to stdout"
/** Each keeps one connection (or always new ones) busy until it is killed. */
const NEIGHBOURS: Record<string, (url: string) => string | undefined> = {
  alone: () => undefined,
  'COPY out': (url) => `psql -X "${url}" -c "${COPY_OUT}" > /dev/null`,
  'COPY in': (url) =>
    `yes "$(head -c 1000 /dev/zero | tr '\\0' x)" | psql -X "${url}" -c "create temp table t (x text)" -c "copy t from stdin"`,
  '8 clients reconnect': (url) => `pgbench -n -C -c 8 -T 600 -f - "${url}" <<< "select 1;"`,
}

async function pings(client: pg.Client): Promise<number[]> {
  const took: number[] = []
  for (const end = performance.now() + pingMs; performance.now() < end;) {
    const start = performance.now()
    await client.query('select 1')
    took.push(performance.now() - start)
  }
  return took.sort((a, b) => a - b)
}

async function stop(child: ChildProcess): Promise<void> {
  const ended = once(child, 'close')
  // Its own process group: the shell and what it started.
  if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
  await ended
}

const at = (sorted: readonly number[], share: number): number => sorted[Math.floor(sorted.length * share)] ?? NaN
const median = (list: readonly number[]): number =>
  at(
    [...list].sort((a, b) => a - b),
    0.5,
  )

const cluster = await startCluster()
try {
  const home = await cluster.newHome()
  await cluster.login(home)
  const { url } = await cluster.open(home, 'orders', ['--account', 'writer'])
  const { host, port } = cluster.postgres
  const ways = {
    Postern: new pg.Client({ connectionString: url }),
    direct: new pg.Client({ host, port, user: 'writer', password: WRITER_PASSWORD, database: 'postgres' }),
  }
  for (const client of Object.values(ways)) {
    await client.connect()
    await pings(client)
  }
  const seen = new Map<string, { p50: number; p99: number; ratio: number }[]>()
  const alone = new Map<string, number>()
  for (let round = 0; round < rounds; round++) {
    for (const [name, commandFor] of Object.entries(NEIGHBOURS)) {
      const command = commandFor(url)
      const child =
        command === undefined ? undefined : spawn('bash', ['-c', command], { detached: true, stdio: 'ignore' })
      await new Promise((resolve) => setTimeout(resolve, 500))
      for (const [way, client] of Object.entries(ways)) {
        const sorted = await pings(client)
        if (child && child.exitCode !== null) throw new Error(`${name}: the neighbour ended by itself`)
        const p99 = at(sorted, 0.99)
        if (command === undefined) alone.set(way, p99)
        const key = `${name}, ${way}`
        const ratio = p99 / (alone.get(way) ?? NaN)
        seen.set(key, [...(seen.get(key) ?? []), { p50: at(sorted, 0.5), p99, ratio }])
      }
      if (child) await stop(child)
    }
  }
  for (const [name, list] of seen) {
    const ratios = list.map(({ ratio }) => ratio)
    const [p50, p99] = [median(list.map((one) => one.p50)), median(list.map((one) => one.p99))]
    console.log(
      `${name.padEnd(28)} p50 ${p50.toFixed(2)} ms  p99 ${p99.toFixed(2)} ms  p99/alone ${median(ratios).toFixed(1)} [${Math.min(...ratios).toFixed(1)}-${Math.max(...ratios).toFixed(1)}]`,
    )
  }
  for (const client of Object.values(ways)) await client.end()
} finally {
  await cluster.close()
}
