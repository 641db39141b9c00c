// What one connection costs the access server by itself: its processor time for a new one that carries a byte and ends, and the
// memory it keeps for an idle one; as streams of tunnels and as TLS connections of their own, one at a time and many at once. The
// clients are this process, with the product's own client code. Run by hand: `node tests/bench/cost-at-the-server.ts [--connections
// 2000] [--idle 1000] [--only own|tunnel]`; prints one JSON object. Judges nothing. Linux only.
import { readFile } from 'node:fs/promises'
import type { Duplex } from 'node:stream'
import { parseArgs } from 'node:util'
import { pino } from 'pino'
import { RouteTunnels, unknownTunnelSupport } from '../../client/cluster/route-tunnels.ts'
import { ALICE, startCluster } from '../support/cluster.ts'
import { DirectPerson, trustOf } from '../support/direct-person.ts'
import { Connection, type Way } from '../support/many-sessions.ts'
import { PROBE_OPTIONS, ProcessProbe } from '../support/process-probe.ts'
import { until } from '../support/run.ts'
import { manyAtOnce } from '../support/steady-rate.ts'
import { tcpResource } from '../support/tcp-resource.ts'
import { tcpServiceProcess } from '../support/tcp-process.ts'

const DEADLINE_MS = 60_000
const AT_ONCE = 32
/** Before anything is measured, so that the server's code is compiled. */
const WARM_UP = 500

const { values } = parseArgs({
  options: {
    connections: { type: 'string', default: '2000' },
    idle: { type: 'string', default: '1000' },
    only: { type: 'string' },
  },
})
const connections = Number(values.connections)
const idle = Number(values.idle)
const kinds = (['tunnel', 'own'] as const).filter((kind) => values.only === undefined || values.only === kind)
const tidy = (value: number): number => Number(value.toPrecision(3))

const service = await tcpServiceProcess('echo')
process.env['NODE_OPTIONS'] = PROBE_OPTIONS
const cluster = await startCluster({ routeTtl: '7h' })
delete process.env['NODE_OPTIONS']
try {
  await cluster.apply(tcpResource('echo', service.port))
  const server = cluster.server()
  const probe = await ProcessProbe.attach(server.child.pid ?? 0, () => server.stderr)
  const person = await DirectPerson.logIn(await trustOf(cluster), ALICE, AbortSignal.timeout(DEADLINE_MS))
  const route = await person.route('echo', 'tcp', 'tcp', AbortSignal.timeout(DEADLINE_MS))
  const log = pino({ level: 'silent' })

  const results: Record<string, unknown> = {}
  for (const kind of kinds) {
    const tunnels =
      kind === 'own' ? undefined : new RouteTunnels({ support: unknownTunnelSupport(), now: Date.now, log })
    const way: Way = {
      kind: 'direct',
      held: [],
      connect: async (signal): Promise<Duplex> => (await person.dial(route, 'tcp', signal, tunnels)).link.stream,
    }
    const lose = (why: string): never => {
      throw new Error(why)
    }
    const comeAndGo = (count: number, atOnce: number): Promise<void> =>
      manyAtOnce(Array.from({ length: count }), atOnce, async () => (await Connection.open(way, lose)).close())
    /** Of one connection: the server's processor time, and how long it takes, in ms. */
    const costOf = async (atOnce: number) => {
      const [from, { cpuMs }] = [performance.now(), await probe.sample()]
      await comeAndGo(connections, atOnce)
      const tookMs = performance.now() - from
      return {
        cpuMs: tidy(((await probe.sample()).cpuMs - cpuMs) / connections),
        perSecond: tidy((connections * 1000) / tookMs),
      }
    }
    await comeAndGo(WARM_UP, AT_ONCE)
    const oneAtATime = await costOf(1)
    const manyTogether = await costOf(AT_ONCE)
    const before = await memory(probe)
    await manyAtOnce(
      Array.from({ length: idle }),
      AT_ONCE,
      async () => void way.held.push(await Connection.open(way, lose)),
    )
    const during = await memory(probe)
    await Promise.all(way.held.map((connection) => connection.close()))
    await until(
      async () => (await probe.sample()).files <= before.files + AT_ONCE,
      'the server lets go of its sockets',
      DEADLINE_MS,
    )
    tunnels?.close()
    const each = (of: 'pssKiB' | 'heapKiB'): number => tidy((during[of] - before[of]) / idle)
    results[kind] = { oneAtATime, manyTogether, idle: { pssKiB: each('pssKiB'), heapKiB: each('heapKiB') } }
  }
  process.stdout.write(`${JSON.stringify({ connections, idle, atOnce: AT_ONCE, ...results }, null, 1)}\n`)
  probe.close()
} finally {
  await cluster.close()
  await service.process.stop('SIGKILL')
}

/** What the process has for itself, its garbage collected. */
async function memory(probe: ProcessProbe): Promise<{ pssKiB: number; heapKiB: number; files: number }> {
  const { heapMiB, files } = await probe.sample(true)
  const rollup = await readFile(`/proc/${probe.pid}/smaps_rollup`, 'utf8')
  return { pssKiB: Number(/^Pss:\s+(\d+)/m.exec(rollup)?.[1]), heapKiB: heapMiB * 1024, files }
}
