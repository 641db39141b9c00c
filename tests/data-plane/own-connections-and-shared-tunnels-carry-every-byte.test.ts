// The whole way where a connection does not have a tunnel to itself, as it has by default: a TLS connection of its own, as clients dial
// that know no tunnels, and a stream among others in tunnels that are all taken; and a login in the middle of it. Everything real: client
// code, gateway and core, TLS, access server, engine for tcp, service.
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createConnection, createServer, Socket, type AddressInfo, type Server } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { linkOf } from '../../link/link.ts'
import { ALICE, startCluster, type TestCluster } from '../support/cluster.ts'
import { DirectPerson, trustOf } from '../support/direct-person.ts'
import {
  breaksOffAsAReset,
  carriesBulkBothWays,
  GB,
  goesAtAnyPace,
  halfClosesInAllOrders,
  MB,
} from '../support/path-behaviour.ts'
import { exchange, type Ends, type Path } from '../support/pumped-paths.ts'
import { until } from '../support/run.ts'
import { tcpResource } from '../support/tcp-resource.ts'
import { TcpService } from '../support/tcp-service.ts'

const TIMEOUT_MS = 600_000
/** Two for each tunnel that a gateway has at most, so that none is left for one connection alone. */
const IDLE_CONNECTIONS = 32
/** ESTABLISHED in /proc/net/tcp (Linux, include/net/tcp_states.h). */
const ESTABLISHED = '01'

let cluster: TestCluster
let service: TcpService
let direct: Server
let home: string
let gatewayPort: number
const open: Socket[] = []

beforeAll(async () => {
  service = await new TcpService().start()
  cluster = await startCluster()
  await cluster.apply(tcpResource('bulk', service.port))
  const signal = AbortSignal.timeout(60_000)
  const person = await DirectPerson.logIn(await trustOf(cluster), ALICE, signal)
  const certificate = await person.route('bulk', 'tcp', 'tcp', signal)
  // What a gateway does with a connection once it is let in, without tunnels.
  direct = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    const here = linkOf(socket)
    person.dial(certificate, 'tcp', AbortSignal.timeout(30_000)).then(
      ({ link }) => here.pumpTo(link),
      () => here.reset(),
    )
  })
  direct.listen(0, '127.0.0.1')
  await once(direct, 'listening')
  home = await cluster.newHome()
  await cluster.login(home)
  gatewayPort = (await cluster.open(home, 'bulk')).port
})
afterEach(() => {
  for (const socket of open.splice(0)) socket.destroy()
})
afterAll(async () => {
  direct.close()
  await cluster.close()
  await service.stop()
})

/** Both ends of a new connection through a port. */
async function connect(port: number): Promise<Ends> {
  const arrived = new Promise<Socket>((resolve) => (service.serve = resolve))
  const near = createConnection({ host: '127.0.0.1', port, allowHalfOpen: true, noDelay: true })
  near.on('error', () => undefined)
  const far = await arrived
  far.setNoDelay(true)
  open.push(near, far)
  return { near, far, resetNear: () => void near.resetAndDestroy(), resetFar: () => void far.resetAndDestroy() }
}

/** TLS connections that the access server has now. */
const connectionsOfServer = (): number => {
  const local = `:${cluster.port.toString(16).toUpperCase().padStart(4, '0')}`
  return readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, address, , state]) => address?.endsWith(local) && state === ESTABLISHED).length
}

/** One after the other: the ends of each find each other by that. */
async function connectSeveral(count: number): Promise<Ends[]> {
  const all: Ends[] = []
  for (let at = 0; at < count; at++) all.push(await connect(gatewayPort))
  return all
}

/** Connections that idle in every tunnel of the gateway. */
async function fillTunnels(): Promise<Ends[]> {
  const idle = await connectSeveral(IDLE_CONNECTIONS)
  expect(connectionsOfServer()).toBeLessThan(IDLE_CONNECTIONS)
  return idle
}

/** A byte there, and one back. */
async function expectAnswer({ near, far }: Ends): Promise<void> {
  const asked = once(far, 'data')
  near.write('?')
  expect(String((await asked)[0])).toBe('?')
  const answered = once(near, 'data')
  far.write('!')
  expect(String((await answered)[0])).toBe('!')
}

type Way = { path: Path; prepare?: () => Promise<unknown>; seed: number }
const ways: [string, Way][] = [
  ['a TLS connection of its own', { path: () => connect((direct.address() as AddressInfo).port), seed: 51 }],
  ['a tunnel that it shares', { path: () => connect(gatewayPort), prepare: fillTunnels, seed: 61 }],
]

describe.each(ways)('the whole way over %s', (_, { path, prepare, seed }) => {
  it('G1: a gigabyte each way at once, between slow readers and writers', { timeout: TIMEOUT_MS }, async () => {
    await prepare?.()
    await carriesBulkBothWays(await path(), GB, seed)
  })

  it('G1: slow readers and slow writers on both ends', { timeout: TIMEOUT_MS }, async () => {
    await prepare?.()
    await goesAtAnyPace(path, seed + 2)
  })

  it('G1: an end is a half-close in all four orders', { timeout: TIMEOUT_MS }, async () => {
    await prepare?.()
    await halfClosesInAllOrders(path)
  })

  it.each(['near', 'far'] as const)(
    'G1: a reset of the %s end in the middle of a transfer is a reset on the other',
    { timeout: TIMEOUT_MS },
    async (side) => {
      await prepare?.()
      await breaksOffAsAReset(path, side)
    },
  )
})

describe('a login under load', () => {
  const LOADS = 4

  it.each([
    ['while tunnels are full and connections share them', fillTunnels],
    ['while each connection has its tunnel to itself, raw', (): Promise<Ends[]> => Promise.resolve([])],
  ])(
    'G1, G12, C4: %s: what runs goes on whole, idle or not, and what is new goes by the new login',
    { timeout: TIMEOUT_MS },
    async (_, prepare) => {
      const idle = await prepare()
      // The first half while the login goes on, as far as that takes its time, the second when it is done.
      const swapped = Promise.withResolvers<true>()
      const load = { bytes: 24 * MB, seed: 71, writerRests: 200_000, halfTime: swapped.promise }
      const running = await connectSeveral(LOADS)
      const done = Promise.all(running.map((ends) => exchange(ends, load, { ...load, seed: 72 })))
      const isUnderWay = ({ near, far }: Ends): boolean =>
        [near, far].every((end) => end instanceof Socket && end.bytesRead > MB)
      await until(() => running.every(isUnderWay), 'all to be under way', 60_000)

      await cluster.login(home)
      const fresh = await connectSeveral(LOADS)
      for (const ends of [...fresh, ...idle]) await expectAnswer(ends)
      // What is alone and bulk is raw by now (as seen from inside: tests/tunnel/a-gateway-needs-few-handshakes.test.ts).
      if (idle.length === 0) expect(connectionsOfServer()).toBeGreaterThanOrEqual(2 * LOADS)
      swapped.resolve(true)
      expect(await done).toEqual(running.map(() => [load.bytes, load.bytes]))

      const opened = await cluster.audit(['--event', 'connection.open', '--resource', 'bulk'])
      const logins = opened.map(({ login }) => login)
      const [before, after] = [logins.slice(0, -LOADS), logins.slice(-LOADS)]
      expect(new Set(after).size).toBe(1)
      expect(before).not.toContain(after[0])
    },
  )
})
