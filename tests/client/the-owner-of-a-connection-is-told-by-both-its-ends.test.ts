// Whose connection it is (G18): what the kernel's tables say, what they do not say, and what follows from either.
import fc from 'fast-check'
import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { createConnection, createServer, type AddressInfo, type Socket } from 'node:net'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { createOwnerSearch } from '../../client/gateways/connection-owner.ts'
import { entranceFor, guardOf } from '../../client/gateways/entrance.ts'
import type { ReadTable } from '../../client/gateways/kernel-tcp-table.ts'
import { createLocalUserCheck, type CheckLocalUser, type PeerVerdict } from '../../client/gateways/local-user.ts'
import { run } from '../support/run.ts'

const ME = 1000
const ends = (remoteAddress: string, remotePort: number) => ({
  remoteAddress,
  remotePort,
  localAddress: '127.0.0.1',
  localPort: 15_432,
})

const HEADER = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n'
/** 15432 is 3C48 and 40000 is 9C40. */
const row = (local: string, uid: number, inode: number, state = '01') =>
  `   7: ${local}:9C40 0100007F:3C48 ${state} 00000000:00000000 00:00000000 00000000 ${String(uid).padStart(5)}        0 ${inode} 1 0000000000000000 20 4 30 10 -1\n`

/** Cut somewhere, as a kernel's page may end anywhere. */
async function* inPieces(text: string, pieceLength = 100): AsyncGenerator<string> {
  for (let at = 0; at < text.length; at += pieceLength) yield await Promise.resolve(text.slice(at, at + pieceLength))
}
const failing =
  (code: string): ReadTable =>
  () => {
    throw new Error(code)
  }

const checkByTable = (readTable: ReadTable, ownUid: number | undefined = ME): CheckLocalUser =>
  createLocalUserCheck({ platform: 'linux', ownUid, owners: createOwnerSearch({ openNetlink: null, readTable }) })

const judge = (v4: string, v6 = '', address = '127.0.0.1'): Promise<PeerVerdict> =>
  checkByTable((path) => inPieces(HEADER + (path.endsWith('6') ? v6 : v4)))(ends(address, 40_000))

describe('G18: what the tables say', () => {
  it('G18: the owner and root are let in, anybody else is not', async () => {
    expect(await judge(row('0100007F', ME, 4711))).toBe('owner')
    expect(await judge(row('0100007F', 0, 4711))).toBe('owner')
    expect(await judge(row('0100007F', 1001, 4711))).toBe('another user')
  })

  it('G18: TIME_WAIT and orphaned rows say uid 0 without an inode: that is nobody, not root', async () => {
    expect(await judge(row('0100007F', 0, 0, '06'))).toBe('gone')
    expect(await judge(row('0100007F', ME, 0))).toBe('gone')
    expect(await judge('')).toBe('gone')
  })

  it('G18: an IPv4 address mapped into IPv6 is found in the other table', async () => {
    const mapped = row('0000000000000000FFFF00000100007F', 1001, 4711).replace(
      '0100007F:3C48',
      '0000000000000000FFFF00000100007F:3C48',
    )
    expect(await judge('', mapped)).toBe('another user')
    expect(await judge('', mapped, '::ffff:127.0.0.1')).toBe('another user')
  })

  it('G18: the port of a client of ours, taken from another loopback address, is not that client', async () => {
    const both = row('0100007F', ME, 4711) + row('0200007F', 1001, 4712)
    expect(await judge(both)).toBe('owner')
    expect(await judge(both, '', '127.0.0.2')).toBe('another user')
    expect(await judge(row('0100007F', ME, 4711), '', '127.0.0.2')).toBe('gone')
    expect(await judge(row('0100007F', ME, 4711), '', '10.0.0.7')).toBe('gone')
  })

  it('G18: a table that cannot be read refuses; a machine without IPv6 has none and goes on', async () => {
    const unreadable = failing('EACCES')
    const check = checkByTable(unreadable)
    expect(await check(ends('127.0.0.1', 40_000))).toBe('unreadable')
    const withoutV6: ReadTable = (path) =>
      path.endsWith('6') ? failing('ENOENT')(path) : inPieces(HEADER + row('0100007F', ME, 4711))
    const other = checkByTable(withoutV6)
    expect(await other(ends('127.0.0.1', 40_000))).toBe('owner')
  })

  it('G18: whatever lies in a table, nobody but its owner is let in by it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary' }), fc.integer({ min: 0, max: 70_000 }), async (junk, uid) => {
        const verdict = await judge(`${junk}\n${row('0100007F', uid, 4711)}${junk}`)
        const expected = uid === ME || uid === 0 ? 'owner' : 'another user'
        return verdict === expected
      }),
    )
  })

  it('G18: wherever the pieces of a table are cut, its rows are found', async () => {
    const table = HEADER + row('0200007F', 1001, 4712) + row('0100007F', ME, 4711) + row('0300007F', 1001, 4713)
    for (let length = 1; length < 200; length++) {
      const check = checkByTable(() => inPieces(table, length))
      expect(await Promise.all([check(ends('127.0.0.1', 40_000)), check(ends('127.0.0.3', 40_000))])).toEqual([
        'owner',
        'another user',
      ])
    }
  })

  it('G18: a reading goes no further than to the last row that is asked for, and ends its file', async () => {
    let [pieces, ended] = [0, 0]
    async function* endless(): AsyncGenerator<string> {
      try {
        for (;;) yield await Promise.resolve(++pieces === 3 ? row('0100007F', ME, 4711) : row('0900007F', 1001, 1))
      } finally {
        ended++
      }
    }
    const check = checkByTable(endless)
    expect(await check(ends('127.0.0.1', 40_000))).toBe('owner')
    expect([pieces, ended]).toEqual([3, 1])
  })

  it('G18: who comes while a reading runs is not judged by it, but by the next', async () => {
    const { promise: held, resolve: goOn } = Promise.withResolvers<undefined>()
    let readings = 0
    async function* table(): AsyncGenerator<string> {
      // The row of the second connection comes after the first reading has passed its place.
      yield readings++ === 0 ? HEADER : HEADER + row('0200007F', ME, 4712)
      await held
      yield row('0100007F', ME, 4711)
    }
    const check = checkByTable(table)
    const first = check(ends('127.0.0.1', 40_000))
    await expect.poll(() => readings).toBe(1)
    const second = check(ends('127.0.0.2', 40_000))
    const again = check(ends('127.0.0.2', 40_000))
    goOn(undefined)
    expect(await Promise.all([first, second, again])).toEqual(['owner', 'owner', 'owner'])
    expect(readings).toBe(2)
  })

  it('G18: macOS, Windows and systems without user ids say that nothing is told', async () => {
    for (const platform of ['darwin', 'win32', 'freebsd'] as const)
      expect(await createLocalUserCheck({ platform, ownUid: ME })(ends('127.0.0.1', 40_000))).toBe('not told')
    expect(await createLocalUserCheck({ platform: 'linux', ownUid: undefined })(ends('127.0.0.1', 1))).toBe('not told')
  })

  it('G18: every verdict has its decision, with a password and without', () => {
    const decisions = (['owner', 'another user', 'gone', 'not told', 'unreadable'] as const).map((verdict) => [
      verdict,
      entranceFor(verdict, false),
      entranceFor(verdict, true),
    ])
    expect(decisions).toEqual([
      ['owner', 'open', 'by password'],
      ['another user', 'refused', 'refused'],
      ['gone', 'nobody', 'nobody'],
      ['not told', 'open', 'by password'],
      ['unreadable', 'refused', 'refused'],
    ])
    expect([guardOf(true, false), guardOf(true, true), guardOf(false, true), guardOf(false, false)]).toEqual([
      'local user',
      'password',
      'password',
      'nothing',
    ])
  })
})

const isLinux = process.platform === 'linux'
const ownUid = process.getuid?.()

const listen = async (onSocket: (socket: Socket) => void) => {
  const server = createServer(onSocket)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { server, port: (server.address() as AddressInfo).port }
}

describe.each([
  { way: 'asked about one connection', openNetlink: undefined },
  { way: 'by its table', openNetlink: null },
])('G18: what the kernel of this machine says, $way', ({ openNetlink }) => {
  const owners = createOwnerSearch({ openNetlink })
  afterAll(() => owners.close())
  const checkFor = (uid: number | undefined): CheckLocalUser =>
    createLocalUserCheck({ platform: 'linux', ownUid: uid, owners })

  beforeEach((context) => {
    if (!isLinux) context.skip('only Linux tells whose a connection is: run it there')
  })

  it('G18: a client that connects by an IPv6 socket to the mapped address is known as what it is', async (context) => {
    const check = checkFor(ownUid)
    const { promise: verdict, resolve, reject } = Promise.withResolvers<PeerVerdict>()
    const { server, port } = await listen((socket) => void check(socket).then(resolve, reject))
    const client = createConnection({ host: '::ffff:127.0.0.1', port })
    const outcome = await Promise.race([verdict, once(client, 'error').then(() => 'no IPv6' as const)])
    client.destroy()
    server.close()
    if (outcome === 'no IPv6') context.skip('this machine has no IPv6 sockets; one that has them would run it')
    expect(outcome).toBe('owner')
  })

  it('G18: who has gone is nobody, neither by what is left of the connection nor by a listener at its end', async () => {
    const check = checkFor(ownUid)
    const accepted = Promise.withResolvers<Socket>()
    const { server, port } = await listen(accepted.resolve)
    const client = createConnection({ host: '127.0.0.1', port, allowHalfOpen: true })
    const socket = await accepted.promise
    const [there, here] = [socket.remotePort!, socket.localPort!]
    const seen = { ...ends('127.0.0.1', there), localPort: here }
    expect(await check(seen)).toBe('owner')
    // First an orphan of a process that let go of it, then one that waits for the last packets, then nothing.
    client.destroy()
    await once(client, 'close')
    expect(await check(seen)).toBe('gone')
    socket.destroy()
    await expect.poll(() => socket.closed).toBe(true)
    expect(await check(seen)).toBe('gone')
    // The kernel, asked for a connection that is none, tells of who listens at that end.
    expect(await check({ ...ends('127.0.0.1', here), localPort: there })).toBe('gone')
    server.close()
  })

  it('G18: another user who takes the port of a living client on 127.0.0.2 is another user', async (context) => {
    if (ownUid !== 0) context.skip('needs root, to become another user: run npm test as root')
    // Root itself would be let in, so somebody else owns the gateways here.
    const check = checkFor(ME)
    const accepted: Socket[] = []
    const { server, port } = await listen((socket) => {
      socket.on('error', () => undefined)
      accepted.push(socket)
    })
    const ours = createConnection({ host: '127.0.0.1', port })
    await once(ours, 'connect')
    const taken = ours.localPort!
    const script = `const s = require('net').connect({ host: '127.0.0.1', port: ${port}, localAddress: '127.0.0.2', localPort: ${taken} }, () => s.write('x')); s.on('close', () => process.exit()).on('error', (e) => { console.error(e.code); process.exit(1) })`
    const thief = run(process.execPath, ['-e', script], { uid: 65_534, gid: 65_534, cwd: '/' })
    await expect.poll(() => accepted.length, { timeout: 20_000 }).toBe(2)
    const their = accepted.find(({ remoteAddress }) => remoteAddress === '127.0.0.2')!
    expect(their.remotePort).toBe(taken)
    expect(await check(their)).toBe('another user')
    for (const socket of accepted) socket.destroy()
    ours.destroy()
    await thief
    server.close()
  })
})

it('G18: a burst of 200 connections is judged by a handful of readings of the table', async (context) => {
  if (!isLinux) context.skip('only Linux has /proc/net/tcp: run it there')
  let readings = 0
  const readTable: ReadTable = (path) => {
    readings += 1
    return createReadStream(path, 'latin1')
  }
  const check = checkByTable(readTable, ownUid)
  const verdicts: Promise<PeerVerdict>[] = []
  const accepted: Socket[] = []
  const { promise: all, resolve } = Promise.withResolvers<undefined>()
  const { server, port } = await listen((socket) => {
    accepted.push(socket)
    if (accepted.length === 200) resolve(undefined)
  })
  const clients = Array.from({ length: 200 }, () => createConnection({ host: '127.0.0.1', port }))
  await all
  for (const socket of accepted) verdicts.push(check(socket))
  expect(new Set(await Promise.all(verdicts))).toEqual(new Set(['owner']))
  // The first begins one, all others share the next; the other table is for clients that are not found in this one.
  expect(readings).toBeLessThanOrEqual(2)
  for (const socket of [...clients, ...accepted]) socket.destroy()
  server.close()
})
