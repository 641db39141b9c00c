// One byte there and back, alone and beside a bulk connection in each direction: p50 and p99 of each way, and the p99's ratio to that
// of the same way alone in the same round. The target (issue 5): under 3. The same pings through nothing at all and through a pair of
// haproxies show what this machine's own scheduler adds. The COPY of PostgreSQL is in pings-beside-heavy-neighbours.ts. Prints a
// table; judges nothing. Not part of `npm test`:
//
//   node_modules/.bin/node tests/bench/pings-beside-bulk.ts [--rounds 3] [--ms 1500] [--ways 'direct;own;…'] [--loads alone,down]
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { load } from './data-plane/native-programs.ts'
import { startHaproxyPair } from './data-plane/peers.ts'
import { Ground } from './data-plane/postern-side.ts'
import { spreadOf } from './data-plane/statistics.ts'
import type { RunningWay } from './data-plane/way.ts'
import { LINK_WAYS, startLinkWay } from './link-ways.ts'

const LOADS = { alone: ['beside-down', 0], down: ['beside-down', 1], up: ['beside-up', 1] } as const
type LoadName = keyof typeof LOADS
type Figures = { p50: number; p99: number; ratio: number; bulk: number }

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    ms: { type: 'string', default: '1500' },
    ways: { type: 'string' },
    loads: { type: 'string', default: Object.keys(LOADS).join(',') },
  },
})

const directory = await mkdtemp(join(tmpdir(), 'postern-pings-'))
const ground = await Ground.start(directory)
const running = new Map<string, RunningWay>()
try {
  const target = ground.upstream.ports.plain
  const starters: Record<string, () => Promise<RunningWay>> = {
    direct: () => Promise.resolve({ port: target, pids: [], stop: () => Promise.resolve() }),
    'haproxy pair': () => startHaproxyPair(directory, target),
    // As Postern is: everything of one end waits for the same processor.
    'haproxy pair of 1 thread': () => startHaproxyPair(directory, target, 1),
    ...Object.fromEntries(LINK_WAYS.map((way) => [way, () => startLinkWay(way, target)])),
    product: () => ground.startWholeWay('service'),
  }
  const wanted = values.ways?.split(';') ?? [
    'direct',
    'haproxy pair',
    'haproxy pair of 1 thread',
    'own',
    'one tunnel',
    'tunnels',
    'product',
  ]
  for (const name of wanted) {
    const start = starters[name]
    if (!start) throw new Error(`no way is called ${name}; there are ${Object.keys(starters).join(', ')}`)
    running.set(name, await start())
  }
  const loads = (Object.keys(LOADS) as LoadName[]).filter((name) => values.loads.split(',').includes(name))
  const seen = new Map<string, Figures[]>()
  for (let round = 0; round < Number(values.rounds); round++)
    for (const [name, way] of round % 2 === 0 ? running : [...running].toReversed()) {
      let alone = NaN
      for (const kind of loads) {
        const [mode, count] = LOADS[kind]
        const { p50, p99, bytes, seconds } = await load(directory, way, [mode, count, Number(values.ms)])
        if (kind === 'alone') alone = p99
        const key = `${name.padEnd(16)} ${kind.padEnd(6)}`
        seen.set(key, [...(seen.get(key) ?? []), { p50, p99, ratio: p99 / alone, bulk: bytes / 1e6 / seconds }])
      }
    }
  for (const [key, list] of [...seen].sort(
    ([a], [b]) => wanted.indexOf(a.slice(0, 16).trim()) - wanted.indexOf(b.slice(0, 16).trim()),
  )) {
    const [p50, p99, ratio, bulk] = (['p50', 'p99', 'ratio', 'bulk'] as const).map((what) =>
      spreadOf(list.map((one) => one[what])),
    ) as [Spread, Spread, Spread, Spread]
    const range = `[${ratio.min.toFixed(1)} … ${ratio.max.toFixed(1)}]`
    console.log(
      `${key} p50 ${us(p50)}  p99 ${us(p99)}  p99/alone ${ratio.median.toFixed(1).padStart(5)} ${range.padEnd(14)} ${bulk.median > 0 ? `${bulk.median.toFixed(0)} MB/s beside` : ''}`,
    )
  }
} finally {
  for (const way of running.values()) await way.stop()
  await ground.stop()
  await rm(directory, { recursive: true, force: true })
}

type Spread = ReturnType<typeof spreadOf>
function us({ median }: Spread): string {
  return `${median.toFixed(0).padStart(6)} µs`
}
