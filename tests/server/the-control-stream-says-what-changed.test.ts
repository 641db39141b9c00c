// The server's end of the control stream: who gets one, what it says when logins, sessions and access change, how it ends, and
// that a client which is gone, silent or greedy costs nothing for long.
import { once } from 'node:events'
import tls from 'node:tls'
import { afterEach, describe, expect, it } from 'vitest'
import { createAuditLog } from '../../server/audit/audit-log.ts'
import { CONTROL_CLOSE, CONTROL_PATH } from '../../shared/control.ts'
import { ALPN } from '../../shared/names.ts'
import { waitUntil } from '../support/client-core.ts'
import { ControlClient, type OpenOptions } from '../support/control-client.ts'
import { grant, resource, role, startTestServer, user, type Person, type TestServer } from './support/access-server.ts'
import { limited, newSessionOwner } from '../support/session-owner.ts'

let server: TestServer
let root: Person
const clients: ControlClient[] = []

const start = async (...options: Parameters<typeof startTestServer>): Promise<void> => {
  server = await startTestServer(...options)
  root = await server.setUp()
  await server.apply(
    root,
    resource('orders'),
    role('developer', { resources: ['orders'], accounts: ['reader'], databases: ['*'] }),
    user('alice'),
    user('bob'),
    grant('alice', 'developer'),
  )
}
const openAs = async (credentials: Person | undefined, options: OpenOptions = {}): Promise<ControlClient> => {
  const client = await ControlClient.open(
    { port: server.port, caPem: server.caPem, ...(credentials ? { credentials } : {}) },
    options,
  )
  clients.push(client)
  return client
}
const logIn = (name: string): Promise<Person> => server.logIn(name, `correct horse ${name}`)
const typesOf = (client: ControlClient) => client.messages.map(({ type }) => type)

/** Sends bytes over a fresh TLS connection; the whole answer. */
const sendRaw = async (credentials: Person, text: string): Promise<string> => {
  const socket = tls.connect({
    host: '127.0.0.1',
    port: server.port,
    ca: server.caPem,
    ALPNProtocols: [ALPN.control],
    cert: credentials.certificate,
    key: credentials.key,
  })
  await once(socket, 'secureConnect')
  let received = ''
  socket.on('data', (bytes: Buffer) => (received += bytes.toString()))
  socket.write(text)
  await once(socket, 'end')
  socket.destroy()
  return received
}

afterEach(async () => {
  for (const client of clients.splice(0)) client.close()
  await server.close()
})

describe('who gets a control stream', () => {
  it('C9: a signed-in person; the first message says the time, the version and when the login ends', async () => {
    await start()
    const alice = await logIn('alice')
    const hello = await (await openAs(alice)).next('hello')
    expect(hello).toEqual({
      v: 1,
      type: 'hello',
      serverTime: server.clock.now.toISOString(),
      version: '0.0.0-test',
      loginEndsAt: alice.expiresAt,
    })
  })

  it('E2, W2: everybody else gets a framed error: no certificate, another ALPN name, an ended login, a strange handshake', async () => {
    await start()
    const alice = await logIn('alice')
    expect((await openAs(undefined)).refused).toMatchObject({
      status: 401,
      body: { error: { code: 'login_required' } },
    })
    expect((await openAs(alice, { alpn: ALPN.web })).refused).toMatchObject({
      status: 401,
      body: { error: { code: 'login_required' } },
    })
    const key = 'dGhlIHNhbXBsZSBub25jZQ=='
    const upgrade = `Host: x\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\n`
    const posted = await sendRaw(alice, `POST ${CONTROL_PATH} HTTP/1.1\r\n${upgrade}Upgrade: websocket\r\n\r\n`)
    expect(posted).toMatch(/^HTTP\/1\.1 400 .*"code":"bad_request".*Invalid HTTP method/s)
    const other = await sendRaw(alice, `GET ${CONTROL_PATH} HTTP/1.1\r\n${upgrade}Upgrade: h2c\r\n\r\n`)
    expect(other).toMatch(/^HTTP\/1\.1 400 .*no WebSocket handshake/s)
    const tooLong = `X-Long: ${'x'.repeat(40_000)}\r\n`
    expect(await sendRaw(alice, `GET ${CONTROL_PATH} HTTP/1.1\r\n${upgrade}${tooLong}\r\n`)).toMatch(
      /^HTTP\/1\.1 400 .*"code":"bad_request"/s,
    )
    // Other paths that are asked to be upgraded, and this one without an upgrade, get the answer that the API always gives.
    const close = upgrade.replace('Upgrade\r\n', 'Upgrade, close\r\n')
    expect(await sendRaw(alice, `GET /v1/nothing HTTP/1.1\r\n${close}Upgrade: websocket\r\n\r\n`)).toMatch(
      /^HTTP\/1\.1 404 .*"code":"not_found"/s,
    )
    const plain = await server.call('GET', CONTROL_PATH, { credentials: alice })
    expect(plain).toMatchObject({ status: 426, body: { error: { code: 'unsupported' } } })
    await server.call('POST', '/v1/logout', { credentials: alice, body: {} })
    expect((await openAs(alice)).refused).toMatchObject({ status: 401, body: { error: { code: 'login_expired' } } })
  })

  it('W8, E2: no more than the caps allow, each refusal a framed 429 that is audited; a second one of a login takes the first one’s place', async () => {
    await start({ controlStreams: { total: 3, perUser: 2 } })
    const [first, second, third] = [await logIn('alice'), await logIn('alice'), await logIn('alice')]
    const one = await openAs(first)
    await openAs(second)
    const refused = await openAs(third)
    expect(refused.refused).toMatchObject({ status: 429, body: { error: { code: 'rate_limited' } } })
    expect(refused.refused?.body.error.text).toContain('controlStreams.perUser')
    expect(server.audit.at(-1)).toMatchObject({
      event: 'access.denied',
      user: 'alice',
      login: third.loginId,
      detail: { code: 'rate_limited' },
    })
    await openAs(root)
    expect((await openAs(await logIn('bob'))).refused?.body.error.text).toContain('controlStreams.total')

    const again = await openAs(first)
    await again.next('hello')
    expect(await one.ended()).toEqual({ code: CONTROL_CLOSE.replaced, reason: 'replaced' })
    // A place is free again when a stream has ended.
    again.close()
    await waitUntil(async () => (await openAs(third)).refused === undefined, 'a free place')
  })

  it('W3: a logout between the check and the registration ends the stream, because the login is looked at again', async () => {
    await start()
    const alice = await logIn('alice')
    const authenticate = server.access.authenticateUser.bind(server.access)
    let isFirst = true
    server.access.authenticateUser = async (...args) => {
      const identity = await authenticate(...args)
      if (isFirst) {
        isFirst = false
        // Told to a hub that does not have the stream yet.
        await server.call('POST', '/v1/logout', { credentials: alice, body: {} })
      }
      return identity
    }
    const client = await openAs(alice)
    expect(await client.ended()).toEqual({ code: CONTROL_CLOSE.logout, reason: 'logout' })
    expect(typesOf(client)).toEqual(['hello', 'login.ended'])
  })
})

describe('what it says', () => {
  it('C9, W4: a logout ends that login’s stream with its own code; the person’s other logins stay unless everywhere was asked', async () => {
    await start()
    const [here, elsewhere] = [await logIn('alice'), await logIn('alice')]
    const [stream, other, bob] = [await openAs(here), await openAs(elsewhere), await openAs(await logIn('bob'))]
    await server.call('POST', '/v1/logout', { credentials: here, body: {} })
    expect(await stream.ended()).toEqual({ code: 4001, reason: 'logout' })
    expect(stream.messages.at(-1)).toEqual({ v: 1, type: 'login.ended', reason: 'logout' })
    expect(other.closed).toBeUndefined()

    await server.call('POST', '/v1/logout', { credentials: elsewhere, body: { everywhere: true } })
    expect(await other.ended()).toEqual({ code: 4001, reason: 'logout' })
    expect(bob.closed).toBeUndefined()
  })

  it('W4: a disabled and a removed person and an expired login each end it in their own way', async () => {
    await start(undefined, { pingEveryMs: 50, answerWithinMs: 15_000 })
    const [alice, bob] = [await openAs(await logIn('alice')), await openAs(await logIn('bob'))]
    await server.apply(root, user('alice', { disabled: true }))
    expect(await alice.ended()).toEqual({ code: 4003, reason: 'disabled' })
    expect(alice.messages.at(-1)).toEqual({ v: 1, type: 'person.disabled' })

    await server.call('DELETE', '/v1/admin/users/bob', { credentials: root })
    expect(await bob.ended()).toEqual({ code: 4004, reason: 'removed' })
    expect(bob.messages.at(-1)).toEqual({ v: 1, type: 'login.ended', reason: 'removed' })

    const short = await openAs(root)
    server.clock.advance(server.config.ttl.user + 1000)
    expect(await short.ended()).toEqual({ code: 4002, reason: 'expired' })
    expect(short.messages.at(-1)).toEqual({ v: 1, type: 'login.ended', reason: 'expired' })
  })

  it('C9: whom a change of roles, grants and resources concerns is told to look again, after the commit; the others are not', async () => {
    await start()
    const [alice, bob] = [await openAs(await logIn('alice')), await openAs(await logIn('bob'))]
    const told = () => [alice, bob].map((one) => typesOf(one).filter((type) => type === 'access.changed').length)
    const soon = (expected: number[]) => waitUntil(() => told().join() === expected.join(), `news ${expected.join()}`)

    const developer = role('developer', { resources: ['orders'], accounts: ['writer'], databases: ['*'] })
    await server.apply(root, developer)
    await soon([1, 0])
    // The same once more changes nothing.
    await server.apply(root, developer)
    await server.apply(root, grant('bob', 'developer'))
    await soon([1, 1])
    await server.apply(root, resource('orders', { description: 'of the shop' }))
    await soon([2, 2])
    await server.call('DELETE', '/v1/admin/grants/bob/developer', { credentials: root })
    await soon([2, 3])
    await server.call('DELETE', '/v1/admin/roles/developer', { credentials: root })
    await soon([3, 3])
    await server.call('DELETE', '/v1/admin/resources/orders', { credentials: root })
    await soon([4, 4])
  })

  it('S8, C9: a session that is ended for its person is told with resource, account and reason, once its record is there', async () => {
    await start()
    const alice = await logIn('alice')
    const stream = await openAs(alice)
    const log = { error: () => undefined } as never
    const audit = createAuditLog({ db: server.store.db, now: () => new Date(), log })
    const sessions = newSessionOwner({
      db: server.store.db,
      audit,
      access: server.access,
      control: server.control,
      newId: () => 'session-1',
      log,
    })
    const { session } = await sessions.open(limited({ routeId: 'route-1', loginId: alice.loginId }), '127.0.0.1:1')
    await sessions.end(session.id, 'terminated', 'root')
    expect(await stream.next('session.ended')).toEqual({
      v: 1,
      type: 'session.ended',
      sessionId: 'session-1',
      resource: 'orders',
      account: 'reader',
      reason: 'terminated',
      why: null,
      by: 'root',
    })
    await audit.close()
  })

  it('C9, W1: who looks at everyone’s sessions hears that others’ began or ended, at most once a second; nobody else does', async () => {
    await start()
    await server.apply(root, user('carol', { level: 'viewer' }))
    const [alice, bob, carol] = [await logIn('alice'), await logIn('bob'), await logIn('carol')]
    const [ofAlice, ofBob, ofCarol, ofRoot] = await Promise.all([alice, bob, carol, root].map((one) => openAs(one)))
    const look = (credentials: Person) => server.call('GET', '/v1/sessions?scope=all', { credentials })
    expect((await look(root)).status).toBe(200)
    expect((await look(bob)).status).toBe(403)
    const one = { loginId: alice.loginId, resource: 'orders', account: 'reader' }
    for (let n = 0; n < 20; n++) server.control.sessionStarted({ ...one, sessionId: `s-${n}` })
    server.control.sessionEnded({ ...one, sessionId: 's-0', reason: 'idle', by: null })
    // What comes in one moment is told twice: the first of it, and all others together at the end of the second.
    const changes = (stream: ControlClient | undefined): number =>
      (stream ? typesOf(stream) : []).filter((type) => type === 'sessions.changed').length
    await waitUntil(() => changes(ofRoot) === 2, 'the news that waited')
    server.control.accessChanged('all')
    for (const stream of [ofAlice, ofBob, ofCarol, ofRoot]) await stream?.next('access.changed')
    expect([ofAlice, ofBob, ofCarol, ofRoot].map(changes)).toEqual([0, 0, 0, 2])

    // Of one's own one hears by name.
    await look(carol)
    server.control.sessionStarted({ ...one, loginId: carol.loginId, sessionId: 's-9' })
    await ofCarol?.next('session.started')
    expect(changes(ofCarol)).toBe(0)
  })

  it('W3: one stream that throws does not keep the others from hearing it', async () => {
    await start()
    server.control.register({
      loginId: 'broken',
      user: 'alice',
      send: () => {
        throw new Error('broken')
      },
      end: () => {
        throw new Error('broken')
      },
      closed: Promise.resolve(),
    })
    const stream = await openAs(await logIn('alice'))
    server.control.accessChanged('all')
    await stream.next('access.changed')
    expect(server.logLines.join('')).toContain('a control stream failed')
  })
})

describe('how it lives and ends', () => {
  it('I3, C6: every ping is answered, the server’s time first; the server asks too', async () => {
    await start({}, { pingEveryMs: 50, answerWithinMs: 15_000 })
    const stream = await openAs(await logIn('alice'))
    let pings = 0
    stream.webSocket.on('ping', () => (pings += 1))
    await waitUntil(() => pings >= 3, 'pings of the server')
    server.clock.advance(5000)
    const pong = once(stream.webSocket, 'pong')
    stream.webSocket.ping('question')
    expect(String((await pong)[0])).toBe('question')
    expect(stream.messages.at(-1)).toEqual({ v: 1, type: 'time', serverTime: server.clock.now.toISOString() })
  })

  it('I3: a client that does not answer is dropped', async () => {
    await start({}, { pingEveryMs: 50, answerWithinMs: 200 })
    const stream = await openAs(await logIn('alice'), { autoPong: false })
    await waitUntil(() => stream.closed !== undefined, 'the end')
    expect(server.logLines.join('')).toContain('no answer to a ping')
  })

  it('W4: a client that does not read is dropped before much waits for it; the others go on', async () => {
    await start()
    const alice = await logIn('alice')
    const [slow, other] = [await openAs(alice), await openAs(await logIn('bob'))]
    await slow.next('hello')
    slow.webSocket.pause()
    const news = {
      sessionId: 's'.repeat(4000),
      loginId: alice.loginId,
      resource: 'r',
      account: 'a',
      reason: 'idle',
    } as const
    // The kernel's buffers of both ends take some megabytes first.
    await waitUntil(() => {
      for (let i = 0; i < 200; i++) server.control.sessionEnded(news)
      return server.logLines.some((line) => line.includes('the client does not read'))
    }, 'the slow client to be dropped')
    server.control.accessChanged('all')
    await other.next('access.changed')
    // Its place is free.
    await (await openAs(alice)).next('hello')
  })

  it('C9: a server that stops says so (1001); what the client says is skipped, too much of it ends the stream', async () => {
    await start()
    const [alice, bob] = [await openAs(await logIn('alice')), await openAs(await logIn('bob'))]
    alice.webSocket.send(JSON.stringify({ v: 9, type: 'something.new' }))
    alice.webSocket.send(Buffer.from([0, 1, 2]))
    bob.webSocket.send('x'.repeat(5000))
    expect((await bob.ended()).code).toBe(1009)
    await server.control.close()
    expect(await alice.ended()).toEqual({ code: 1001, reason: 'stopping' })
  })
})
