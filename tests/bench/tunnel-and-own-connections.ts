// What a tunnel gives and costs: the same load through a TLS connection for each client connection (with session tickets and without),
// through tunnels (with and without handing bulk the whole connection, in frames of our own and in HTTP/2's), and through a pair of
// haproxies, interleaved. Gateway and server have nothing but what carries bytes (link-ways.ts): the access server's look-ups are the
// same for all, and `npm run bench` has them. Prints medians, in each row the ratio to connections of their own in the same round, and
// how many handshakes the server's end saw. Judges nothing. By hand:
//
//   node_modules/.bin/node tests/bench/tunnel-and-own-connections.ts [--rounds 3] [--ms 1000] [--ways 'own;…'] [--rows connect-1,…]
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { load, withIdleConnections } from './data-plane/native-programs.ts'
import { startHaproxyPair } from './data-plane/peers.ts'
import { Ground } from './data-plane/postern-side.ts'
import { cpuSecondsOf, memoryMiBOf, onOneCore } from './data-plane/processes.ts'
import { spreadOf } from './data-plane/statistics.ts'
import type { RunningWay } from './data-plane/way.ts'
import { LINK_WAYS, startLinkWay, type RunningLinkWay } from './link-ways.ts'

const BULK_BYTES = 400e6
const PINGS = 3000
const IDLE_CONNECTIONS = 1000
const HAPROXY = 'haproxy pair'
/** What the others are compared to. */
const BASE = 'own'
const ALL_ROWS = ['connect-1', 'connect-32', 'ping', 'up-1', 'down-1', 'up-8', 'down-8', 'idle']

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    ms: { type: 'string', default: '1000' },
    ways: { type: 'string', default: [HAPROXY, ...LINK_WAYS.filter((way) => !way.startsWith('one '))].join(';') },
    rows: { type: 'string', default: ALL_ROWS.join(',') },
  },
})
const wanted = values.ways.split(';')
const rows = values.rows.split(',')

type Figures = Record<string, number>

/** What one kind of load shows of one way. CPU is of both ends, and of each where there are two processes. */
async function measure(row: string, way: RunningWay, directory: string): Promise<Figures> {
  const [kind, count = '1'] = row.split('-')
  const before = await Promise.all(way.pids.map((pid) => cpuSecondsOf([pid])))
  const cpu = async (unit: string, per: number): Promise<Figures> => {
    const after = await Promise.all(way.pids.map((pid) => cpuSecondsOf([pid])))
    const [client = NaN, server = NaN] = after.map((seconds, at) => ((seconds - (before[at] ?? 0)) * 1000) / per)
    return {
      [`${row}: CPU of the client's end, ${unit}`]: client,
      [`${row}: CPU of the server's end, ${unit}`]: server,
    }
  }
  if (kind === 'connect') {
    const done = await load(directory, way, ['connect', Number(count), Number(values.ms), 0])
    return { [`${row}: a second`]: done.count / done.seconds, ...(await cpu('ms each', done.count)) }
  }
  if (kind === 'ping') {
    const pids = [...way.pids, ground.upstream.pid]
    const { p50, p99 } = await onOneCore(pids, (core) => load(directory, way, ['ping', PINGS], core))
    return { 'ping: p50, µs': p50, 'ping: p99, µs': p99, ...(await cpu('µs each', (PINGS * 1.1) / 1000)) }
  }
  if (kind === 'idle') {
    const empty = await memoryMiBOf(way.pids)
    const full = await withIdleConnections(directory, way, IDLE_CONNECTIONS, () => memoryMiBOf(way.pids))
    return { 'idle: KiB each, both ends': ((full - empty) * 1024) / IDLE_CONNECTIONS }
  }
  const done = await load(directory, way, [kind ?? '', Number(count), Math.round(BULK_BYTES / Number(count))])
  return { [`${row}: MB/s`]: done.bytes / 1e6 / done.seconds, ...(await cpu('ms/GB', done.bytes / 1e9)) }
}

const directory = await mkdtemp(join(tmpdir(), 'postern-tunnels-'))
const ground = await Ground.start(directory)
const running: (RunningWay | RunningLinkWay)[] = []
try {
  const target = ground.upstream.ports.plain
  for (const name of wanted) {
    const linkWay = LINK_WAYS.find((way) => way === name)
    if (!linkWay && name !== HAPROXY) throw new Error(`no way is called ${name}; ${HAPROXY}, ${LINK_WAYS.join(', ')}`)
    running.push(await (linkWay ? startLinkWay(linkWay, target) : startHaproxyPair(directory, target)))
  }
  const seen = new Map<string, Map<string, number[]>>()
  for (const row of rows)
    for (let round = 0; round < (row === 'idle' ? 1 : Number(values.rounds)); round++) {
      const order = [...wanted.entries()]
      for (const [at, name] of round % 2 === 0 ? order : order.toReversed()) {
        const way = running[at]
        const figures = way ? await measure(row, way, directory) : {}
        for (const [figure, value] of Object.entries(figures)) {
          const ofRow = seen.get(figure) ?? new Map<string, number[]>()
          seen.set(figure, ofRow.set(name, [...(ofRow.get(name) ?? []), value]))
        }
      }
    }
  for (const [figure, ofWays] of seen) {
    const base = ofWays.get(BASE) ?? []
    const cells = [...ofWays].map(([name, list]) => {
      const ratio = list.map((value, round) => value / (base[round] ?? NaN))
      return `${name} ${spreadOf(list).median.toPrecision(3)}${name === BASE ? '' : ` (×${spreadOf(ratio).median.toFixed(2)})`}`
    })
    console.log(`${figure.padEnd(46)} ${cells.join('  ')}`)
  }
  for (const [at, way] of running.entries()) {
    if (!('handshakes' in way)) continue
    const { full, resumed } = await way.handshakes()
    console.log(`${`handshakes: ${wanted[at]}`.padEnd(46)} ${full} full  ${resumed} resumed`)
    if (wanted[at] === 'own, no tickets' && resumed > 0) throw new Error('tickets were taken where none should be')
  }
} finally {
  for (const way of running) await way.stop()
  await ground.stop()
  await rm(directory, { recursive: true, force: true })
}
