// The question about one connection and its answer (sock_diag): what counts as one, and what happens where the kernel, its answers
// or the library that asks are not as they should be (G18).
import fc from 'fast-check'
import { once } from 'node:events'
import { readdirSync, readlinkSync } from 'node:fs'
import { createConnection, createServer, type AddressInfo, type Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { createOwnerSearch } from '../../client/gateways/connection-owner.ts'
import { openNetlinkSocket, type NetlinkSocket } from '../../client/gateways/netlink-socket.ts'
import { askForSocket, encodeQuestion, readAnswer, SocketDiagError } from '../../client/gateways/socket-diag.ts'

const THERE = { address: '127.0.0.1', port: 40_000 }
const HERE = { address: '127.0.0.1', port: 15_432 }
const ESTABLISHED = 1

type Answer = Partial<{ sequence: number; type: number; family: number; state: number; from: string; uid: number }>

/** As a kernel answers (Linux 6.18): an inet_diag_msg and no attributes. */
function answerOf({
  sequence = 7,
  type = 20,
  family = 2,
  state = ESTABLISHED,
  from = '127.0.0.1',
  uid = 1000,
}: Answer) {
  const bytes = Buffer.alloc(16 + 72)
  bytes.writeUInt32LE(bytes.length, 0)
  bytes.writeUInt16LE(type, 4)
  bytes.writeUInt32LE(sequence, 8)
  bytes.set([family, state], 16)
  bytes.writeUInt16BE(THERE.port, 20)
  bytes.writeUInt16BE(HERE.port, 22)
  const at = family === 10 ? 12 : 0
  if (family === 10) for (const start of [24, 40]) bytes.writeUInt16BE(0xffff, start + 10)
  bytes.set(from.split('.').map(Number), 24 + at)
  bytes.set([127, 0, 0, 1], 40 + at)
  bytes.writeUInt32LE(uid, 80)
  bytes.writeUInt32LE(4711, 84)
  return bytes
}

function errorOf(errno: number, sequence = 7): Buffer {
  const bytes = Buffer.alloc(36)
  bytes.writeUInt32LE(36, 0)
  bytes.writeUInt16LE(2, 4)
  bytes.writeUInt32LE(sequence, 8)
  bytes.writeInt32LE(-errno, 16)
  return bytes
}

const read = (answer: Buffer) => readAnswer(answer, THERE, HERE)

describe('G18: what counts as an answer', () => {
  it('G18: the socket that was asked for, by both its ends, of IPv4 or mapped into IPv6', () => {
    expect(read(answerOf({}))).toEqual({ uid: 1000, inode: 4711 })
    expect(read(answerOf({ family: 10 }))).toEqual({ uid: 1000, inode: 4711 })
    expect(read(answerOf({ uid: 0xfffffffe }))).toEqual({ uid: 0xfffffffe, inode: 4711 })
  })

  it('G18: a listener at that end, or a socket with other ends, is not it', () => {
    expect(read(answerOf({ state: 10 }))).toBeUndefined()
    expect(read(answerOf({ from: '127.0.0.2' }))).toBeUndefined()
    expect(read(answerOf({ from: '127.0.0.2', family: 10 }))).toBeUndefined()
    expect(read(answerOf({ family: 1 }))).toBeUndefined()
    for (const byte of [20, 21, 22, 23, 40, 43]) {
      const bent = answerOf({})
      bent[byte]! ^= 1
      expect(read(bent)).toBeUndefined()
    }
    const notMapped = answerOf({ family: 10 })
    notMapped[24] = 0xfe
    expect(read(notMapped)).toBeUndefined()
  })

  it('G18: ENOENT is nobody; any other error, another type and a short answer are none', () => {
    expect(read(errorOf(2))).toBeUndefined()
    for (const errno of [0, 1, 13, 22, 95]) expect(() => read(errorOf(errno))).toThrow(SocketDiagError)
    expect(() => read(answerOf({ type: 3 }))).toThrow(SocketDiagError)
    for (let length = 0; length < 88; length++)
      expect(() => read(answerOf({}).subarray(0, length))).toThrow(SocketDiagError)
  })

  it('G18: whatever bytes come, nothing but an answer to the question names a socket, and nothing else is thrown', () => {
    const anything = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes))
    const almost = fc.tuple(fc.nat(87), fc.nat(255), fc.nat(88)).map(([at, value, length]) => {
      const bytes = answerOf({})
      bytes[at] = value
      return length > 60 ? bytes : bytes.subarray(0, length)
    })
    fc.assert(
      fc.property(fc.oneof(anything, almost), (bytes) => {
        try {
          const row = read(bytes)
          if (row === undefined) return true
          // Only what says who and which, and what is not looked at, may differ.
          return bytes.readUInt16BE(20) === THERE.port && bytes.readUInt16BE(22) === HERE.port && bytes[17] !== 10
        } catch (error) {
          return error instanceof SocketDiagError
        }
      }),
      { numRuns: 2000 },
    )
  })

  it('G18: an answer to another question is passed over, and silence is an error', () => {
    const told = [answerOf({ sequence: 6, uid: 1 }), answerOf({})]
    const socket = { send: () => undefined, receive: () => told.shift() }
    expect(askForSocket(socket, THERE, HERE, 7)).toEqual({ uid: 1000, inode: 4711 })
    expect(() => askForSocket(socket, THERE, HERE, 8)).toThrow('no answer')
  })

  it('G18: the question names the client’s end as the one that is asked for, and no cookie', () => {
    const question = encodeQuestion(THERE, { address: '127.1.2.3', port: 1 }, 7)
    expect(question.toString('hex')).toBe(
      '48000000140001000700000000000000' + // length, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, sequence
        '02060000ffffffff' + // AF_INET, TCP, all states
        '9c400001' + // from 40000 to 1
        '7f000001000000000000000000000000' +
        '7f010203000000000000000000000000' +
        '00000000ffffffffffffffff', // any interface, INET_DIAG_NOCOOKIE
    )
  })
})

const row = `   7: 0100007F:9C40 0100007F:3C48 01 00000000:00000000 00:00000000 00000000  1001        0 99 1 0 20 4 30 10 -1\n`
const tableOf = (text: string) => ({
  readings: 0,
  async *read() {
    this.readings++
    yield await Promise.resolve(text)
  },
})

/** A kernel that answers as it is told. */
const kernel = (...answers: (Buffer | Error)[]) => {
  const seen = { questions: 0, closed: 0 }
  let sequence = 0
  const socket: NetlinkSocket = {
    send(question) {
      seen.questions++
      sequence = Buffer.from(question).readUInt32LE(8)
    },
    receive() {
      const answer = answers.shift()
      if (answer instanceof Error) throw answer
      answer?.writeUInt32LE(sequence, 8)
      return answer
    },
    close() {
      seen.closed++
    },
  }
  return { seen, socket }
}

describe('G18: where the kernel is not as it should be', () => {
  it('G18: without the library or such sockets the table is read, now and later, and this is tried once', async () => {
    let tried = 0
    const table = tableOf(row)
    const owners = createOwnerSearch({
      openNetlink: () => Promise.reject(new Error(`EPROTONOSUPPORT ${++tried}`)),
      readTable: () => table.read(),
    })
    const found = await Promise.all([owners.find(THERE, HERE), owners.find(THERE, HERE)])
    expect([...found, await owners.find(THERE, HERE)]).toEqual(Array(3).fill({ uid: 1001, inode: 99 }))
    expect(tried).toBe(1)
  })

  it('G18: an answer that is none, or no answer, leads to the table for good', async () => {
    for (const answers of [[errorOf(22)], [Buffer.alloc(3)], [], [new Error('recv failed with errno 105')]]) {
      const { seen, socket } = kernel(answerOf({}), ...answers)
      const owners = createOwnerSearch({
        openNetlink: () => Promise.resolve(socket),
        readTable: () => tableOf(row).read(),
      })
      expect(await owners.find(THERE, HERE)).toEqual({ uid: 1000, inode: 4711 })
      expect(await owners.find(THERE, HERE)).toEqual({ uid: 1001, inode: 99 })
      expect(await owners.find(THERE, HERE)).toEqual({ uid: 1001, inode: 99 })
      expect(seen).toEqual({ questions: 2, closed: 1 })
    }
  })

  it('G18: a kernel that says of every connection that there is none is found out by its table', async () => {
    const { seen, socket } = kernel(errorOf(2), errorOf(2))
    const owners = createOwnerSearch({
      openNetlink: () => Promise.resolve(socket),
      readTable: () => tableOf(row).read(),
    })
    expect(await owners.find(THERE, HERE)).toEqual({ uid: 1001, inode: 99 })
    expect(await owners.find(THERE, HERE)).toEqual({ uid: 1001, inode: 99 })
    expect(seen).toEqual({ questions: 1, closed: 1 })
  })

  it('G18: once it has found one, its word that there is none counts, and the table is left alone', async () => {
    const { seen, socket } = kernel(errorOf(2), answerOf({}), errorOf(2))
    const table = tableOf('')
    const owners = createOwnerSearch({ openNetlink: () => Promise.resolve(socket), readTable: () => table.read() })
    expect(await owners.find(THERE, HERE)).toBeUndefined()
    const readings = table.readings
    expect(await owners.find(THERE, HERE)).toEqual({ uid: 1000, inode: 4711 })
    expect(await owners.find(THERE, HERE)).toBeUndefined()
    expect([table.readings, seen.questions]).toEqual([readings, 3])
  })

  it('G18: a socket that is open only when nobody asks any more is closed', async () => {
    const { seen, socket } = kernel()
    const opened = Promise.withResolvers<NetlinkSocket>()
    const owners = createOwnerSearch({ openNetlink: () => opened.promise, readTable: () => tableOf(row).read() })
    const found = owners.find(THERE, HERE)
    owners.close()
    opened.resolve(socket)
    expect(await found).toEqual({ uid: 1001, inode: 99 })
    expect(seen).toEqual({ questions: 0, closed: 1 })
  })
})

describe('G18: the kernel of this machine', () => {
  const netlinkFiles = () =>
    readdirSync('/proc/self/fd').filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).startsWith('socket:')
      } catch {
        return false
      }
    }).length

  it('G18: it answers without its table being read, and the socket ends with who opened it', async (context) => {
    if (process.platform !== 'linux') context.skip('only Linux has sock_diag: run it there')
    const probe = await openNetlinkSocket().catch(() => undefined)
    if (!probe) context.skip('koffi is not installed for this machine, or its kernel has no sock_diag')
    probe?.close()
    expect(() => probe?.send(encodeQuestion(THERE, HERE, 1))).toThrow('closed')

    const accepted = Promise.withResolvers<Socket>()
    const server = createServer(accepted.resolve).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const client = createConnection({ host: '127.0.0.1', port })
    const socket = await accepted.promise
    const before = netlinkFiles()
    const readTable = () => {
      throw new Error('the table was read')
    }
    const owners = createOwnerSearch({ readTable })
    const there = { address: '127.0.0.1', port: socket.remotePort! }
    const here = { address: '127.0.0.1', port }
    expect(await owners.find(there, here)).toMatchObject({ uid: process.getuid?.() })
    expect(await owners.find({ ...there, address: '127.0.0.9' }, here)).toBeUndefined()
    expect(netlinkFiles()).toBe(before + 1)
    owners.close()
    expect(netlinkFiles()).toBe(before)
    client.destroy()
    socket.destroy()
    server.close()
  })
})
