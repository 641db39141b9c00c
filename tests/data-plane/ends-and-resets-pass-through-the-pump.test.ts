// Half-closes in all orders, resets from each side in the middle of a transfer, thousands of connections that leave nothing, and
// buffers that are small again after a silence: for every way that the pump can take.
import { once } from 'node:events'
import { connect, createServer, Socket, type AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { text } from 'node:stream/consumers'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { linkOf } from '../../link/link.ts'
import { LivingTimers } from '../support/living-timers.ts'
import { breaksOffAsAReset } from '../support/path-behaviour.ts'
import {
  hideHandle,
  pumpedPath,
  streamSide,
  tcpSide,
  tlsSide,
  unixSide,
  type MakeSide,
  type PumpedEnds,
} from '../support/pumped-paths.ts'
import { until } from '../support/run.ts'

const ways: Record<string, [MakeSide, MakeSide, 'hidden'?]> = {
  'TCP to TLS': [tcpSide, tlsSide('client')],
  'TLS to TCP': [tlsSide('server'), tcpSide],
  'TLS to TLS': [tlsSide('server'), tlsSide('client')],
  'TCP to TCP': [tcpSide, tcpSide],
  'a Unix socket to TLS': [unixSide, tlsSide('client')],
  'TCP to TLS without the handles': [tcpSide, tlsSide('client'), 'hidden'],
  'TCP to a stream that is no socket': [tcpSide, streamSide],
}
const pathOf = ([a, b, hidden]: [MakeSide, MakeSide, 'hidden'?]) =>
  pumpedPath(a, b, (_, links) => {
    if (hidden) for (const link of links) hideHandle(link)
  })

describe('an end of one side is a half-close on the other', () => {
  for (const [name, way] of Object.entries(ways)) {
    it(`G1: ${name}: in all four orders`, async () => {
      const path = pathOf(way)
      // The near end first, and the far one answers; the far one first; both at once; the near one before the pump begins.
      for (const order of ['near', 'far', 'both', 'early'] as const) {
        const { near, far, pumped } = await (order === 'early'
          ? pumpedPath(way[0], way[1], ({ near: end }) => void end.end('question'))()
          : path())
        if (order === 'both') {
          near.end('question')
          far.end('answer')
          expect(await Promise.all([text(far), text(near)])).toEqual(['question', 'answer'])
        } else {
          const [first, second] = order === 'far' ? [far, near] : [near, far]
          if (order !== 'early') first.end('question')
          expect(await text(second)).toBe('question')
          second.end('answer, after the other has ended')
          expect(await text(first)).toBe('answer, after the other has ended')
        }
        expect(await pumped).toEqual({ cause: undefined })
      }
    })

    it(`G1: ${name}: an end without a byte is one too`, async () => {
      const { near, far, pumped } = await pathOf(way)()
      near.end()
      expect(await text(far)).toBe('')
      far.end()
      expect(await text(near)).toBe('')
      expect(await pumped).toEqual({ cause: undefined })
    })
  }
})

describe('what is broken off looks broken off on the other side, never like an end', () => {
  for (const [name, way] of Object.entries(ways)) {
    // See below.
    if (way[0] === unixSide) continue
    for (const side of ['near', 'far'] as const) {
      it(`G1: ${name}: in the middle of a transfer, by the ${side} end`, async () => {
        const ends = await pathOf(way)()
        await breaksOffAsAReset(() => Promise.resolve(ends), side)
        expect((await ends.pumped).cause).toBeInstanceOf(Error)
      })
    }
  }
})

describe('a Unix socket knows no reset', () => {
  const MB = 1_000_000

  /** A client on a Unix socket, a target over TLS, and what the gateway has of either. */
  async function connectByUnix(): Promise<PumpedEnds & { here: Duplex; there: Duplex }> {
    let pumped: [Duplex, Duplex] | undefined
    const ends = await pumpedPath(unixSide, tlsSide('client'), (_, [a, b]) => void (pumped = [a.stream, b.stream]))()
    return { ...ends, here: pumped![0], there: pumped![1] }
  }
  /** What is told of a stream: its end, or the code of its error. */
  const howItEnds = (stream: Duplex): Promise<string> =>
    new Promise((resolve) => {
      stream
        .once('end', () => resolve('end'))
        .once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    })

  it('G1, G18: a client that goes while something waits for it is a reset at the target', async () => {
    const { far, here, resetNear, pumped } = await connectByUnix()
    const told = howItEnds(far.resume())
    far.write(Buffer.alloc(8 * MB))
    await until(() => here.writableLength > 0, 'as much to wait for the client as the system takes', 30_000)
    resetNear()
    expect(await told).toBe('ECONNRESET')
    expect((await pumped).cause).toBeInstanceOf(Error)
  })

  it('G1, G18: a client that only reads sees a reset of the target as an end', async () => {
    const { near, far, resetFar, pumped } = await connectByUnix()
    const told = howItEnds(near)
    far.write('the beginning of an answer')
    await once(near, 'data')
    resetFar()
    expect(await told).toBe('end')
    expect((await pumped).cause).toBeInstanceOf(Error)
    near.destroy()
  })

  it('G1, G18: a client that is writing hears of it by an error', async () => {
    const { near, there, resetFar, pumped } = await connectByUnix()
    const told = howItEnds(near.resume())
    near.write(Buffer.alloc(16 * MB))
    // The system keeps a few MB for a target that does not read; then the client's bytes wait in the gateway.
    await until(() => there.writableLength > 0, 'as much to wait for the target as the system takes', 30_000)
    resetFar()
    // By what the read says, or by what the write says.
    expect(['ECONNRESET', 'EPIPE']).toContain(await told)
    expect((await pumped).cause).toBeInstanceOf(Error)
  })
})

describe('nothing is left of a connection that is over', () => {
  const openHandles = (): number =>
    process.getActiveResourcesInfo().filter((kind) => /TCP|TLS|Timeout|Immediate/i.test(kind)).length

  it('G1: 10,000 connects and closes, of every kind, leak no handle and no timer', { timeout: 240_000 }, async () => {
    using timers = new LivingTimers()
    // More than the buffers that a connection begins with: those that grew are looked at until it is over.
    const much = 'x'.repeat(50_000)
    const target = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on('error', () => undefined)
      socket.once('data', (said: Buffer) => {
        if (said.toString() === 'reset me') socket.resetAndDestroy()
        else if (said.toString() === 'give me much') socket.end(much)
        else socket.end(said)
      })
    })
    const listen = async (server: ReturnType<typeof createServer>): Promise<number> => {
      server.listen(0, '127.0.0.1', 1024)
      await once(server, 'listening')
      return (server.address() as AddressInfo).port
    }
    const targetPort = await listen(target)
    let pumping = 0
    const middle = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      pumping += 1
      const there = connect({ port: targetPort, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
      const links = [linkOf(socket), linkOf(there)] as const
      there.once('connect', () => void links[0].pumpTo(links[1]).then(() => (pumping -= 1)))
    })
    const port = await listen(middle)
    const one = async (kind: number): Promise<void> => {
      const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
      socket.on('error', () => undefined)
      const closed = once(socket, 'close').catch(() => undefined)
      await once(socket, 'connect')
      // Ends in order, after little and much; resets by the target; resets by the client, with an answer on its way or before anything was said.
      if (kind < 2) {
        socket.write(kind === 0 ? 'hello' : 'give me much')
        expect(await text(socket)).toBe(kind === 0 ? 'hello' : much)
        socket.end()
      } else if (kind < 4) socket.resume().write('reset me')
      else {
        if (kind % 2 === 0) socket.write('hello')
        socket.resetAndDestroy()
      }
      await closed
    }
    const before = openHandles()
    for (let round = 0; round < 100; round++) await Promise.all(Array.from({ length: 100 }, (_, n) => one(n % 10)))
    await until(() => pumping === 0, 'the pumps to be over', 30_000)
    await until(() => openHandles() <= before, 'the handles to be gone', 30_000)
    await expect.poll(() => timers.places()).toEqual([])
    expect(timers.hasSeen('socket-pump.ts')).toBe(true)
    for (const server of [target, middle]) {
      const closed = once(server, 'close')
      server.close()
      await closed
    }
  })
})

describe('an idle connection is small', () => {
  afterEach(() => void vi.useRealTimers())

  /** What a socket is read into, in bytes. */
  const bufferOf = (socket: Socket): number => {
    const field = Object.getOwnPropertySymbols(socket).find((one) => one.description === 'kBuffer')
    const buffer: unknown = field && Reflect.get(socket, field)
    if (!Buffer.isBuffer(buffer)) throw new Error('the socket reads into no buffer of the pump')
    return buffer.buffer.byteLength
  }

  for (const [name, a, b] of [
    ['TCP to TLS', tcpSide, tlsSide('client')],
    ['TLS to TCP', tlsSide('server'), tcpSide],
  ] as const) {
    it(`G1: ${name}: it begins small, grows under load, and is small again after a silence`, async () => {
      vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
      let here: Socket | undefined
      const { near, far, pumped } = await pumpedPath(a, b, (_, [link]) => {
        if (link.stream instanceof Socket) here = link.stream
      })()
      expect(bufferOf(here!)).toBeLessThanOrEqual(4096)
      let came = 0
      far.on('data', (bytes: Buffer) => (came += bytes.length))
      const send = async (size: number): Promise<void> => {
        const wanted = came + size
        near.write(Buffer.alloc(size, 'x'))
        await until(() => came === wanted, 'all to arrive', 30_000)
      }
      await send(20_000_000)
      expect(bufferOf(here!)).toBeGreaterThanOrEqual(65_536)
      vi.advanceTimersByTime(10_000)
      vi.advanceTimersByTime(10_000)
      expect(bufferOf(here!)).toBeLessThanOrEqual(4096)
      // It goes on as before, and grows again.
      await send(100)
      await send(20_000_000)
      expect(bufferOf(here!)).toBeGreaterThanOrEqual(65_536)
      near.end()
      far.end()
      near.resume()
      expect(await pumped).toEqual({ cause: undefined })
    })
  }
})
