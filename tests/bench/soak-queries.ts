// Ten new connections a second with one query each through gateway and access server to a real PostgreSQL, for half an hour, and as
// many straight to it in between, by the same client. Run by hand: `node tests/bench/soak-queries.ts [--minutes 30] [--rate 10]
// [--json]`. Exits 1 if a query failed or something leaked; the times are for comparing with direct in the same run. Linux only.
import { setTimeout as delay } from 'node:timers/promises'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import pg from 'pg'
import { connectToCore } from '../../client/connect.ts'
import { startCluster } from '../support/cluster.ts'
import { percentile } from '../support/interface-probe.ts'
import { PROBE_OPTIONS, ProcessProbe, type Sample } from '../support/process-probe.ts'
import { atSteadyRate } from '../support/steady-rate.ts'

const SQL = 'select count(*)::int as orders from orders where total > 10'
const ROWS = 94
const QUERY_DEADLINE_MS = 20_000
const SAMPLE_EVERY_MS = 15_000
/** Before the first look that counts: caches fill, the compiler settles. In ms. */
const WARM_UP_MS = 10_000
/** What may have grown between two moments without connections, or with those that are on their way just then. */
const SLACK = { files: 40, handles: 60, heapMiB: 20, heapShare: 0.1 }

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    rate: { type: 'string', default: '10' },
    json: { type: 'boolean', default: false },
  },
})
const rate = Number(values.rate)
const say = (text: string): void => {
  if (!values.json) console.log(`${new Date().toISOString().slice(11, 19)} ${text}`)
}

type Moment = { what: string; atS: number; server: Sample; core: Sample }
const moments: Moment[] = []
const failures: Record<string, number> = {}
const fail = (why: string): void => void (failures[why] = (failures[why] ?? 0) + 1)

await using stack = new AsyncDisposableStack()
process.env['NODE_OPTIONS'] = PROBE_OPTIONS
const cluster = await startCluster()
stack.defer(() => cluster.close())
const home = await cluster.newHome()
await cluster.login(home)
const core = await connectToCore({ home, kind: 'terminal', canAsk: false, appVersion: 'soak' })
stack.defer(() => core.close())
delete process.env['NODE_OPTIONS']
const { gateway } = await core.call('gateway.open', { resource: 'orders', keep: 'attached' })
const server = await ProcessProbe.attach(cluster.server().child.pid ?? 0, () => cluster.server().stderr)
stack.defer(() => server.close())
const coreProbe = await ProcessProbe.attach(core.core.pid, () => readFile(join(home, 'core.log'), 'utf8'))
stack.defer(() => coreProbe.close())

const TARGETS = {
  postern: { port: gateway.port, user: 'reader' },
  direct: { port: cluster.postgres.port, user: 'reader', password: 'target-reader-secret' },
} as const
type Way = keyof typeof TARGETS

const startedAt = performance.now()
async function look(what: string, isCollected: boolean): Promise<Moment> {
  const [ofServer, ofCore] = await Promise.all([server.sample(isCollected), coreProbe.sample(isCollected)])
  const moment = { what, atS: Math.round((performance.now() - startedAt) / 1000), server: ofServer, core: ofCore }
  moments.push(moment)
  return moment
}

/** Connects, asks once, takes leave; the time up to the row, in ms. */
async function query(way: Way): Promise<number | undefined> {
  const from = performance.now()
  const client = new pg.Client({
    host: '127.0.0.1',
    database: 'postgres',
    ...TARGETS[way],
    connectionTimeoutMillis: QUERY_DEADLINE_MS,
    query_timeout: QUERY_DEADLINE_MS,
  })
  client.on('error', () => undefined)
  try {
    await client.connect()
    const { rows } = await client.query<{ orders: number }>(SQL)
    const ms = performance.now() - from
    if (rows[0]?.orders !== ROWS) fail(`${way}: wrong rows`)
    return ms
  } catch (error) {
    fail(`${way}: ${error instanceof Error ? error.message : String(error)}`)
    return undefined
  } finally {
    await client.end().catch(() => undefined)
  }
}

async function load(durationMs: number): Promise<Record<Way, number[]>> {
  const took: Record<Way, number[]> = { postern: [], direct: [] }
  // Both ways take turns, so that both have the same noise.
  await atSteadyRate(2 * rate, durationMs, async (at) => {
    const way = at % 2 === 0 ? 'postern' : 'direct'
    const ms = await query(way)
    if (ms !== undefined) took[way].push(ms)
  })
  return took
}

say(`${rate} connections a second, with a query each, for ${values.minutes} min; as many direct`)
await load(WARM_UP_MS)
const first = await look('warm', true)
const isOver = new AbortController()
const watching = (async () => {
  for (;;) {
    await delay(SAMPLE_EVERY_MS, undefined, { signal: isOver.signal })
    const moment = await look('under load', false)
    say(`server ${moment.server.rssMiB} MiB, ${moment.server.files} files; core ${moment.core.rssMiB} MiB`)
  }
})().catch((error: unknown) => {
  if (!isOver.signal.aborted) throw error
})
const took = await load(Number(values.minutes) * 60_000)
isOver.abort()
await watching
const last = await look('after', true)

for (const name of ['server', 'core'] as const) {
  if (last[name].files > first[name].files + SLACK.files) fail(`${name}: files grew`)
  if (last[name].handles > first[name].handles + SLACK.handles) fail(`${name}: handles grew`)
  if (last[name].heapMiB > first[name].heapMiB * (1 + SLACK.heapShare) + SLACK.heapMiB) fail(`${name}: the heap grew`)
}
const spread = (times: readonly number[]) => ({
  n: times.length,
  p50: Math.round(percentile(times, 0.5) * 10) / 10,
  p99: Math.round(percentile(times, 0.99) * 10) / 10,
  max: Math.round(percentile(times, 1) * 10) / 10,
})
const queryMs = { postern: spread(took.postern), direct: spread(took.direct) }
const ratio = (name: 'p50' | 'p99'): number => Math.round((queryMs.postern[name] / queryMs.direct[name]) * 100) / 100
const result = {
  minutes: Number(values.minutes),
  perSecond: rate,
  queryMs,
  ratioToDirect: { p50: ratio('p50'), p99: ratio('p99') },
  failures,
}
if (values.json) console.log(JSON.stringify({ ...result, moments }, null, 2))
else {
  console.table(queryMs)
  console.table({ 'Postern to direct': result.ratioToDirect })
  const flat = ({ what, atS, server: ofServer, core: ofCore }: Moment) => ({
    ...{
      what,
      s: atS,
      'server RSS': ofServer.rssMiB,
      heap: ofServer.heapMiB,
      handles: ofServer.handles,
      files: ofServer.files,
    },
    ...{
      'core RSS': ofCore.rssMiB,
      'core heap': ofCore.heapMiB,
      'core handles': ofCore.handles,
      'core files': ofCore.files,
    },
  })
  const every = Math.max(1, Math.ceil(moments.length / 12))
  console.table(moments.filter(({ what }, at) => what !== 'under load' || at % every === 0).map(flat))
  console.table(failures)
}
process.exitCode = Object.keys(failures).length > 0 ? 1 : 0
