// Every reason for which a socket takes no buffer of the pump (link/read-seat.ts): each is seen, nothing of the socket is changed, and
// plain streams carry every byte. That the fast way is taken otherwise: no-byte-is-lost-doubled-or-bent.test.ts.
import { once } from 'node:events'
import { connect, createServer, Socket, type AddressInfo } from 'node:net'
import { describe, expect, it } from 'vitest'
import { linkOf } from '../../link/link.ts'
import { seatOf } from '../../link/read-seat.ts'
import { exchange, hideHandle, tcpPair, tcpSide, tlsSide, type Load, type MakeSide } from '../support/pumped-paths.ts'

const MB = 1_000_000
const FIELDS = ['kBuffer', 'kBufferGen', 'kBufferCb'] as const

/** The field of a socket that is called so. */
function fieldOf(socket: Socket, name: string): symbol {
  const field = Object.getOwnPropertySymbols(socket).find(({ description }) => description === name)
  if (!field) throw new Error(`the sockets of this Node have no field ${name}: link/read-seat.ts is to be looked at`)
  return field
}

/** As it would be where Node calls it otherwise, or has it no more. */
function takeAway(socket: Socket, name: string, newName?: string): void {
  Reflect.deleteProperty(socket, fieldOf(socket, name))
  if (newName) Reflect.set(socket, Symbol(newName), null)
}

/** Whether the pump reads into memory of its own. */
const isFast = (socket: Socket): boolean =>
  Object.getOwnPropertySymbols(socket).some(
    (one) => one.description === 'kBufferCb' && typeof Reflect.get(socket, one) === 'function',
  )

const socketOf = ({ stream }: { stream: unknown }): Socket => {
  if (!(stream instanceof Socket)) throw new Error('this link is no socket')
  return stream
}

const noResets = { resetNear: () => undefined, resetFar: () => undefined }

const changes: [string, (socket: Socket) => void][] = [
  ['its handle takes no buffers', (socket) => hideHandle({ stream: socket })],
  ...FIELDS.map((name): [string, (socket: Socket) => void] => [
    `its ${name} is called otherwise`,
    (socket) => takeAway(socket, name, `${name}Next`),
  ]),
  ...FIELDS.map((name): [string, (socket: Socket) => void] => [
    `it has no ${name}`,
    (socket) => takeAway(socket, name),
  ]),
]
const sides: [string, MakeSide][] = [
  ['a TCP socket', tcpSide],
  ['a TLS socket', tlsSide('client')],
]

describe.each(sides)('%s', (_, makeSide) => {
  it('G1: has a place for a buffer in this Node', async () => {
    const { link, end } = await makeSide()
    expect(seatOf(socketOf(link))).toBeDefined()
    for (const stream of [end, link.stream]) stream.destroy()
  })

  it.each(changes)('G1: is read as a stream where %s, and every byte comes', async (_, change) => {
    const [a, b] = await Promise.all([makeSide(), tcpSide()])
    const socket = socketOf(a.link)
    change(socket)
    expect(seatOf(socket)).toBeUndefined()
    const progress = { forward: 0, backward: 0 }
    const pumped = a.link.pumpTo(b.link, progress)
    expect([socket, socketOf(b.link)].map(isFast)).toEqual([false, true])
    const [up, down]: Load[] = [
      { bytes: 3 * MB + 1, seed: 91 },
      { bytes: 2 * MB + 3, seed: 92 },
    ]
    expect(await exchange({ ...noResets, near: a.end, far: b.end }, up!, down!)).toEqual([up!.bytes, down!.bytes])
    expect(await pumped).toEqual({ cause: undefined })
    expect(progress).toEqual({ forward: up!.bytes, backward: down!.bytes })
  })
})

describe('a socket', () => {
  it('G1: without a handle has no place: one that was never connected, one that is closed', async () => {
    expect(seatOf(new Socket())).toBeUndefined()
    const [client, accepted] = await tcpPair()
    const closed = once(accepted, 'close')
    for (const socket of [client, accepted]) socket.destroy()
    await closed
    expect(seatOf(accepted)).toBeUndefined()
  })

  it('G1: that still connects is read as a stream, from its first byte to its last', async () => {
    const { end: near, link } = await tcpSide()
    const server = createServer({ allowHalfOpen: true, noDelay: true })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const accepting = once(server, 'connection')
    const there = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
    expect(there.connecting).toBe(true)
    expect(seatOf(there)).toBeUndefined()
    const pumped = link.pumpTo(linkOf(there))
    expect(isFast(there)).toBe(false)
    const [far] = (await accepting) as [Socket]
    server.close()
    const up: Load = { bytes: 3 * MB, seed: 93 }
    const down: Load = { bytes: 2 * MB, seed: 94 }
    expect(await exchange({ ...noResets, near, far }, up, down)).toEqual([up.bytes, down.bytes])
    expect(await pumped).toEqual({ cause: undefined })
  })

  it('G1: whose place is taken keeps it: who made it with `onread` goes on to be told of what comes', async () => {
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const accepting = once(server, 'connection')
    let heard = ''
    const told = Promise.withResolvers<string>()
    const taken = connect({
      ...{ port, host: '127.0.0.1' },
      onread: {
        buffer: Buffer.alloc(64),
        callback: (size, bytes) => {
          heard += Buffer.from(bytes.subarray(0, size)).toString()
          if (heard.length === 'its own'.length) told.resolve(heard)
          return true
        },
      },
    })
    const [[far]] = await Promise.all([accepting as Promise<[Socket]>, once(taken, 'connect')])
    server.close()
    expect(seatOf(taken)).toBeUndefined()
    const { link, end } = await tcpSide()
    const pumped = linkOf(taken).pumpTo(link)
    far.write('its own')
    expect(await told.promise).toBe('its own')
    for (const socket of [far, end]) socket.destroy()
    await pumped
  })
})
