// What a second process could give at most, before anybody builds one: pings, statements and new connections through access server A
// while the bulk goes through A as well, and while it goes through B, another access server with a process, a store and a port of its
// own; each with one client core for both and with a core each. All on this machine. What one process that hands connections to
// another could win is less than that. "Handshakes" are full ones of a C client straight at A: what its loop does beside copying.
// Prints ratios of one run; judges nothing. Not part of `npm test`:
//
//   node_modules/.bin/node tests/bench/second-process.ts [--part bytes,copy,connect,handshake] [--rounds 3] [--ms 700]
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import pg from 'pg'
import { ALPN } from '../../shared/names.ts'
import { ALICE, startCluster, type TestCluster } from '../support/cluster.ts'
import { DirectPerson, trustOf } from '../support/direct-person.ts'
import { besideBulk, load, type LoadTarget } from './data-plane/native-programs.ts'
import { besideCopy } from './data-plane/neighbours.ts'
import { asSuperuser, prepareDatabase } from './data-plane/pgbench.ts'
import { CoreUnderTest, documents, Ground, PGBENCH } from './data-plane/postern-side.ts'
import { percentileOf, spreadOf } from './data-plane/statistics.ts'
import type { RunningWay } from './data-plane/way.ts'

const PARTS = ['bytes', 'copy', 'connect', 'handshake'] as const
type Part = (typeof PARTS)[number]
/** For bulk to be at its full speed, in ms. */
const UNDER_WAY_MS = 300
/** With a tenth more before them, which nobody counts. */
const PINGS = 4000
const AT_ONCE = 8
const STEP_DEADLINE_MS = 60_000

const { values } = parseArgs({
  options: {
    part: { type: 'string', default: PARTS.join(',') },
    rounds: { type: 'string', default: '3' },
    ms: { type: 'string', default: '700' },
  },
})
const parts = PARTS.filter((part) => values.part.split(',').includes(part))
const ms = Number(values.ms)

/** Where the bulk goes: through which core, and which access server. What is measured always goes through core 1 and server A. */
const ARRANGEMENTS = {
  'core 1, server A': '1A',
  'core 2, server A': '2A',
  'core 1, server B': '1B',
  'core 2, server B': '2B',
}
type Place = '1A' | '2A' | '1B' | '2B'
type Resource = 'service' | 'pgbench'

/** p99 in µs, and how many a second. */
type Figures = { p99: number; perSecond: number }
type Beside = Figures & { bulkMBs: number }

const signal = new AbortController().signal
const directory = await mkdtemp(join(tmpdir(), 'postern-second-'))
const ground = await Ground.start(directory)
const cores: CoreUnderTest[] = []
let second: TestCluster | undefined
try {
  second = await startCluster({ name: 'second', routeTtl: '8h' })
  await second.apply(documents(ground.upstream.ports.plain, ground.cluster.postgres.port))
  if (parts.includes('copy')) await prepareDatabase(ground, 1)
  for (let core = 0; core < 2; core++) {
    cores.push(await CoreUnderTest.start(ground.cluster))
    for (const { address, caFile } of [ground.cluster, second])
      await cores[core]?.login(address, caFile, ALICE.password)
  }
  for (const part of parts) await measurePart(part)
} finally {
  await Promise.all(cores.map((core) => core.stop()))
  await second?.close()
  await ground.stop()
  await rm(directory, { recursive: true, force: true })
}

async function gatewaysTo(resource: Resource): Promise<Record<Place, RunningWay>> {
  const open = async (core: number, profile: string): Promise<RunningWay> => ({
    ...{ port: (await cores[core]?.open(profile, resource)) ?? 0, pids: [], stop: () => Promise.resolve() },
  })
  return {
    ...{ '1A': await open(0, 'cluster'), '2A': await open(1, 'cluster') },
    ...{ '1B': await open(0, 'second'), '2B': await open(1, 'second') },
  }
}

async function measurePart(part: Part): Promise<void> {
  const ways = await gatewaysTo(part === 'copy' ? 'pgbench' : 'service')
  const measured = await measureOf(part, ways['1A'])
  const besides = part === 'copy' ? (['out', 'in'] as const) : (['down', 'up'] as const)
  const timed = async (bytesNow: () => Promise<number>): Promise<Beside> => {
    const [from, before] = [performance.now(), await bytesNow()]
    const figures = await measured.once()
    return { ...figures, bulkMBs: ((await bytesNow()) - before) / 1e3 / (performance.now() - from) }
  }
  const beside = (direction: (typeof besides)[number], way: RunningWay): Promise<Beside> =>
    direction === 'out' || direction === 'in'
      ? besideCopy(ground, way, direction, signal, () => timed(bytesCopied))
      : besideBulk(directory, way, direction, async (pid) => {
          await delay(UNDER_WAY_MS)
          return timed(() => bytesMoved(pid))
        })
  const seen = new Map<string, (Beside & { times: number; share: number })[]>()
  const note = (key: string, figures: Beside, alone: Figures): void => {
    const [times, share] = [figures.p99 / alone.p99, figures.perSecond / alone.perSecond]
    seen.set(key, [...(seen.get(key) ?? []), { ...figures, times, share }])
  }
  await measured.once()
  for (let round = 0; round < Number(values.rounds); round++) {
    const alone = await measured.once()
    note('alone', { ...alone, bulkMBs: 0 }, alone)
    for (const direction of besides) {
      const order = Object.entries(ARRANGEMENTS) as [string, Place][]
      for (const [name, place] of round % 2 === 0 ? order : order.toReversed())
        note(`${direction}: ${name}`, await beside(direction, ways[place]), alone)
    }
  }
  await measured.stop()
  console.log(`${part}: ${measured.what}`)
  for (const [key, list] of [...seen].sort(([a], [b]) => a.localeCompare(b))) {
    const of = (what: 'p99' | 'perSecond' | 'times' | 'share' | 'bulkMBs') => spreadOf(list.map((one) => one[what]))
    const [times, share] = [of('times'), of('share')]
    console.log(
      `  ${key.padEnd(24)} p99 ${of('p99').median.toPrecision(3)} µs  ×${times.median.toFixed(1)} [${times.min.toFixed(1)} … ${times.max.toFixed(1)}]` +
        `  ${of('perSecond').median.toFixed(0)}/s  ×${share.median.toFixed(2)} [${share.min.toFixed(2)} … ${share.max.toFixed(2)}]` +
        `  ${of('bulkMBs').median.toFixed(0)} MB/s beside`,
    )
  }
}

/** What COPY has moved so far: PostgreSQL counts it. */
async function bytesCopied(): Promise<number> {
  const [row] = await asSuperuser(ground, ['select sum(bytes_processed)::float8 bytes from pg_stat_progress_copy'])
  return (row as { bytes: number }).bytes
}

/** What the load generator has read and written so far. Source: proc_pid_io(5). */
async function bytesMoved(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/io`, 'utf8')
  return Number(/^rchar: (\d+)/m.exec(text)?.[1]) + Number(/^wchar: (\d+)/m.exec(text)?.[1])
}

type Measured = { what: string; once: () => Promise<Figures>; stop: () => Promise<void> }

async function measureOf(part: Part, way: RunningWay): Promise<Measured> {
  const stop = (): Promise<void> => Promise.resolve()
  const byLoad = (what: string, target: LoadTarget, args: (string | number)[]): Measured => ({
    what,
    stop,
    once: async () => {
      const { p99, count, seconds } = await load(directory, target, args)
      return { p99, perSecond: count / seconds }
    },
  })
  switch (part) {
    case 'bytes':
      return byLoad('one byte there and back', way, ['ping', PINGS, ms])
    case 'connect':
      return byLoad(`new connections through the gateway, ${AT_ONCE} at once`, way, ['connect', AT_ONCE, ms, 0])
    case 'handshake':
      return byLoad(`full handshakes straight at A, ${AT_ONCE} at once`, await straightAtA(), [
        'connect',
        AT_ONCE,
        ms,
        0,
      ])
    case 'copy':
      return selects(way)
  }
}

/** `select 1` on one connection. */
async function selects({ port }: RunningWay): Promise<Measured> {
  const client = new pg.Client({ host: '127.0.0.1', port, user: PGBENCH.user, database: PGBENCH.database })
  await client.connect()
  return {
    what: 'select 1',
    stop: () => client.end(),
    once: async () => {
      const took: number[] = []
      const begin = performance.now()
      for (let at = begin; at < begin + ms; at = performance.now()) {
        await client.query('select 1')
        took.push((performance.now() - at) * 1000)
      }
      return { p99: percentileOf(Float64Array.from(took), 0.99), perSecond: (took.length * 1000) / ms }
    },
  }
}

/** Server A itself, for a client that speaks TLS with a route certificate of its own; the first byte is the preamble's. */
async function straightAtA(): Promise<LoadTarget> {
  const trust = await trustOf(ground.cluster)
  const person = await DirectPerson.logIn(trust, ALICE, AbortSignal.timeout(STEP_DEADLINE_MS))
  const route = await person.route('service', 'tcp', 'tcp', AbortSignal.timeout(STEP_DEADLINE_MS))
  // Says whether that certificate opens the way at all: a refusal has a first byte, too.
  const { link } = await person.dial(route, 'tcp', AbortSignal.timeout(STEP_DEADLINE_MS))
  link.destroy()
  const tlsDirectory = join(directory, 'straight')
  await mkdir(tlsDirectory)
  await writeFile(join(tlsDirectory, 'client.pem'), route.certificatePem + route.keyPem, { mode: 0o600 })
  await copyFile(ground.cluster.caFile, join(tlsDirectory, 'ca.pem'))
  return { port: ground.cluster.port, tlsDirectory, alpn: ALPN.tcp }
}
