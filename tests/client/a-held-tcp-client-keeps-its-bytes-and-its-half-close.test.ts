// A gateway for plain TCP while a login is missing: everybody asks, nothing is lost, an end is not a hang-up, and what cannot be
// said in a protocol is said by the gateway.
import { once } from 'node:events'
import type { TLSSocket } from 'node:tls'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { GatewayView } from '../../shared/rpc.ts'
import { RawClient, TestCore, waitUntil, type TestHost } from '../support/client-core.ts'
import { TCP_RESOURCE } from '../support/fake-access-server.ts'

let test: TestCore
let host: TestHost
let gateway: GatewayView

beforeEach(async () => {
  test = await TestCore.start()
  test.server.resources = ['orders', 'cache']
  test.server.resourceDetails.set('cache', TCP_RESOURCE)
  host = await test.attach()
  await test.login(host)
  gateway = await test.open(host, 'cache')
})
afterEach(() => test.close())

const NOTHING = Buffer.alloc(0)
const connect = (first = NOTHING): Promise<RawClient> => RawClient.connect(gateway.port, first)

/** Takes everything in, says how much of it came, and what, once the client has said all. */
function answerAtTheEnd(socket: TLSSocket): void {
  const came: Buffer[] = []
  socket.on('data', (bytes: Buffer) => came.push(bytes))
  socket.once('end', () => socket.end(Buffer.concat([Buffer.from('got '), ...came])))
}

it('DB6, G1: a gateway for a tcp resource is an address without account and database', () => {
  expect(gateway).toMatchObject({
    protocol: 'tcp',
    database: '',
    url: `tcp://127.0.0.1:${gateway.port}`,
    env: { HOST: '127.0.0.1', PORT: String(gateway.port) },
  })
})

it('DB6: choosing a database of a tcp resource is refused, when it opens and afterwards', async () => {
  const opening = host.core.call('gateway.open', { resource: 'cache', database: 'orders', keep: 'attached' })
  await expect(opening).rejects.toMatchObject({ code: 'bad_request', message: expect.stringContaining('no databases') })
  const changing = host.core.call('gateway.update', { gateway: gateway.id, database: 'orders' })
  await expect(changing).rejects.toMatchObject({ code: 'bad_request' })
  const moved = await host.core.call('gateway.update', { gateway: gateway.id, port: gateway.port })
  expect(moved.port).toBe(gateway.port)
})

it('DB6, G17: a detached tcp gateway comes back as what it was', async () => {
  await host.core.call('gateway.open', { resource: 'cache', keep: 'detached' })
  await test.core.stop()
  await test.restart()
  const again = await test.attach()
  const { gateways } = await again.core.call('gateway.list', {})
  expect(gateways).toMatchObject([{ protocol: 'tcp', database: '', port: gateway.port, url: gateway.url }])
  const client = await connect(Buffer.from('still there'))
  client.socket.end()
  await client.ended()
  expect(client.text).toBe('still there')
})

it('G2: a tcp client need not speak: its connection alone asks for the login, and a service that speaks first is heard', async () => {
  test.server.serveTcp = (socket) => void socket.write('220 ready\r\n')
  test.expire()
  const client = await connect()
  const asked = await host.next('login.requested')
  expect(asked.reason).toMatchObject({ kind: 'connection', resource: 'cache', client: null })
  expect(client.received).toHaveLength(0)
  await test.submit(host, asked.requestId)
  await waitUntil(() => client.text === '220 ready\r\n', 'the greeting of the service')
  client.socket.destroy()
})

it('G8, G13: the FIN of a held tcp client is no hang-up: what it said and its end arrive after the login, and the answer comes back', async () => {
  test.server.serveTcp = answerAtTheEnd
  test.expire()
  const clients = await Promise.all(['one', 'two', ''].map((text) => connect(Buffer.from(text))))
  for (const client of clients) client.socket.end()
  const asked = await host.next('login.requested')
  await host.next('login.updated', (prompt) => prompt.waiting === 3)
  // Their ends have been seen by now, or are on the way; a new client that waits is looked at after them.
  const late = await connect(Buffer.from('late'))
  await host.next('login.updated', (prompt) => prompt.waiting === 4)
  expect(host.all('login.closed')).toHaveLength(0)
  late.socket.end()
  await test.submit(host, asked.requestId)
  await Promise.all([...clients, late].map((client) => client.ended()))
  expect([...clients, late].map((client) => client.text)).toEqual(['got one', 'got two', 'got ', 'got late'])
})

it('G8: the reset of a held tcp client leaves the wait, and the last one withdraws the request', async () => {
  test.expire()
  const [first, second] = [await connect(), await connect(Buffer.from('hello'))]
  const asked = await host.next('login.requested')
  await host.next('login.updated', (prompt) => prompt.waiting === 2)
  first.socket.resetAndDestroy()
  await host.next('login.updated', (prompt) => prompt.waiting === 1)
  second.socket.resetAndDestroy()
  expect(await host.next('login.closed')).toMatchObject({ requestId: asked.requestId, outcome: 'withdrawn' })
  expect(test.server.seen.dials).toHaveLength(0)
})

it('G13: megabytes that a held client sends are taken up to a bound, then it has to wait; nothing is lost or doubled', async () => {
  test.expire()
  const sent = Buffer.alloc(8 * 1024 * 1024)
  for (let at = 0; at < sent.length; at += 4) sent.writeUInt32BE(at, at)
  const client = await connect()
  const asked = await host.next('login.requested')
  const written = new Promise<void>((resolve) => client.socket.end(sent, () => resolve()))
  // The kernel's buffers and the core's bound are full when nothing moves any more; both are far below what is sent.
  let before = -1
  await waitUntil(async () => {
    const { gateways } = await host.core.call('gateway.list', {})
    expect(gateways[0]?.waiting).toBe(1)
    const now = client.socket.bytesWritten - client.socket.writableLength
    const isStill = now === before
    before = now
    return isStill
  }, 'the client to be held back')
  expect(client.isEnded).toBe(false)
  await test.submit(host, asked.requestId)
  await written
  await waitUntil(() => client.isEnded, 'the echo', 60_000)
  expect(client.received.equals(sent)).toBe(true)
  client.socket.destroy()
})

it('G7: a cancelled login closes every waiting tcp client plainly, and the cool-down the next one at once', async () => {
  test.expire()
  const clients = await Promise.all([connect(), connect(Buffer.from('hello')), connect()])
  clients[2].socket.end()
  const asked = await host.next('login.requested')
  await host.next('login.updated', (prompt) => prompt.waiting === 3)
  const cancelledAt = performance.now()
  await host.core.call('login.cancel', { requestId: asked.requestId, outcome: 'cancelled' })
  await Promise.all(clients.map((client) => client.ended()))
  // Else they would wait for a minute.
  expect(performance.now() - cancelledAt).toBeLessThan(10_000)
  const next = await connect(Buffer.from('again'))
  await next.ended()
  for (const client of [...clients, next]) expect(client.received).toHaveLength(0)
  expect(host.all('login.requested')).toHaveLength(1)
  await host.next('gateway.changed', (view) => view.state === 'cool-down')
})

it('DB6, G3: a target that is down closes the client plainly, and the gateway says so until it is there again', async () => {
  test.server.refuseDial = () => ({ code: 'target_unreachable', text: 'the access server cannot reach cache' })
  const [first, second] = [await connect(), await connect()]
  await Promise.all([first.ended(), second.ended()])
  expect(first.received).toHaveLength(0)
  const refused = await host.next('gateway.changed', (view) => view.state === 'refused')
  expect(refused.stateText).toBe('the access server cannot reach cache (error id e-1)')
  expect(await host.next('notice')).toMatchObject({ text: expect.stringContaining('cannot reach cache') })
  expect(host.all('notice')).toHaveLength(1)
  expect(host.all('login.requested')).toHaveLength(0)
  host.forget()
  test.server.refuseDial = undefined
  const third = await connect(Buffer.from('hello'))
  await waitUntil(() => third.text === 'hello', 'the echo')
  await host.next('gateway.changed', (view) => view.state === 'listening')
  third.socket.destroy()
})

it('G19: closing a tcp gateway ends held and open connections at once', async () => {
  const open = await connect(Buffer.from('hello'))
  await waitUntil(() => open.text === 'hello', 'the echo')
  test.expire()
  const held = await connect(Buffer.from('hello'))
  await host.next('login.requested')
  await host.core.call('gateway.close', { gateway: gateway.id })
  await Promise.all([open.ended(), held.ended()])
  expect(held.received).toHaveLength(0)
})

it('DB6: a connection test of tcp ends with the preamble, which says whether the target was reached', async () => {
  const good = await host.core.call('gateway.test', { gateway: gateway.id })
  expect(good).toMatchObject({
    ok: true,
    steps: [
      { name: 'certificate', ok: true },
      { name: 'access server', ok: true },
    ],
  })
  test.server.refuseDial = () => ({ code: 'target_unreachable', text: 'the access server cannot reach cache' })
  const bad = await host.core.call('gateway.test', { gateway: gateway.id })
  expect(bad).toMatchObject({
    ok: false,
    steps: [{ ok: true }, { ok: false, text: expect.stringContaining('cannot reach cache') }],
  })
})

it('DB6: resources of protocols that only a newer server knows are left out of the list', async () => {
  test.server.resourceDetails.set('orders', { protocol: 'telepathy', accounts: 'whoever' })
  const { resources } = await host.core.call('resource.list', {})
  expect(resources.map(({ name }) => name)).toEqual(['cache'])
})

it('G1: bytes that the service sent before its end arrive whole, and the client may go on after it', async () => {
  const heard: Buffer[] = []
  test.server.serveTcp = (socket) => {
    socket.on('data', (bytes: Buffer) => heard.push(bytes))
    socket.end('all of it')
  }
  const client = await connect()
  await once(client.socket, 'end')
  expect(client.text).toBe('all of it')
  client.socket.end('and one more thing')
  await client.closed
  await waitUntil(() => Buffer.concat(heard).toString() === 'and one more thing', 'the bytes after the half-close')
})
