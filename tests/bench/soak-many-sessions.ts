// 2,000 sessions with 5,000 connections, held for ten minutes while 50 new connections a second come and as many go: plain TCP through
// the whole way (gateway or client code → server → tcp engine → a process that echoes). Run by hand: `node
// tests/bench/soak-many-sessions.ts [--minutes 10] [--sessions 2000] [--connections 5000] [--rate 50] [--gateways 10] [--json]`. Exits 1 if
// anything failed, the p99 of a new connection is 250 ms or more, or something leaked. Linux only.
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { percentile } from '../support/interface-probe.ts'
import { Connection, ManySessions, type Rows, type Way } from '../support/many-sessions.ts'
import { PROBE_OPTIONS, type Sample } from '../support/process-probe.ts'
import { until } from '../support/run.ts'
import { atSteadyRate, manyAtOnce } from '../support/steady-rate.ts'

const RESOURCES = 50
/** Of the connections at the start, so many are opened at once. */
const RAMP_AT_ONCE = 32
const SAMPLE_EVERY_MS = 15_000
/** Old connections that are asked for a byte, a second. */
const ASKED_PER_SECOND = 20
const P99_LIMIT_MS = 250
/** What may have grown between two moments with the same connections: what is on its way just then. */
const SLACK = { files: 60, handles: 120, heapMiB: 20, heapShare: 0.1 }

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    sessions: { type: 'string', default: '2000' },
    connections: { type: 'string', default: '5000' },
    rate: { type: 'string', default: '50' },
    gateways: { type: 'string', default: '10' },
    json: { type: 'boolean', default: false },
  },
})
const minutes = Number(values.minutes)
const connections = Number(values.connections)
const gateways = Number(values.gateways)
const logins = Math.round((Number(values.sessions) - gateways) / RESOURCES)
const say = (text: string): void => {
  if (!values.json) console.log(`${new Date().toISOString().slice(11, 19)} ${text}`)
}

type Moment = { what: string; atS: number; server: Sample; core: Sample; rows: Rows }
const moments: Moment[] = []
const failures: Record<string, number> = {}
const fail = (why: string): void => void (failures[why] = (failures[why] ?? 0) + 1)
const reasonOf = (error: unknown): string =>
  error instanceof Error ? error.message.replaceAll(/\d{3,}/g, 'N') : String(error)
const took: Record<Way['kind'], number[]> = { direct: [], gateway: [] }

process.env['NODE_OPTIONS'] = PROBE_OPTIONS
const startedAt = performance.now()
const many = await ManySessions.start({ logins, resources: RESOURCES, gateways })
delete process.env['NODE_OPTIONS']

async function look(what: string, isCollected: boolean): Promise<Moment> {
  const [server, core] = await Promise.all([many.server.sample(isCollected), many.coreProbe.sample(isCollected)])
  const moment = { what, atS: Math.round((performance.now() - startedAt) / 1000), server, core, rows: many.rows() }
  moments.push(moment)
  return moment
}

/** A new connection on this way, timed up to its first byte from the target. */
async function open(way: Way, isTimed: boolean): Promise<void> {
  const from = performance.now()
  try {
    const connection = await Connection.open(way, fail)
    if (isTimed) took[way.kind].push(performance.now() - from)
    way.held.push(connection)
  } catch (error) {
    fail(`a new connection: ${reasonOf(error)}`)
  }
}

/** Gateways have as large a share of all connections as they can bear: one route of a core is dialled 16 at once. */
const GATEWAY_SHARE = 0.1
const ofKind = (kind: Way['kind']): Way[] => many.ways.filter((way) => way.kind === kind)
const anyOf = (ways: readonly Way[], at: number): Way | undefined => ways[at % ways.length]

try {
  const [direct, local] = [ofKind('direct'), ofKind('gateway')]
  say(`${direct.length} sessions of ${logins} logins, ${local.length} gateways; opening ${connections} connections`)
  const before = await look('before', true)
  const wayFor = (at: number): Way => {
    const isLocal = local.length > 0 && at % (1 / GATEWAY_SHARE) === 0
    return (isLocal ? anyOf(local, Math.floor(at * GATEWAY_SHARE)) : anyOf(direct, at)) ?? many.ways[0]!
  }
  // Every session first, then more connections on some of them.
  const wanted = [...many.ways, ...Array.from({ length: connections - many.ways.length }, (_, at) => wayFor(at))]
  await manyAtOnce(wanted, RAMP_AT_ONCE, (way) => open(way, false))
  const full = await look('full', true)
  say(`${connections} connections stand; ${values.rate} come and go a second for ${minutes} min`)

  const isOver = new AbortController()
  const watching = (async () => {
    for (;;) {
      await delay(SAMPLE_EVERY_MS, undefined, { signal: isOver.signal })
      const { server, core } = await look('churn', false)
      say(`server ${server.rssMiB} MiB, ${server.files} files; core ${core.rssMiB} MiB; p99 ${p99().toFixed(0)} ms`)
    }
  })().catch((error: unknown) => {
    if (!isOver.signal.aborted) throw error
  })
  const churnMs = minutes * 60_000
  const asking = atSteadyRate(ASKED_PER_SECOND, churnMs, async (at) => {
    const connection = many.ways[(at * 7919) % many.ways.length]?.held[0]
    if (!connection?.isLiving) return
    // One that is closed by us meanwhile was asked too late.
    await connection
      .ask()
      .catch((error: unknown) => connection.isLiving && fail(`an old connection: ${reasonOf(error)}`))
  })
  await atSteadyRate(Number(values.rate), churnMs, async (at) => {
    const way = wayFor(at * 31 + Math.floor(at / many.ways.length))
    await open(way, true)
    // Each session keeps one connection at least; its oldest goes.
    if (way.held.length > 1) await way.held.shift()?.close()
  })
  await asking
  isOver.abort()
  await watching
  const churned = await look('full, after the churn', true)

  say('closing all')
  await manyAtOnce(many.ways, RAMP_AT_ONCE, async ({ held }) => {
    await Promise.all(held.splice(0).map((connection) => connection.close()))
  })
  const isLetGo = async (): Promise<boolean> => (await many.server.sample()).files <= before.server.files + SLACK.files
  await until(isLetGo, 'the server lets go of its sockets', 60_000).catch((error: unknown) => fail(reasonOf(error)))
  const after = await look('after', true)

  const grown = (name: 'server' | 'core', from: Moment, to: Moment, isHeapToo: boolean): void => {
    if (to[name].files > from[name].files + SLACK.files) fail(`${name}: files grew from "${from.what}" to "${to.what}"`)
    if (to[name].handles > from[name].handles + SLACK.handles)
      fail(`${name}: handles grew from "${from.what}" to "${to.what}"`)
    const heapLimit = from[name].heapMiB * (1 + SLACK.heapShare) + SLACK.heapMiB
    if (isHeapToo && to[name].heapMiB > heapLimit) fail(`${name}: the heap grew from "${from.what}" to "${to.what}"`)
  }
  for (const name of ['server', 'core'] as const) {
    grown(name, full, churned, true)
    // The sessions live on without connections, so the heap may be larger than before them.
    grown(name, before, after, false)
  }
  if (churned.rows.sessions !== full.rows.sessions) fail('the churn made sessions')
  if (p99() >= P99_LIMIT_MS) fail(`the p99 of a new connection is not under ${P99_LIMIT_MS} ms`)
} finally {
  await many.close()
}

function p99(): number {
  return percentile([...took.direct, ...took.gateway], 0.99)
}
const spread = (times: readonly number[]) => ({
  n: times.length,
  p50: Math.round(percentile(times, 0.5)),
  p99: Math.round(percentile(times, 0.99)),
  max: Math.round(percentile(times, 1)),
})
const newConnectionMs = {
  direct: spread(took.direct),
  gateway: spread(took.gateway),
  all: spread([...took.direct, ...took.gateway]),
}
/** What a connection that comes and goes costs, whatever else the machine does meanwhile. */
function cpuPerConnection(): Record<string, number> {
  const [from, to] = ['full', 'full, after the churn'].map((what) => moments.find((moment) => moment.what === what))
  const n = took.direct.length + took.gateway.length
  if (!from || !to) return {}
  const perOne = (ms: number, count: number): number => Math.round((ms / count) * 10) / 10
  return {
    'server, each': perOne(to.server.cpuMs - from.server.cpuMs, n),
    'core, each through a gateway': perOne(to.core.cpuMs - from.core.cpuMs, took.gateway.length),
  }
}
const cpuMs = cpuPerConnection()
const scale = { minutes, sessions: many.ways.length, connections, perSecond: Number(values.rate), gateways }
if (values.json) console.log(JSON.stringify({ scale, newConnectionMs, cpuMs, failures, moments }, null, 2))
else {
  console.table([scale])
  console.table(newConnectionMs)
  console.table({ 'CPU ms a connection': cpuMs })
  const flat = ({ what, atS, server, core, rows }: Moment) => ({
    ...{
      what,
      s: atS,
      'server RSS': server.rssMiB,
      heap: server.heapMiB,
      handles: server.handles,
      files: server.files,
    },
    ...{
      'core RSS': core.rssMiB,
      'core heap': core.heapMiB,
      'core files': core.files,
      sessions: rows.running,
      audit: rows.audit,
    },
  })
  console.table(moments.filter(({ what }, at) => what !== 'churn' || at % 4 === 0).map(flat))
  console.table(failures)
}
process.exitCode = Object.keys(failures).length > 0 ? 1 : 0
