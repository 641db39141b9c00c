// A tunnel allows nothing by itself: its certificate was judged at the handshake and is kept for all of its streams, and yet each stream
// is judged anew by the CAs, logins and roles of its own moment. The real access server, one tunnel that stands all the while.
import { once } from 'node:events'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { Link } from '../../link/link.ts'
import { readPreamble } from '../../link/preamble.ts'
import { Tunnel } from '../../link/tunnel/tunnel.ts'
import { ALPN } from '../../shared/names.ts'
import { newKeyAndCsr } from '../server/support/access-server.ts'
import { startRunningServer, type Credentials, type RunningTestServer } from '../support/running-server.ts'
import { TcpService } from '../support/tcp-service.ts'
import { CALM } from '../support/tunnel-pair.ts'

const PATIENCE_MS = 30_000

let clockShiftMs = 0
let server: RunningTestServer
let service: TcpService
const tunnels: Tunnel[] = []
beforeEach(async () => {
  service = await new TcpService().start()
  clockShiftMs = 0
  server = await startRunningServer('', { now: () => new Date(Date.now() + clockShiftMs) })
  await server.apply(
    { kind: 'user', name: 'alice', password: 'correct horse alice' },
    { kind: 'resource', name: 'echo', protocol: 'tcp', address: `127.0.0.1:${service.port}` },
    { kind: 'role', name: 'dev', allow: [{ resources: ['echo'], accounts: ['tcp'] }] },
    { kind: 'grant', user: 'alice', role: 'dev' },
  )
})
afterEach(async () => {
  for (const tunnel of tunnels.splice(0)) tunnel.destroy()
  await server.close()
  await service.stop()
})

const routeOf = (login: Credentials): Promise<Credentials> => server.routeFor(login, 'echo', 'tcp', 'tcp')

async function openTunnel(route: Partial<Credentials>): Promise<Tunnel> {
  const socket = server.connect(ALPN.tunnel, route)
  await once(socket, 'secureConnect', { signal: AbortSignal.timeout(PATIENCE_MS) })
  const tunnel = new Tunnel({ socket, transport: socket, settings: CALM })
  tunnels.push(tunnel)
  return tunnel
}

/** What the next stream is told: `ok`, or the code of its refusal. */
async function nextStream(tunnel: Tunnel, alpn: string = ALPN.tcp): Promise<{ said: string; link: Link }> {
  const link = tunnel.open(alpn)
  const preamble = await readPreamble(link.stream, AbortSignal.timeout(PATIENCE_MS))
  return { said: 'ok' in preamble ? 'ok' : preamble.refused.code, link }
}
async function said(tunnel: Tunnel, alpn?: string): Promise<string> {
  const { said, link } = await nextStream(tunnel, alpn)
  link.destroy()
  return said
}

it('C3, C4: a stream for which the certificate of its tunnel is not made is refused with why, beside others that are not', async () => {
  const login = await server.logIn('alice')
  const tunnel = await openTunnel(await routeOf(login))
  expect(await said(tunnel)).toBe('ok')
  for (const other of [ALPN.postgres, ALPN.control, ALPN.tunnel, 'postern-of-tomorrow'])
    expect([other, await said(tunnel, other)]).toEqual([other, 'wrong_identity'])
  expect(await said(tunnel)).toBe('ok')
  tunnel.drain()
  expect(await tunnel.closed).toBeUndefined()
  expect(await said(await openTunnel({}))).toBe('bad_certificate')
  expect(await said(await openTunnel(login))).toBe('wrong_identity')
})

it('C4, C5: what is lost between two streams refuses the next: the role, the person, the login', async () => {
  const tunnel = await openTunnel(await routeOf(await server.logIn('alice')))
  const first = await nextStream(tunnel)
  expect(first.said).toBe('ok')
  expect(await said(tunnel)).toBe('ok')

  await server.call('DELETE', '/v1/admin/grants/alice/dev', undefined, server.root)
  expect(await said(tunnel)).toBe('resource_denied')
  // What ran on it was ended with its session.
  await first.link.closed
  await server.apply({ kind: 'grant', user: 'alice', role: 'dev' })
  expect(await said(tunnel)).toBe('ok')

  await server.apply({ kind: 'role', name: 'dev', allow: [{ resources: ['other'], accounts: ['tcp'] }] })
  expect(await said(tunnel)).toBe('resource_denied')
  await server.apply({ kind: 'role', name: 'dev', allow: [{ labels: { team: 'a' }, accounts: ['tcp'] }] })
  const address = `127.0.0.1:${service.port}`
  await server.apply({ kind: 'resource', name: 'echo', protocol: 'tcp', address, labels: { team: 'a' } })
  expect(await said(tunnel)).toBe('ok')

  await server.apply({ kind: 'user', name: 'alice', disabled: true })
  expect(await said(tunnel)).toBe('user_disabled')
  // The disabling has ended the login for good.
  await server.apply({ kind: 'user', name: 'alice', disabled: false })
  expect(await said(tunnel)).toBe('login_expired')
  await server.call('DELETE', '/v1/admin/users/alice', undefined, server.root)
  expect(await said(tunnel)).toBe('login_expired')
  expect(tunnel.isOpen).toBe(true)
})

it('C4: a route certificate that has run out and a login that has ended refuse the next stream', async () => {
  const login = await server.logIn('alice')
  const tunnel = await openTunnel(await routeOf(login))
  expect(await said(tunnel)).toBe('ok')
  clockShiftMs += server.config.ttl.route + 1000
  expect(await said(tunnel)).toBe('certificate_expired')
  const fresh = await openTunnel(await routeOf(login))
  expect(await said(fresh)).toBe('ok')
  await server.call('POST', '/v1/logout', {}, login)
  expect(await said(fresh)).toBe('login_expired')
})

it('S8: a login that ends ends the streams of its sessions, and the tunnel lives on', async () => {
  const login = await server.logIn('alice')
  const tunnel = await openTunnel(await routeOf(login))
  const { link } = await nextStream(tunnel)
  await server.call('POST', '/v1/logout', {}, login)
  await link.closed
  expect(tunnel.isOpen).toBe(true)
})

it('C4, C7: the certificate of a standing tunnel goes on while its CA is trusted, and is refused once that is dropped', async () => {
  const tunnel = await openTunnel(await routeOf(await server.logIn('alice')))
  expect(await said(tunnel)).toBe('ok')
  await server.call('POST', '/v1/admin/ca/rotate', undefined, server.root)
  expect(await said(tunnel)).toBe('ok')
  const { key, csr } = newKeyAndCsr()
  const renewed = await server.call<{ certificate: string }>('POST', '/v1/login/certificate', { csr }, server.root)
  const root = { cert: renewed.certificate, key }
  await server.call('POST', '/v1/admin/ca/finish', { force: true }, root)
  expect(await said(tunnel)).toBe('certificate_expired')
  expect(tunnel.isOpen).toBe(true)
})
