// The whole way of a byte, with everything real: client, core, TLS, access server, engine for tcp, service. A gigabyte of a known
// pattern, ends and resets in the middle, small messages without a stall, and nothing left behind in either process.
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { createConnection, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { startCluster, type OpenGateway, type TestCluster } from '../support/cluster.ts'
import {
  breaksOffAsAReset,
  carriesBulkBothWays,
  GB,
  goesAtAnyPace,
  halfClosesInAllOrders,
} from '../support/path-behaviour.ts'
import type { Ends } from '../support/pumped-paths.ts'
import { until } from '../support/run.ts'
import { tcpResource } from '../support/tcp-resource.ts'
import { TcpService } from '../support/tcp-service.ts'

let cluster: TestCluster
let service: TcpService
let home: string
let gateway: OpenGateway
let corePid: number

beforeAll(async () => {
  service = await new TcpService().start()
  cluster = await startCluster()
  await cluster.apply(tcpResource('bulk', service.port))
  home = await cluster.newHome()
  await cluster.login(home)
  gateway = await cluster.open(home, 'bulk')
  const { stdout } = await cluster.postern(home, ['status', '--json'])
  corePid = (JSON.parse(stdout) as { core: { pid: number } }).core.pid
})
afterAll(async () => {
  await cluster.close()
  await service.stop()
})
const open: Socket[] = []
afterEach(() => {
  for (const socket of open.splice(0)) socket.destroy()
})

/** Both ends of a new connection through everything. */
async function connect(): Promise<Ends & { near: Socket; far: Socket }> {
  const arrived = new Promise<Socket>((resolve) => (service.serve = resolve))
  const near = createConnection({ host: '127.0.0.1', port: gateway.port, allowHalfOpen: true, noDelay: true })
  near.on('error', () => undefined)
  const far = await arrived
  far.setNoDelay(true)
  open.push(near, far)
  return { near, far, resetNear: () => void near.resetAndDestroy(), resetFar: () => void far.resetAndDestroy() }
}

describe('the whole way', () => {
  it('G1: a gigabyte each way at once, between slow readers and writers', { timeout: 600_000 }, async () => {
    await carriesBulkBothWays(await connect(), GB, 21)
  })

  it('G1: slow readers and slow writers on both ends', async () => {
    await goesAtAnyPace(connect, 23)
  })

  it('G1: an end is a half-close in all four orders', async () => {
    await halfClosesInAllOrders(connect)
  })

  it.each(['near', 'far'] as const)(
    'G1: a reset of the %s end in the middle of a transfer is a reset on the other',
    async (side) => {
      await breaksOffAsAReset(connect, side)
    },
  )

  it('G1: two small writes in a row wait for no acknowledgement, in either direction', async () => {
    const { near, far } = await connect()
    // Where a socket of the way lacks TCP_NODELAY, the second write waits for the delayed ACK of the first: 40 ms, each time.
    const sayInTwo = async (from: Socket, first: string, second: string): Promise<void> => {
      from.write(first)
      // Long enough for the first to go the whole way by itself, far less than an ACK is delayed.
      await new Promise((resolve) => setTimeout(resolve, 4))
      from.write(second)
    }
    const stalls = async (asking: Socket, answering: Socket): Promise<number> => {
      let heard = 0
      const onQuestion = (bytes: Buffer): void => {
        heard += bytes.length
        if (heard % 2 === 0) void sayInTwo(answering, 'c', 'd')
      }
      answering.on('data', onQuestion)
      let count = 0
      for (let round = 0; round < 40; round++) {
        const startedAt = performance.now()
        let got = 0
        const answered = new Promise<void>((resolve) => {
          asking.on('data', function onAnswer(bytes: Buffer) {
            got += bytes.length
            if (got < 2) return
            asking.off('data', onAnswer)
            resolve()
          })
        })
        await sayInTwo(asking, 'a', 'b')
        await answered
        if (performance.now() - startedAt >= 40) count += 1
      }
      answering.off('data', onQuestion)
      return count
    }
    // A way that stalls does so each time; a busy machine may be as slow for once.
    const leastStalls = async (asking: Socket, answering: Socket): Promise<number> =>
      Math.min(await stalls(asking, answering), await stalls(asking, answering), await stalls(asking, answering))
    expect(await leastStalls(near, far)).toBeLessThan(30)
    expect(await leastStalls(far, near)).toBeLessThan(30)
  })

  it(
    'G1: 10,000 connections that end or are broken off leave no descriptor in the core or the server',
    { timeout: 600_000 },
    async () => {
      const pids = [corePid, cluster.server().child.pid!]
      const count = (): number[] => pids.map((pid) => readdirSync(`/proc/${pid}/fd`).length)
      const before = count()
      service.serve = (socket) => void socket.pipe(socket)
      const one = async (n: number): Promise<void> => {
        const socket = createConnection({ host: '127.0.0.1', port: gateway.port, allowHalfOpen: true })
        socket.on('error', () => undefined)
        const closed = once(socket, 'close').catch(() => undefined)
        socket.write('hello')
        if (n % 4 !== 3) await once(socket, 'data')
        if (n % 2 === 0) socket.resume().end()
        else socket.resetAndDestroy()
        await closed
      }
      for (let round = 0; round < 500; round++) await Promise.all(Array.from({ length: 20 }, (_, n) => one(n)))
      // Tunnels that came up for so many at once stay for a minute.
      const TUNNELS = 17
      await until(
        () => count().every((now, at) => now <= before[at]! + TUNNELS),
        `the descriptors of ${before.join(' and ')} and of ${TUNNELS} tunnels`,
        30_000,
      )
    },
  )

  it('C4, G12: after a restart of the server a connection begins as any other, whatever it was given to resume by', async () => {
    service.serve = (socket) => void socket.pipe(socket)
    const ask = async (): Promise<string> => {
      const socket = createConnection({ host: '127.0.0.1', port: gateway.port, allowHalfOpen: true })
      socket.end('hello')
      return text(socket)
    }
    expect(await ask()).toBe('hello')
    await cluster.server().stop()
    await cluster.startServer()
    for (let n = 0; n < 4; n++) expect(await ask()).toBe('hello')
  })
})
