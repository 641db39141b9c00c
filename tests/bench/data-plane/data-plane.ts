// The first two tables: bytes, latency, new connections and memory, of the gateway alone and of the whole way. What is measured is
// the same in both; only what stands between load and service differs.
import { setTimeout as delay } from 'node:timers/promises'
import { load, withIdleConnections } from './native-programs.ts'
import { startHaproxyGateway, startHaproxyPair, startSshForward, startStunnel, type PeerName } from './peers.ts'
import type { Ground } from './postern-side.ts'
import { cpuSecondsOf, memoryMiBOf } from './processes.ts'
import {
  measureOnce,
  measureRounds,
  startAgain,
  startWays,
  stopWays,
  type Log,
  type Measure,
  type Starters,
} from './rounds.ts'
import type { WayId } from './rows.ts'
import type { RunningWay } from './way.ts'

export type Sizes = {
  rounds: number
  /** Of one upload or download, all its connections together. */
  bulkBytes: number
  pings: number
  /** How long new connections are made, in ms. */
  connectMs: number
  /** How long idle connections are left alone before the memory is read, in ms. */
  idleMs: number
}

const IDLE_CONNECTIONS = 1000
/** Between two new connections whose first byte is timed, in µs: nothing of the one before is left to do. */
const PACE_US = 15_000
const HAPROXY_LARGE_BUFFER = 131_072
const GB = 1e9

function measuresFor({ directory }: Ground, sizes: Sizes): Measure[] {
  const bulk = (direction: 'up' | 'down', connections: number): Measure => ({
    id: `${direction}-${connections}`,
    run: async (way) => {
      const before = await cpuSecondsOf(way.pids)
      const { bytes, seconds } = await load(directory, way, [
        direction,
        connections,
        Math.round(sizes.bulkBytes / connections),
      ])
      const cpu = (await cpuSecondsOf(way.pids)) - before
      const row = `${direction}-${connections}`
      return { [row]: bytes / 1e6 / seconds, ...(way.pids.length > 0 ? { [`${row}-cpu`]: cpu / (bytes / GB) } : {}) }
    },
  })
  const connect = (atOnce: number): Measure => ({
    id: `connect-${atOnce}`,
    run: async (way) => {
      const before = await cpuSecondsOf(way.pids)
      const { count, seconds } = await load(directory, way, ['connect', atOnce, sizes.connectMs, 0])
      const cpuMs = ((await cpuSecondsOf(way.pids)) - before) * 1000
      const row = `connect-${atOnce}`
      return { [row]: count / seconds, ...(way.pids.length > 0 ? { [`${row}-cpu`]: cpuMs / count } : {}) }
    },
  })
  return [
    ...[1, 8].flatMap((connections) => [bulk('up', connections), bulk('down', connections)]),
    {
      id: 'ping',
      isOnOneCore: true,
      run: async (way, core) => {
        const { p50, p99 } = await load(directory, way, ['ping', sizes.pings], core)
        return { 'ping-p50': p50, 'ping-p99': p99 }
      },
    },
    connect(1),
    connect(32),
    {
      id: 'first-byte',
      run: async (way) => {
        const { p50, p99 } = await load(directory, way, ['connect', 1, sizes.connectMs, PACE_US])
        return { 'first-byte-p50': p50 / 1000, 'first-byte-p99': p99 / 1000 }
      },
    },
  ]
}

/** A way without anything in between. */
export const nothing = (port: number, tlsDirectory?: string): RunningWay => ({
  port,
  ...(tlsDirectory === undefined ? {} : { tlsDirectory }),
  pids: [],
  stop: () => Promise.resolve(),
})

export function gatewayWays(ground: Ground, peers: ReadonlySet<PeerName>): Starters {
  const { directory, upstream } = ground
  const { peers: upstreamPort, plain } = upstream.ports
  return {
    direct: () => Promise.resolve(nothing(upstreamPort, directory)),
    postern: () => ground.startGateway(),
    ...(peers.has('haproxy') && {
      haproxy: () => startHaproxyGateway(directory, upstreamPort),
      'haproxy-128k': () => startHaproxyGateway(directory, upstreamPort, HAPROXY_LARGE_BUFFER),
    }),
    ...(peers.has('stunnel') && { stunnel: () => startStunnel(directory, upstreamPort) }),
    ...(peers.has('ssh') && {
      ssh: async () => {
        const { port, clientPid, serverPid, stop } = await startSshForward(directory, plain)
        return { port, pids: [clientPid], alsoRunning: [serverPid], stop }
      },
    }),
  }
}

export function wholeWays(ground: Ground, peers: ReadonlySet<PeerName>): Starters {
  const { directory, upstream } = ground
  const { plain } = upstream.ports
  return {
    direct: () => Promise.resolve(nothing(plain)),
    postern: () => ground.startWholeWay('service'),
    ...(peers.has('haproxy') && { haproxy: () => startHaproxyPair(directory, plain) }),
    ...(peers.has('ssh') && {
      ssh: async () => {
        const { port, clientPid, serverPid, stop } = await startSshForward(directory, plain)
        return { port, pids: [clientPid, serverPid], stop }
      },
    }),
  }
}

/** Measures one of the two tables; `wanted` picks measures by their id, all if it is empty. */
export async function measureDataPlane(
  table: 'gateway' | 'whole-way',
  ground: Ground,
  starters: Starters,
  sizes: Sizes,
  wanted: readonly string[],
  log: Log,
): Promise<void> {
  const isWanted = (id: string): boolean => wanted.length === 0 || wanted.includes(id)
  const measures = measuresFor(ground, sizes).filter(({ id }) => isWanted(id))
  if (measures.length > 0) {
    const ways = await startWays(table, starters, log)
    try {
      for (const [id, way] of ways) await warmUp(ground, way).catch((error: unknown) => giveUp(id, error))
      const { rounds } = sizes
      await measureRounds({ table, ways, measures, rounds, alsoOnOneCore: [ground.upstream.pid], log })
    } finally {
      await stopWays(ways)
    }
  }
  if (isWanted('idle')) {
    // The access server that all of it has gone through has the memory of that, too.
    const fresh = { postern: () => ground.startFreshWholeWay() }
    await measureIdle(table, ground, { ...starters, ...(table === 'whole-way' && fresh) }, sizes, log)
  }

  function giveUp(id: WayId, error: unknown): void {
    log.failures.push(
      `${table}: ${id} does not carry a byte: ${error instanceof Error ? error.message : String(error)}`,
    )
  }
}

/**
 * Compilers of running programs want some work before they are at their best: a new connection costs Node two thirds more in the first
 * thousand than after ten thousand, and programs in C the same.
 */
async function warmUp({ directory }: Ground, way: RunningWay): Promise<void> {
  for (const args of [
    ['up', 1, 50e6],
    ['down', 1, 50e6],
    ['ping', 1000],
    ['connect', 32, 3000, 0],
  ])
    await load(directory, way, args)
}

/** Memory of processes that have done nothing else: each way is started for it, alone. */
async function measureIdle(
  table: 'gateway' | 'whole-way',
  { directory }: Ground,
  starters: Starters,
  { rounds, idleMs }: Sizes,
  log: Log,
): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    for (const [id, start] of Object.entries(starters) as [WayId, () => Promise<RunningWay>][]) {
      if (id === 'direct') continue
      log.progress(`${table}, round ${round + 1} of ${rounds}: idle, ${id}`)
      const measure = async (): Promise<Record<string, number>> => {
        const way = await startAgain(start)
        try {
          return await withIdleConnections(directory, way, IDLE_CONNECTIONS, async () => {
            await delay(idleMs, undefined, { signal: log.signal })
            return { idle: await memoryMiBOf(way.pids) }
          })
        } finally {
          await way.stop()
        }
      }
      await measureOnce(table, id, round, log, measure, 'idle')
    }
    await log.roundIsOver()
  }
}
