// C3, C4 on the wire: the real server on its public port, spoken to as an attacker or an old client would.
import { createPublicKey, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import type tls from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ALPN, formatIdentity, identityFromSubjectAltName, parseIdentity } from '../../shared/names.ts'
import { signCertificate } from '../../server/ca/certificate.ts'
import type { Credentials } from '../support/running-server.ts'
import { ask, preambleOf, startSpokenToServer, type SpokenToServer } from './support/speak-to-server.ts'

let here: SpokenToServer
beforeAll(async () => {
  here = await startSpokenToServer()
})
afterAll(() => here.server.close())

describe('ALPN names and certificates', () => {
  it('C3: without an ALPN name nothing is served, with an unknown one TLS itself says no', async () => {
    const nameless = await here.connect(undefined).catch(() => undefined)
    if (nameless) {
      let received = 0
      nameless.on('data', (bytes: Buffer) => (received += bytes.length))
      if (!nameless.destroyed) await once(nameless, 'close', { signal: AbortSignal.timeout(20_000) })
      expect(received).toBe(0)
    }
    await expect(here.connect('h2')).rejects.toMatchObject({ code: 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL' })
  })

  it('C3: each name takes its own kind of certificate and no other', async () => {
    const login = await here.server.logIn('alice')
    const route = await here.route(login)
    expect(await here.dial(ALPN.postgres, route)).toBe('ok')
    expect(await here.dial(ALPN.postgres, {})).toBe('bad_certificate')
    expect(await here.dial(ALPN.postgres, login)).toBe('wrong_identity')
    expect(await here.dial(ALPN.postgresCancel, login)).toBe('wrong_identity')
    expect(await here.dial(ALPN.tcp, route)).toBe('wrong_identity')
    expect((await here.call('GET', '/v1/me', undefined, route)).error.code).toBe('wrong_identity')
    expect((await here.call('GET', '/v1/me')).error.code).toBe('login_required')
  })

  it('C3: a certificate of our own CA that lacks an identity, or has one of elsewhere, is refused', async () => {
    const route = await here.route()
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
          notBefore: new Date(here.now().getTime() - 60_000),
          notAfter: new Date(here.now().getTime() + 60_000),
          profile: { kind: 'client', uri: other },
        },
        here.authority.cas.user,
      ),
    })
    // The same by hand is fine: what is refused below is refused for its identity alone.
    expect(await here.dial(ALPN.postgres, withUri(uri))).toBe('ok')
    for (const other of [
      'https://example.org/alice',
      uri.replace('spiffe://', 'spiffe://elsewhere-'),
      uri.replace(/\/route\/.*/, ''),
      `${uri}/more`,
      uri.replace('/user/alice/', '/user/root/'),
      uri.replace(/route\/.*/, 'route/not-there'),
    ])
      expect([other, await here.dial(ALPN.postgres, withUri(other))]).toEqual([other, 'wrong_identity'])
  })
})

describe('every connection is judged anew', () => {
  it('C4: expired, ended or not allowed any more is refused at the next handshake, with why', async () => {
    const login = await here.server.logIn('alice')
    const route = await here.route(login)
    expect(await here.dial(ALPN.postgres, route)).toBe('ok')
    await here.allow(false)
    expect(await here.dial(ALPN.postgres, route)).toBe('resource_denied')
    await here.allow(true)
    expect(await here.dial(ALPN.postgres, route)).toBe('ok')
    here.pass(here.server.config.ttl.route + 1000)
    expect(await here.dial(ALPN.postgres, route)).toBe('certificate_expired')
    const fresh = await here.route(login)
    expect(await here.dial(ALPN.postgres, fresh)).toBe('ok')
    await here.call('POST', '/v1/logout', {}, login)
    expect(await here.dial(ALPN.postgres, fresh)).toBe('login_expired')
  })

  it('C4: a connection to the API that was good is asked again at its next request', async () => {
    const login = await here.server.logIn('alice')
    const socket = await here.connect(ALPN.control, login)
    try {
      expect(await ask(socket, 'GET', '/v1/me')).toMatchObject({ user: 'alice' })
      await here.call('POST', '/v1/logout', {}, login)
      expect((await ask(socket, 'GET', '/v1/me')).error.code).toBe('login_expired')
    } finally {
      socket.destroy()
    }
  })

  it('C4: a resumed session is judged anew as well, by the certificate that it began with, whatever it is shown now', async () => {
    const login = await here.server.logIn('alice')
    const route = await here.route(login)
    const [session] = await here.ticketsOf(ALPN.postgres, route, preambleOf)
    const resumed = async (options: tls.ConnectionOptions = route): Promise<string> => {
      const socket = await here.connect(ALPN.postgres, { session, ...options })
      try {
        expect(socket.isSessionReused()).toBe(true)
        return await preambleOf(socket)
      } finally {
        socket.destroy()
      }
    }
    expect(await resumed()).toBe('ok')
    await here.allow(false)
    expect(await resumed()).toBe('resource_denied')
    await here.allow(true)
    expect(await resumed()).toBe('ok')
    // A certificate that is good does not help a session of another one.
    const other = await here.route()
    await here.call('POST', '/v1/logout', {}, login)
    expect(await resumed()).toBe('login_expired')
    expect(await resumed(other)).toBe('login_expired')
    const [late] = await here.ticketsOf(ALPN.postgres, other, preambleOf)
    here.pass(here.server.config.ttl.route + 1000)
    expect(await here.dial(ALPN.postgres, { session: late, ...other })).toBe('certificate_expired')
    const fresh = await here.route()
    const socket = await here.connect(ALPN.postgres, { session: late, ...fresh })
    expect(socket.isSessionReused()).toBe(true)
    expect(await preambleOf(socket)).toBe('certificate_expired')
    socket.destroy()
  })

  it('C4, C3: what a session of the web or of the API resumes by opens no route', async () => {
    const login = await here.server.logIn('alice')
    const route = await here.route(login)
    const web = await here.ticketsOf(ALPN.web, {}, (socket) => ask(socket, 'GET', '/v1/cluster'))
    const control = await here.ticketsOf(ALPN.control, login, (socket) => ask(socket, 'GET', '/v1/me'))
    for (const session of web) {
      const socket = await here.connect(ALPN.postgres, { session, ...route })
      expect(socket.isSessionReused()).toBe(false)
      socket.destroy()
      expect(await here.dial(ALPN.postgres, { session })).toBe('bad_certificate')
    }
    for (const session of control) expect(await here.dial(ALPN.postgres, { session, ...route })).toBe('wrong_identity')
    expect(web.length * control.length).toBeGreaterThan(0)
  })
})
