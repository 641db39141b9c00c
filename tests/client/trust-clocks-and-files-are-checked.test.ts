// What the core believes and what it does not: CAs (C8), clocks (C6), answers of the server, files of the home (G4, G17).
import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createServer } from 'node:net'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { PosternError } from '../../shared/errors.ts'
import { psql, TestCore, type TestHost } from '../support/client-core.ts'
import { clocksIn } from '../support/clocks-in.ts'
import { freePort } from '../support/free-port.ts'
import { createTestCa, otherKeyPem } from '../support/certificates.ts'
import { FakeAccessServer } from '../support/fake-access-server.ts'

let test: TestCore
let host: TestHost
const DAY_MS = 86_400_000
const MINUTE_MS = 60_000

beforeEach(async () => {
  test = await TestCore.start()
  host = await test.attach()
})
afterEach(() => test.close())

it('C8: an unknown CA is refused with its fingerprint; the right pin and the CA file are accepted, a wrong pin is not', async () => {
  const { address, ca } = test.server
  await expect(host.core.call('profile.add', { address })).rejects.toMatchObject({
    code: 'server_untrusted',
    detail: { fingerprint: ca.fingerprint },
  })
  await expect(host.core.call('profile.add', { address, caPin: `sha256:${'0'.repeat(64)}` })).rejects.toMatchObject({
    code: 'server_untrusted',
    message: expect.stringContaining(ca.fingerprint),
  })
  await expect(host.core.call('profile.add', { address, caPin: 'abc' })).rejects.toMatchObject({ code: 'bad_request' })
  await expect(host.core.call('profile.add', { address, caPem: 'no PEM' })).rejects.toMatchObject({
    code: 'bad_request',
  })
  await expect(host.core.call('profile.add', { address, caPem: createTestCa().certPem })).rejects.toMatchObject({
    code: 'server_untrusted',
  })
  expect((await host.core.call('profile.list', {})).profiles).toEqual([])
  const added = await host.core.call('profile.add', { address, caPem: ca.certPem })
  expect(added).toMatchObject({ profile: 'test', fingerprint: ca.fingerprint, state: 'signed out', user: null })
  expect(await host.core.call('profile.add', { address, caPin: ca.fingerprint })).toMatchObject({ profile: 'test' })
  // Known by now: its address alone is enough.
  expect(await host.core.call('profile.add', { address })).toMatchObject({ profile: 'test' })
})

it('C8: a certificate for another name is refused', async () => {
  const ca = createTestCa()
  const other = await new FakeAccessServer({ ca, ips: ['127.0.0.9'] }).start()
  try {
    await expect(
      host.core.call('profile.add', { address: other.address, caPin: ca.fingerprint }),
    ).rejects.toMatchObject({ code: 'server_untrusted', message: expect.stringContaining('another name') })
  } finally {
    await other.close()
  }
})

it('C6: a clock that is 10 minutes off changes nothing, either way', async () => {
  for (const shiftMs of [10 * MINUTE_MS, -10 * MINUTE_MS]) {
    test.clockShiftMs = shiftMs
    await test.login(host)
    const gateway = await test.open(host)
    expect((await psql(gateway)).stdout.trim()).toBe('you said: select 1')
    const { profiles } = await host.core.call('profile.list', {})
    expect(profiles[0]?.state).toBe('ready')
    expect(Math.abs((profiles[0]?.clockOffsetMs ?? 0) + shiftMs)).toBeLessThan(5000)
    expect(profiles[0]?.remainingMs).toBeGreaterThan(59 * MINUTE_MS)
    await host.core.call('gateway.close', { gateway: 'orders' })
  }
})

it('C6: a clock that is 3 days off refuses the login and names both clocks, before a password goes out', async () => {
  await host.core.call('profile.add', { address: test.server.address, caPin: test.server.ca.fingerprint })
  test.clockShiftMs = 3 * DAY_MS
  const refused = (await test.submit(host).catch((error: unknown) => error)) as PosternError
  expect(refused.code).toBe('clock_skew')
  const [ownMs = 0, serverMs = 0] = clocksIn(refused.message)
  expect(Math.abs(serverMs - Date.now())).toBeLessThan(10 * MINUTE_MS)
  expect(Math.round((ownMs - serverMs) / MINUTE_MS)).toBe((3 * DAY_MS) / MINUTE_MS)
  expect(test.server.seen.logins).toEqual([])
})

it('C6: where TLS itself fails for the dates, the error still names both clocks', async () => {
  // A server whose clock is 5 days behind us: to us its certificate has expired.
  const ca = createTestCa()
  const from = new Date(Date.now() - 10 * DAY_MS)
  const server = new FakeAccessServer({ ca, notBefore: from, notAfter: new Date(Date.now() - 2 * DAY_MS) })
  server.now = () => Date.now() - 5 * DAY_MS
  await server.start()
  try {
    const adding = host.core.call('profile.add', { address: server.address, caPin: ca.fingerprint })
    const refused = (await adding.catch((error: unknown) => error)) as PosternError
    expect(refused.code).toBe('clock_skew')
    const [ownMs = 0, serverMs = 0] = clocksIn(refused.message)
    expect(Math.abs(ownMs - Date.now())).toBeLessThan(10 * MINUTE_MS)
    expect(Math.round((ownMs - serverMs) / MINUTE_MS)).toBe((5 * DAY_MS) / MINUTE_MS)
    // The clocks agree: then the certificate is simply old.
    server.now = Date.now
    await expect(
      host.core.call('profile.add', { address: server.address, caPin: ca.fingerprint }),
    ).rejects.toMatchObject({ code: 'server_untrusted', message: expect.stringContaining('has to renew it') })
    // And a stranger's CA gets no such courtesy.
    await expect(
      host.core.call('profile.add', { address: server.address, caPem: createTestCa().certPem }),
    ).rejects.toMatchObject({ code: 'server_untrusted' })
  } finally {
    await server.close()
  }
})

it('C8: a web page, half an answer and something that is no TLS server are told apart', async () => {
  await host.core.call('profile.add', { address: test.server.address, caPin: test.server.ca.fingerprint })
  test.server.rawAnswer = { body: '<html>captive portal</html>', contentType: 'text/html' }
  await expect(test.submit(host)).rejects.toMatchObject({
    code: 'protocol',
    message: expect.stringContaining('a web page'),
  })
  test.server.rawAnswer = { body: '{"cluster": "te', contentType: 'application/json', cut: true }
  await expect(test.submit(host)).rejects.toMatchObject({
    code: 'server_unreachable',
    message: expect.stringContaining('broke off'),
  })
  test.server.rawAnswer = { body: '{"cluster": 5}', contentType: 'application/json' }
  await expect(test.submit(host)).rejects.toMatchObject({ code: 'protocol' })
  const plain = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
  await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', () => resolve()))
  const bound = plain.address()
  const port = typeof bound === 'object' && bound ? bound.port : 0
  await expect(host.core.call('profile.add', { address: `127.0.0.1:${port}` })).rejects.toMatchObject({
    code: 'protocol',
    message: expect.stringContaining('is no Postern access server'),
  })
  plain.close()
})

it('G3: a login certificate for somebody else is refused and nothing is stored', async () => {
  await host.core.call('profile.add', { address: test.server.address, caPin: test.server.ca.fingerprint })
  test.server.certificateUser = 'mallory'
  await expect(test.submit(host)).rejects.toMatchObject({ code: 'wrong_identity' })
  expect(await readdir(test.home.profilesDir)).toEqual(['test.json'])
})

it('G17: a restarted core knows profile and login, and brings detached gateways back; expired ones ask', async () => {
  await test.login(host)
  const gateway = await test.open(host, 'orders', 'detached')
  expect((await stat(join(test.home.profilesDir, 'test.user.pem'))).mode & 0o777).toBe(0o600)
  await test.core.stop()
  await test.restart()
  expect((await psql(gateway)).code).toBe(0)
  await test.core.stop()
  test.expire()
  await test.restart()
  const again = await test.attach({ kind: 'window' })
  const { gateways } = await again.core.call('gateway.list', {})
  expect(gateways).toMatchObject([{ port: gateway.port, state: 'needs login' }])
  const waiting = psql(gateway)
  await test.submit(again, (await again.next('login.requested')).requestId)
  expect((await waiting).code).toBe(0)
})

it('G17: a corrupt profile file is kept aside, never overwritten, and the person is told', async () => {
  await test.login(host)
  const file = join(test.home.profilesDir, 'test.json')
  await test.core.stop()
  await writeFile(file, '{"version": 1, "profile": "te')
  await test.restart()
  const again = await test.attach()
  expect(await again.next('notice')).toMatchObject({ level: 'error', text: expect.stringContaining('.corrupt-') })
  expect((await again.core.call('profile.list', {})).profiles).toEqual([])
  await test.login(again)
  const aside = (await readdir(test.home.profilesDir)).filter((name) => name.includes('.corrupt-'))
  expect(aside).toHaveLength(1)
  expect(await readFile(join(test.home.profilesDir, aside[0]!), 'utf8')).toBe('{"version": 1, "profile": "te')
})

it('G4: a user certificate on disk whose key or person does not fit is not used', async () => {
  await test.login(host)
  const file = join(test.home.profilesDir, 'test.user.pem')
  const good = await readFile(file, 'utf8')
  const certificate = good.slice(good.indexOf('-----BEGIN CERTIFICATE'))
  const profile = join(test.home.profilesDir, 'test.json')
  const stored = await readFile(profile, 'utf8')
  for (const [pem, json] of [
    [otherKeyPem() + certificate, stored],
    ['torn', stored],
    [good, stored.replace('"alice"', '"bob"')],
  ] as const) {
    await test.core.stop()
    await writeFile(file, pem)
    await writeFile(profile, json)
    await test.restart()
    const again = await test.attach({ canAsk: false })
    expect(await again.next('notice')).toMatchObject({ text: expect.stringContaining('test.user.pem') })
    expect((await again.core.call('profile.list', {})).profiles).toMatchObject([{ state: 'signed out' }])
    await expect(again.core.call('resource.list', {})).rejects.toMatchObject({ code: 'login_required' })
    await again.core.close()
  }
})

it('G15: a taken port is a conflict that names it and --port, never a silent new number', async () => {
  await test.login(host)
  const gateway = await test.open(host)
  await host.core.call('gateway.close', { gateway: 'orders' })
  const squatter = createServer()
  await new Promise<void>((resolve) => squatter.listen(gateway.port, '127.0.0.1', () => resolve()))
  await expect(test.open(host)).rejects.toMatchObject({
    code: 'port_conflict',
    message: expect.stringMatching(new RegExp(`${gateway.port}.*--port`)),
  })
  const port = await freePort()
  const elsewhere = await host.core.call('gateway.open', { resource: 'orders', port, keep: 'attached' })
  expect(elsewhere.gateway.port).toBe(port)
  await expect(host.core.call('gateway.open', { resource: 'payments', port, keep: 'attached' })).rejects.toMatchObject({
    code: 'port_conflict',
    message: expect.stringContaining('your gateway for orders'),
  })
  squatter.close()
})

it('G15: a detached gateway whose port is taken at the start says so, and comes back when it is free', async () => {
  await test.login(host)
  const gateway = await test.open(host, 'orders', 'detached')
  await test.core.stop()
  const squatter = createServer()
  await new Promise<void>((resolve) => squatter.listen(gateway.port, '127.0.0.1', () => resolve()))
  await test.restart()
  const again = await test.attach()
  expect((await again.core.call('gateway.list', {})).gateways).toMatchObject([
    { state: 'port conflict', stateText: expect.stringContaining(String(gateway.port)) },
  ])
  await new Promise<void>((resolve) => squatter.close(() => resolve()))
  expect(await test.open(again, 'orders', 'detached')).toMatchObject({ port: gateway.port, state: 'listening' })
})

it('D3 G4: opening a gateway with an expired login asks through that host, else opens what is known as needs login', async () => {
  await test.login(host)
  const known = await test.open(host)
  await host.core.call('gateway.close', { gateway: 'orders' })
  test.expire()
  const mute = await test.attach({ canAsk: false })
  await expect(test.open(mute, 'payments')).rejects.toMatchObject({
    kind: 'expired',
    message: expect.stringContaining('postern login'),
  })
  expect(await test.open(mute)).toMatchObject({ port: known.port, state: 'needs login' })
  await mute.core.call('gateway.close', { gateway: 'orders' })
  const opening = test.open(host, 'payments')
  const asked = await host.next('login.requested')
  expect(asked.reason).toEqual({ kind: 'command', what: 'gateway open payments' })
  await test.submit(host, asked.requestId)
  expect(await opening).toMatchObject({ state: 'listening' })
})

it('D3: profile and gateway never look connected when expired', async () => {
  await test.login(host)
  await test.open(host)
  test.expire()
  const view = async () => (await host.core.call('profile.list', {})).profiles[0]
  expect(await view()).toMatchObject({ state: 'expired', remainingMs: 0 })
  expect((await host.core.call('gateway.list', {})).gateways).toMatchObject([{ state: 'needs login' }])
  await test.submit(host)
  expect(await view()).toMatchObject({ state: 'ready' })
  await test.server.close()
  await expect(host.core.call('resource.list', {})).rejects.toMatchObject({ code: 'server_unreachable' })
  expect(await view()).toMatchObject({ state: 'offline' })
})
