// C3, C4, C7 on the wire: the real server on its public port, spoken to with Node's TLS as an attacker or an old client would.
import { createPublicKey, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import tls from 'node:tls'
import pino from 'pino'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readPreamble } from '../../link/preamble.ts'
import { Tunnel } from '../../link/tunnel/tunnel.ts'
import { ALPN, formatIdentity, identityFromSubjectAltName, parseIdentity } from '../../shared/names.ts'
import { openAuthority } from '../../server/ca/authority.ts'
import { signCertificate } from '../../server/ca/certificate.ts'
import { loadConfig } from '../../server/config.ts'
import { initialise, type Initialised } from '../../server/init.ts'
import { openPublicPort } from '../../server/router/public-port.ts'
import { loadMasterKey } from '../../server/secrets/master-key.ts'
import { startServer, type RunningServer } from '../../server/start.ts'
import { openStore, type Store } from '../../server/store/store.ts'
import { grant, newKeyAndCsr, resource, role, user } from '../server/support/access-server.ts'

type Credentials = { cert: string; key: string }
/** Every field that some answer has; a test asks for those of the answer that it expects. */
type Body = { certificate: string; cas: string[]; error: { code: string } }

let directory: string
let made: Initialised
let server: RunningServer
let store: Store
let authority: Awaited<ReturnType<typeof openAuthority>>
let admin: Credentials
let caPem: string
let clockShiftMs = 0
const now = () => new Date(Date.now() + clockShiftMs)

const config = () => ({
  ...loadConfig(undefined, { dataDir: path.join(directory, 'data'), listen: '127.0.0.1:0' }),
  log: { level: 'info' as const, file: path.join(directory, 'server.log') },
})

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'postern-port-'))
  made = await initialise(config(), { now })
  server = await startServer(config(), { now, version: '0.0.0-test' })
  store = await openStore(config().store)
  authority = await openAuthority(store.db, await loadMasterKey(config().masterKeyFile), now)
  caPem = authority.serverCaPem
  const { key, csr } = newKeyAndCsr()
  const root = { setupCode: made.setupCode, user: 'root', password: 'correct horse root', csr }
  admin = { cert: (await call('POST', '/v1/setup', root)).certificate, key }
  const documents = [
    user('alice'),
    resource('orders', { address: '127.0.0.1:9' }),
    role('dev', { resources: ['*'], accounts: ['*'] }),
    grant('alice', 'dev'),
  ]
  await call('POST', '/v1/admin/apply', { documents }, admin)
}, 60_000)
afterAll(async () => {
  await server.stop('the test is over')
  await store.close()
  await rm(directory, { recursive: true, force: true })
})

/** A socket with this ALPN name (or none), after its handshake; it verifies the server unless `ca` is null. */
async function connect(alpn: string | undefined, options: tls.ConnectionOptions = {}): Promise<tls.TLSSocket> {
  const port = Number(server.address.split(':').at(-1))
  const names = alpn === undefined ? {} : { ALPNProtocols: [alpn] }
  const socket = tls.connect({ host: '127.0.0.1', port, ca: caPem, ...names, ...options })
  socket.on('error', () => undefined)
  await once(socket, 'secureConnect', { signal: AbortSignal.timeout(20_000) })
  return socket
}

/** One request on a connected socket, which stays connected for the next one. */
async function ask(socket: tls.TLSSocket, method: string, url: string, body?: unknown): Promise<Body> {
  const payload = body === undefined ? '' : JSON.stringify(body)
  const headers = `host: here\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(payload)}`
  let text = ''
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const onData = (bytes: Buffer) => {
    text += bytes.toString('latin1')
    const [head = '', rest] = text.split('\r\n\r\n', 2)
    const length = /^content-length: (\d+)$/im.exec(head)?.[1]
    if (rest !== undefined && rest.length >= Number(length)) resolve(rest)
  }
  const onClose = () => reject(new Error(`closed before the answer was whole: ${text}`))
  socket.on('data', onData).on('close', onClose)
  socket.write(`${method} ${url} HTTP/1.1\r\n${headers}\r\n\r\n${payload}`)
  try {
    return JSON.parse(await promise) as Body
  } finally {
    socket.off('data', onData).off('close', onClose)
  }
}

async function call(method: string, url: string, body?: unknown, credentials?: Credentials): Promise<Body> {
  const socket = await connect(credentials ? ALPN.control : ALPN.web, credentials ?? {})
  try {
    return await ask(socket, method, url, body)
  } finally {
    socket.destroy()
  }
}

/** What the server says to a connection on a protocol's name: `ok` or the code of its refusal. */
async function dial(alpn: string, options: tls.ConnectionOptions = {}): Promise<string> {
  const socket = await connect(alpn, options)
  try {
    return await preambleOf(socket)
  } finally {
    socket.destroy()
  }
}

/** What the server says first: `ok` or the code of its refusal. */
async function preambleOf(socket: tls.TLSSocket): Promise<string> {
  const preamble = await readPreamble(socket, AbortSignal.timeout(20_000))
  return 'ok' in preamble ? 'ok' : preamble.refused.code
}

/** What a client is given to resume a session by, which comes at any time behind the handshake. */
async function ticketsOf(
  alpn: string,
  options: tls.ConnectionOptions,
  read: (socket: tls.TLSSocket) => Promise<unknown>,
): Promise<Buffer[]> {
  const tickets: Buffer[] = []
  const socket = await connect(alpn, options)
  socket.on('session', (ticket) => tickets.push(ticket))
  const given = once(socket, 'session', { signal: AbortSignal.timeout(20_000) })
  await read(socket)
  await given
  socket.destroy()
  return tickets
}

async function logIn(): Promise<Credentials> {
  const { key, csr } = newKeyAndCsr()
  const answer = await call('POST', '/v1/login', { user: 'alice', password: 'correct horse alice', csr })
  return { cert: answer.certificate, key }
}

async function routeFor(login: Credentials): Promise<Credentials> {
  const { key, csr } = newKeyAndCsr()
  const body = { resource: 'orders', protocol: 'postgres', account: 'reader', csr }
  return { cert: (await call('POST', '/v1/routes', body, login)).certificate, key }
}

describe('ALPN names and certificates', () => {
  it('C3: without an ALPN name nothing is served, with an unknown one TLS itself says no', async () => {
    const nameless = await connect(undefined).catch(() => undefined)
    if (nameless) {
      let received = 0
      nameless.on('data', (bytes: Buffer) => (received += bytes.length))
      if (!nameless.destroyed) await once(nameless, 'close', { signal: AbortSignal.timeout(20_000) })
      expect(received).toBe(0)
    }
    await expect(connect('h2')).rejects.toMatchObject({ code: 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL' })
  })

  it('C3: each name takes its own kind of certificate and no other', async () => {
    const login = await logIn()
    const route = await routeFor(login)
    expect(await dial(ALPN.postgres, route)).toBe('ok')
    expect(await dial(ALPN.postgres, {})).toBe('bad_certificate')
    expect(await dial(ALPN.postgres, login)).toBe('wrong_identity')
    expect(await dial(ALPN.postgresCancel, login)).toBe('wrong_identity')
    expect(await dial(ALPN.tcp, route)).toBe('wrong_identity')
    expect((await call('GET', '/v1/me', undefined, route)).error.code).toBe('wrong_identity')
    expect((await call('GET', '/v1/me')).error.code).toBe('login_required')
  })

  it('C3: a certificate of our own CA that lacks an identity, or has one of elsewhere, is refused', async () => {
    const route = await routeFor(await logIn())
    const identity = identityFromSubjectAltName(new X509Certificate(route.cert).subjectAltName)
    if (!identity) throw new Error('the route certificate has no identity')
    const uri = formatIdentity(identity)
    expect(parseIdentity(uri)).toEqual(identity)
    const withUri = (other: string): Credentials => ({
      key: route.key,
      cert: signCertificate(
        {
          commonName: 'alice',
          publicKey: createPublicKey(route.key),
          notBefore: new Date(now().getTime() - 60_000),
          notAfter: new Date(now().getTime() + 60_000),
          profile: { kind: 'client', uri: other },
        },
        authority.cas.user,
      ),
    })
    // The same by hand is fine: what is refused below is refused for its identity alone.
    expect(await dial(ALPN.postgres, withUri(uri))).toBe('ok')
    for (const other of [
      'https://example.org/alice',
      uri.replace('spiffe://', 'spiffe://elsewhere-'),
      uri.replace(/\/route\/.*/, ''),
      `${uri}/more`,
      uri.replace('/user/alice/', '/user/root/'),
      uri.replace(/route\/.*/, 'route/not-there'),
    ])
      expect([other, await dial(ALPN.postgres, withUri(other))]).toEqual([other, 'wrong_identity'])
  })
})

describe('every connection is judged anew', () => {
  it('C4: expired, ended or not allowed any more is refused at the next handshake, with why', async () => {
    const login = await logIn()
    const route = await routeFor(login)
    expect(await dial(ALPN.postgres, route)).toBe('ok')
    await call('POST', '/v1/admin/apply', { documents: [role('dev')] }, admin)
    expect(await dial(ALPN.postgres, route)).toBe('resource_denied')
    await call('POST', '/v1/admin/apply', { documents: [role('dev', { resources: ['*'], accounts: ['*'] })] }, admin)
    expect(await dial(ALPN.postgres, route)).toBe('ok')
    clockShiftMs += config().ttl.route + 1000
    expect(await dial(ALPN.postgres, route)).toBe('certificate_expired')
    const fresh = await routeFor(login)
    expect(await dial(ALPN.postgres, fresh)).toBe('ok')
    await call('POST', '/v1/logout', {}, login)
    expect(await dial(ALPN.postgres, fresh)).toBe('login_expired')
  })

  it('C4: a connection to the API that was good is asked again at its next request', async () => {
    const login = await logIn()
    const socket = await connect(ALPN.control, login)
    try {
      expect(await ask(socket, 'GET', '/v1/me')).toMatchObject({ user: 'alice' })
      await call('POST', '/v1/logout', {}, login)
      expect((await ask(socket, 'GET', '/v1/me')).error.code).toBe('login_expired')
    } finally {
      socket.destroy()
    }
  })

  it('C4: a resumed session is judged anew as well, by the certificate that it began with, whatever it is shown now', async () => {
    const login = await logIn()
    const route = await routeFor(login)
    const [session] = await ticketsOf(ALPN.postgres, route, preambleOf)
    const resumed = async (options: tls.ConnectionOptions = route): Promise<string> => {
      const socket = await connect(ALPN.postgres, { session, ...options })
      try {
        expect(socket.isSessionReused()).toBe(true)
        return await preambleOf(socket)
      } finally {
        socket.destroy()
      }
    }
    expect(await resumed()).toBe('ok')
    await call('POST', '/v1/admin/apply', { documents: [role('dev')] }, admin)
    expect(await resumed()).toBe('resource_denied')
    await call('POST', '/v1/admin/apply', { documents: [role('dev', { resources: ['*'], accounts: ['*'] })] }, admin)
    expect(await resumed()).toBe('ok')
    // A certificate that is good does not help a session of another one.
    const other = await routeFor(await logIn())
    await call('POST', '/v1/logout', {}, login)
    expect(await resumed()).toBe('login_expired')
    expect(await resumed(other)).toBe('login_expired')
    const [late] = await ticketsOf(ALPN.postgres, other, preambleOf)
    clockShiftMs += config().ttl.route + 1000
    expect(await dial(ALPN.postgres, { session: late, ...other })).toBe('certificate_expired')
    const fresh = await routeFor(await logIn())
    const socket = await connect(ALPN.postgres, { session: late, ...fresh })
    expect(socket.isSessionReused()).toBe(true)
    expect(await preambleOf(socket)).toBe('certificate_expired')
    socket.destroy()
  })

  it('C4, C3: what a session of the web or of the API resumes by opens no route', async () => {
    const login = await logIn()
    const route = await routeFor(login)
    const web = await ticketsOf(ALPN.web, {}, (socket) => ask(socket, 'GET', '/v1/cluster'))
    const control = await ticketsOf(ALPN.control, login, (socket) => ask(socket, 'GET', '/v1/me'))
    for (const session of web) {
      const socket = await connect(ALPN.postgres, { session, ...route })
      expect(socket.isSessionReused()).toBe(false)
      socket.destroy()
      expect(await dial(ALPN.postgres, { session })).toBe('bad_certificate')
    }
    for (const session of control) expect(await dial(ALPN.postgres, { session, ...route })).toBe('wrong_identity')
    expect(web.length * control.length).toBeGreaterThan(0)
  })
})

describe('a tunnel', () => {
  const settings = { idleMs: 600_000, pingEveryMs: 600_000, pongWithinMs: 600_000 }
  async function tunnelWith(options: tls.ConnectionOptions): Promise<Tunnel> {
    const socket = await connect(ALPN.tunnel, options)
    return new Tunnel({ socket, transport: socket, settings })
  }
  /** What the server says to a stream for that protocol. */
  async function streamOn(tunnel: Tunnel, alpn: string): Promise<string> {
    const link = tunnel.open(alpn)
    const preamble = await readPreamble(link.stream, AbortSignal.timeout(20_000))
    link.destroy()
    return 'ok' in preamble ? 'ok' : preamble.refused.code
  }

  it('C3, C4: allows nothing by itself: each stream is refused with why, beside others that are not', async () => {
    const login = await logIn()
    const route = await routeFor(login)
    const tunnel = await tunnelWith(route)
    expect(await streamOn(tunnel, ALPN.postgres)).toBe('ok')
    for (const other of [ALPN.tcp, ALPN.control, ALPN.tunnel, 'postern-of-tomorrow'])
      expect([other, await streamOn(tunnel, other)]).toEqual([other, 'wrong_identity'])
    expect(await streamOn(tunnel, ALPN.postgres)).toBe('ok')
    tunnel.drain()
    expect(await tunnel.closed).toBeUndefined()
    const nameless = await tunnelWith({})
    expect(await streamOn(nameless, ALPN.postgres)).toBe('bad_certificate')
    nameless.destroy()
    const asUser = await tunnelWith(login)
    expect(await streamOn(asUser, ALPN.postgres)).toBe('wrong_identity')
    asUser.destroy()
  })

  it('C4: each stream is judged anew: what was allowed when the tunnel came up may not be any more', async () => {
    const login = await logIn()
    const tunnel = await tunnelWith(await routeFor(login))
    expect(await streamOn(tunnel, ALPN.postgres)).toBe('ok')
    await call('POST', '/v1/admin/apply', { documents: [role('dev')] }, admin)
    expect(await streamOn(tunnel, ALPN.postgres)).toBe('resource_denied')
    await call('POST', '/v1/admin/apply', { documents: [role('dev', { resources: ['*'], accounts: ['*'] })] }, admin)
    expect(await streamOn(tunnel, ALPN.postgres)).toBe('ok')
    clockShiftMs += config().ttl.route + 1000
    expect(await streamOn(tunnel, ALPN.postgres)).toBe('certificate_expired')
    const fresh = await tunnelWith(await routeFor(login))
    expect(await streamOn(fresh, ALPN.postgres)).toBe('ok')
    await call('POST', '/v1/logout', {}, login)
    expect(await streamOn(fresh, ALPN.postgres)).toBe('login_expired')
    for (const one of [tunnel, fresh]) one.destroy()
  })

  it('S8: a session that is ended ends its streams, and the tunnel lives on', async () => {
    const login = await logIn()
    const tunnel = await tunnelWith(await routeFor(login))
    const link = tunnel.open(ALPN.postgres)
    await readPreamble(link.stream, AbortSignal.timeout(20_000))
    link.stream.resume()
    await call('POST', '/v1/logout', {}, login)
    if (!link.stream.readableEnded) await once(link.stream, 'end', { signal: AbortSignal.timeout(20_000) })
    expect(tunnel.isOpen).toBe(true)
    tunnel.destroy()
  })
})

describe('another certificate under running listeners', () => {
  it('C7, C4: what is connected goes on, new handshakes get the new one, on every name, and no session is resumed', async () => {
    const login = await logIn()
    const before = await connect(ALPN.control, login)
    expect(await ask(before, 'GET', '/v1/me')).toMatchObject({ user: 'alice' })
    const old = before.getPeerX509Certificate()?.fingerprint256
    const route = await routeFor(login)
    const [session] = await ticketsOf(ALPN.postgres, route, preambleOf)
    await call('POST', '/v1/admin/ca/rotate', {}, admin)
    const { cas } = await call('GET', '/v1/cluster')
    expect(cas).toHaveLength(2)
    // What sessions were resumed by is of no use any more, which a client does not notice (C4).
    const late = await connect(ALPN.postgres, { session, ...route, ca: cas })
    expect(late.isSessionReused()).toBe(false)
    expect(await preambleOf(late)).toBe('ok')
    late.destroy()
    const [fresh = ''] = cas
    for (const [alpn, credentials] of [
      [ALPN.web, {}],
      [ALPN.control, login],
      [ALPN.postgres, await routeFor(login)],
    ] as const) {
      for (const ca of [caPem, fresh]) {
        const socket = await connect(alpn, { ...credentials, ca })
        expect(socket.authorized).toBe(true)
        expect(socket.getPeerX509Certificate()?.fingerprint256).not.toBe(old)
        socket.destroy()
      }
    }
    expect(await ask(before, 'GET', '/v1/me')).toMatchObject({ user: 'alice', renewCertificate: true })
    expect(await dial(ALPN.postgres, await routeFor(login))).toBe('ok')
    before.destroy()
  })

  it('C7: one that cannot be used changes nothing', async () => {
    const material = await authority.serverTls(['127.0.0.1'])
    const port = await openPublicPort({
      host: '127.0.0.1',
      port: 0,
      material,
      clientCas: [],
      onConnection: (socket) => socket.end('here'),
      log: pino({ level: 'silent' }),
    })
    try {
      const other = newKeyAndCsr().key
      expect(() => port.setIdentity({ material: { ...material, key: other }, clientCas: [] })).toThrow()
      expect(() => port.setIdentity({ material: { key: 'no', cert: 'PEM' }, clientCas: [] })).toThrow()
      for (const alpn of [ALPN.web, ALPN.control]) {
        const socket = tls.connect({
          host: '127.0.0.1',
          port: port.port,
          ca: authority.serverCaPem,
          ALPNProtocols: [alpn],
        })
        await once(socket, 'secureConnect')
        expect(socket.authorized).toBe(true)
        socket.destroy()
      }
    } finally {
      await port.destroy()
    }
  })
})
