// A tcp resource through everything that is real: service, access server, core, `postern gateway open`, sockets on both ends.
import { once } from 'node:events'
import { createConnection, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import {
  ADMIN,
  logInBriefly,
  startCluster,
  untilExpired,
  type OpenGateway,
  type TestCluster,
} from '../support/cluster.ts'
import { readPattern, TcpService, writePattern } from '../support/tcp-service.ts'
import { until as untilWithin } from '../support/run.ts'

const SIZE = 50 * 1024 * 1024
/** The machine may be busy. */
const until = (condition: () => boolean | Promise<boolean>, what: string) => untilWithin(condition, what, 30_000)
const ECHO = (socket: Socket): void => void socket.pipe(socket)

let cluster: TestCluster
let service: TcpService
let home: string
let gateway: OpenGateway
const sockets: Socket[] = []

const documents = (port: number): string => `
kind: resource
name: cache
protocol: tcp
description: A cache
address: 127.0.0.1:${port}
labels: { env: test, team: build }
---
kind: role
name: builder
allow: [{ labels: { team: build }, accounts: [tcp] }]
---
{ kind: grant, user: alice, role: builder }
`

beforeAll(async () => {
  service = await new TcpService().start()
  cluster = await startCluster()
  await cluster.apply(documents(service.port))
  home = await cluster.newHome()
  await cluster.login(home)
  gateway = await cluster.open(home, 'cache')
})
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy()
  service.serve = ECHO
})
afterAll(async () => {
  await cluster.close()
  await service.stop()
})

function connect(): Socket {
  const socket = createConnection({ host: '127.0.0.1', port: gateway.port, allowHalfOpen: true })
  socket.on('error', () => undefined)
  sockets.push(socket)
  return socket
}

async function stateOf(name: string): Promise<{ state: string; stateText: string | null }> {
  const { stdout } = await cluster.postern(home, ['status', '--json'])
  const { gateways } = JSON.parse(stdout) as {
    gateways: { resource: string; state: string; stateText: string | null }[]
  }
  return gateways.find(({ resource }) => resource === name)!
}

describe('a tcp resource', () => {
  it('DB6: is listed with one account and no database, and its gateway is an address', async () => {
    const listed = JSON.parse((await cluster.postern(home, ['resources', 'ls', '--json'])).stdout) as {
      resources: { name: string }[]
    }
    expect(listed.resources.find(({ name }) => name === 'cache')).toMatchObject({
      protocol: 'tcp',
      accounts: ['tcp'],
      defaultAccount: 'tcp',
      databases: [],
      defaultDatabase: '',
    })
    expect(gateway).toMatchObject({
      url: `tcp://127.0.0.1:${gateway.port}`,
      env: { HOST: '127.0.0.1', PORT: String(gateway.port) },
    })
    const refused = await cluster.postern(home, ['gateway', 'open', 'cache', '--database', 'orders'])
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('no databases') })
    const query = await cluster.postern(home, ['db', 'query', 'cache', 'select 1'])
    expect(query).toMatchObject({ code: 2, stderr: expect.stringContaining('plain TCP, not a database') })
    const rows = (await cluster.postern(home, ['gateway', 'ls'])).stdout
    expect(rows).toMatch(/cache +- +- /)
  })

  it('DB6, G1: 50 MB each way at once arrive whole, with readers that pause on both ends', async () => {
    const atService = Promise.withResolvers<number>()
    service.serve = (socket) => {
      readPattern(socket, 1, SIZE / 8).then(atService.resolve, atService.reject)
      void writePattern(socket, SIZE, 2).then(() => socket.end())
    }
    const client = connect()
    const sending = writePattern(client, SIZE, 1).then(() => client.end())
    expect(await Promise.all([readPattern(client, 2, SIZE / 8), atService.promise, sending])).toEqual([
      SIZE,
      SIZE,
      client,
    ])
  })

  it('G1: half-closes pass in every order, and each side may go on after the other has ended', async () => {
    // The client first: its end is what makes the service answer.
    service.serve = (socket) => void text(socket).then((said) => socket.end(`heard ${said}`))
    const asker = connect()
    asker.end('the question')
    expect(await text(asker)).toBe('heard the question')

    // The service first: the client still says something, and it arrives.
    const heard = Promise.withResolvers<string>()
    service.serve = (socket) => {
      socket.end('that is all')
      text(socket).then(heard.resolve, heard.reject)
    }
    const late = connect()
    expect(await text(late)).toBe('that is all')
    late.end('but I am not done')
    expect(await heard.promise).toBe('but I am not done')

    // Both at once, with and without bytes.
    service.serve = (socket) => socket.resume().end()
    const silent = connect()
    silent.end()
    expect(await text(silent)).toBe('')
    service.serve = (socket) => socket.resume().end('bye')
    const polite = connect()
    polite.end('bye')
    expect(await text(polite)).toBe('bye')
    await until(() => service.living === 0, 'all connections of the service to end')
  })

  it('G1: what one side breaks off looks broken off on the other, never like a good end', async () => {
    // Only once the question is there: a reset at once may also be a target that could not be reached.
    service.serve = (socket) =>
      socket.once('data', () => socket.write('half of the an', () => socket.resetAndDestroy()))
    const asker = connect()
    asker.write('the question')
    await expect(text(asker)).rejects.toMatchObject({ code: 'ECONNRESET' })

    const broken = Promise.withResolvers<unknown>()
    service.serve = (socket) => {
      text(socket).then(() => broken.resolve('ended'), broken.resolve)
      socket.write('go on')
    }
    const teller = connect()
    await once(teller, 'data')
    teller.write('half of the st', () => teller.resetAndDestroy())
    expect(await broken.promise).toMatchObject({ code: 'ECONNRESET' })
  })

  it('G2, G13: through an expired login a service that speaks first is heard, and what was said before it arrives once', async () => {
    await logInBriefly(cluster, home)
    await untilExpired(cluster, home)
    const before = service.connections
    service.serve = (socket) => {
      socket.write('220 ready\n')
      socket.pipe(socket)
    }
    const silent = connect()
    const talker = connect()
    await Promise.all([once(silent, 'connect'), once(talker, 'connect')])
    talker.end('EHLO\n')
    await until(async () => (await stateOf('cache')).state === 'waiting for login', 'the gateway to wait for a login')
    expect(service.connections).toBe(before)
    await cluster.login(home)
    expect(await text(talker)).toBe('220 ready\nEHLO\n')
    silent.end('NOOP\n')
    expect(await text(silent)).toBe('220 ready\nNOOP\n')
    expect(service.connections).toBe(before + 2)
  })

  it('DB6, E1: a target that is down closes the client, the gateway says so with an error id that the log has, and recovers', async () => {
    await service.stop()
    expect(await text(connect())).toBe('')
    await until(async () => (await stateOf('cache')).state === 'refused', 'the gateway to say so')
    const { stateText } = await stateOf('cache')
    expect(stateText).toContain('the access server cannot reach cache')
    expect(stateText).not.toMatch(/ECONNREFUSED|127\.0\.0\.1/)
    const [, errorId = ''] = /error id ([0-9a-f]{8})/.exec(stateText ?? '') ?? []
    const { readFile } = await import('node:fs/promises')
    expect(await readFile(`${cluster.directory}/server.log`, 'utf8')).toContain(errorId)
    await service.start()
    const client = connect()
    client.end('back again')
    expect(await text(client)).toBe('back again')
    await until(async () => (await stateOf('cache')).state === 'listening', 'the gateway to be well')
  })

  it('S1, S5, R5: the audit log has each connection with its bytes, and why one did not come about', async () => {
    const client = connect()
    client.end('twelve bytes')
    expect(await text(client)).toBe('twelve bytes')
    await until(async () => {
      const closed = await cluster.audit(['--resource', 'cache', '--event', 'connection.close'])
      const details = closed.map(({ detail }) => detail)
      return [
        { reason: 'client', bytesFromClient: 12, bytesToClient: 12 },
        { reason: 'target_unreachable', bytesFromClient: 0, bytesToClient: 0 },
      ].every((wanted) => details.some((one) => isLike(one, wanted)))
    }, 'both connections in the audit log')
    const events = await cluster.audit(['--resource', 'cache'])
    expect(events.filter(({ event }) => event === 'access.denied')).toEqual([])
    expect(events.some(({ event, account }) => event === 'session.active' && account === 'tcp')).toBe(true)
  })

  it('S8, G19: a role that is taken away ends running connections at once, new ones are refused and the gateway says why', async () => {
    const running = [connect(), connect()]
    for (const client of running) {
      client.write('hello')
      await once(client, 'data')
    }
    const ended = Promise.allSettled(running.map((client) => text(client)))
    await cluster.apply('{ kind: role, name: builder, allow: [] }')
    const reset = expect.objectContaining({ reason: expect.objectContaining({ code: 'ECONNRESET' }) })
    expect(await ended).toEqual([reset, reset])
    expect(await text(connect())).toBe('')
    await until(async () => (await stateOf('cache')).state === 'refused', 'the gateway to say so')
    expect((await stateOf('cache')).stateText).toMatch(/cache.*may use/)
    await until(() => service.living === 0, 'nothing to be left at the service')

    // Accounts by * are plain TCP's one account, too.
    await cluster.apply("{ kind: role, name: builder, allow: [{ resources: [cache], accounts: ['*'] }] }")
    const again = connect()
    again.end('again')
    expect(await text(again)).toBe('again')
  })

  it('E3: what a tcp resource does not have is refused with the reason, and flags make one as files do', async () => {
    const admin = await cluster.newHome()
    await cluster.login(admin, ADMIN)
    const add = (...flags: string[]) =>
      cluster.postern(admin, [
        'admin',
        'resource',
        'add',
        'mail',
        '--protocol',
        'tcp',
        '--address',
        'mail:25',
        ...flags,
      ])
    const refused = await add('--account', 'postmaster', '--tls', 'disable')
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('leave out --account, --tls') })
    expect(await add()).toMatchObject({ code: 0 })
    const changed = await cluster.postern(admin, ['admin', 'resource', 'set', 'mail', '--label', 'env=prod'])
    expect(changed).toMatchObject({ code: 0 })
    const listed = JSON.parse((await cluster.postern(admin, ['admin', 'resource', 'ls', '--json'])).stdout) as object
    expect(listed).toMatchObject({
      resources: expect.arrayContaining([
        expect.objectContaining({ name: 'mail', protocol: 'tcp', address: 'mail:25', accounts: [{ name: 'tcp' }] }),
      ]),
    })
  })
})

const isLike = (detail: unknown, wanted: Record<string, unknown>): boolean =>
  Object.entries(wanted).every(([key, value]) => (detail as Record<string, unknown>)[key] === value)
