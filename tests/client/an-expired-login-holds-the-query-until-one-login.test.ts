// The scenario: a connected psql goes on, the next one waits, one login, rows, and every other gateway is fresh too.
import { afterEach, beforeEach, expect, it } from 'vitest'
import { psql, RawClient, startup, TestCore, waitUntil, type TestHost } from '../support/client-core.ts'
import { encodeQuery } from '../../shared/wire/postgres/frontend-messages.ts'

let test: TestCore
let host: TestHost

beforeEach(async () => {
  test = await TestCore.start()
  host = await test.attach()
  await test.login(host)
})
afterEach(() => test.close())

it('G1: psql gets its rows through a gateway', async () => {
  const gateway = await test.open(host)
  const result = await psql(gateway, 'select 42')
  expect(result.stderr).toBe('')
  expect(result.stdout.trim()).toBe('you said: select 42')
})

it('G2 G5 G11 G13: psql is held, one login is asked for with its reason, and then it prints its rows', async () => {
  const gateway = await test.open(host)
  test.expire()
  const waiting = psql(gateway, 'select 7')
  const asked = await host.next('login.requested')
  expect(asked).toMatchObject({
    profile: 'test',
    user: 'alice',
    waiting: 1,
    reason: { kind: 'connection', gateway: gateway.id, resource: 'orders', account: 'reader', client: 'psql' },
  })
  await test.submit(host, asked.requestId)
  const result = await waiting
  expect(result.stderr).toBe('')
  expect(result.stdout.trim()).toBe('you said: select 7')
  expect(host.all('login.requested')).toHaveLength(1)
  expect(await host.next('login.closed')).toMatchObject({ requestId: asked.requestId, outcome: 'succeeded' })
})

it('G5 G6 G12: many held connections of two gateways wait for one login, and all go on', async () => {
  const orders = await test.open(host, 'orders')
  const payments = await test.open(host, 'payments')
  test.expire()
  const clients = await Promise.all(
    Array.from({ length: 40 }, (_, index) => RawClient.connect(index % 2 ? orders.port : payments.port)),
  )
  const asked = await host.next('login.requested')
  await host.next('login.updated', (prompt) => prompt.waiting === 40)
  const issuedBefore = test.server.seen.routes.length
  await test.submit(host, asked.requestId)
  await waitUntil(
    () => clients.every((client) => client.text.includes('server_version')),
    'all clients to be connected',
  )
  expect(host.all('login.requested')).toHaveLength(1)
  expect(test.server.seen.logins).toHaveLength(2)
  // One reissue a gateway, whatever the number of connections.
  expect(test.server.seen.routes.slice(issuedBefore).sort()).toEqual(['orders', 'payments'])
  for (const client of clients) client.socket.destroy()
})

it('G5: a login from another terminal, without the request id, answers the waiting clients too', async () => {
  const gateway = await test.open(host)
  const other = await test.attach({ canAsk: false })
  test.expire()
  const waiting = psql(gateway)
  await host.next('login.requested')
  await test.submit(other)
  expect((await waiting).stdout.trim()).toBe('you said: select 1')
  expect(await host.next('login.closed')).toMatchObject({ outcome: 'succeeded' })
})

it('G4: a route certificate alone is renewed without anybody noticing, once for all who wait', async () => {
  const gateway = await test.open(host)
  test.server.userTtlMs = 10 * 3_600_000
  await test.submit(host)
  const issuedBefore = test.server.seen.routes.length
  test.expire()
  const results = await Promise.all([psql(gateway), psql(gateway), psql(gateway)])
  expect(results.map((result) => result.stdout.trim())).toEqual(Array(3).fill('you said: select 1'))
  expect(host.all('login.requested')).toHaveLength(0)
  expect(test.server.seen.routes.slice(issuedBefore)).toEqual(['orders'])
})

it('G4: a user certificate that is known to have expired is not presented; after a login one more try, then the error', async () => {
  const gateway = await test.open(host)
  test.expire()
  const issuedBefore = test.server.seen.routes.length
  test.server.refusedRoutes.set('orders', { code: 'login_expired', text: 'still expired' })
  const waiting = psql(gateway)
  const asked = await host.next('login.requested')
  await test.submit(host, asked.requestId)
  const result = await waiting
  expect(result.code).not.toBe(0)
  expect(result.stderr).toContain('still expired')
  expect(host.all('login.requested')).toHaveLength(1)
  expect(test.server.seen.routes).toHaveLength(issuedBefore)
})

it('G1: a connection that runs goes on through expiry and swap', async () => {
  const gateway = await test.open(host)
  const client = await RawClient.connect(gateway.port)
  await waitUntil(() => client.text.includes('server_version'), 'the connection')
  test.expire()
  client.socket.write(encodeQuery('select during expiry'))
  await waitUntil(() => client.text.includes('select during expiry'), 'the answer after expiry')
  await test.submit(host)
  client.socket.write(encodeQuery('select after the swap'))
  await waitUntil(() => client.text.includes('select after the swap'), 'the answer after the swap')
  client.socket.destroy()
})

it('G13: what a held client sends goes on, once, in order', async () => {
  const gateway = await test.open(host)
  test.expire()
  const client = await RawClient.connect(gateway.port, startup('echo'))
  const asked = await host.next('login.requested')
  client.socket.write('first ')
  client.socket.write('second ')
  await test.submit(host, asked.requestId)
  await waitUntil(() => client.text.includes('second '), 'the echo')
  client.socket.write('third')
  await waitUntil(() => client.text.endsWith('first second third'), `the echo, came ${client.text}`)
  client.socket.destroy()
})

it('C5 C6: a certificate that only the server takes for expired goes through renewal once', async () => {
  const gateway = await test.open(host)
  // The server's clock jumps, and nobody has told the core yet.
  const hourMs = 3_600_000
  test.server.userTtlMs = 10 * hourMs
  await test.submit(host)
  test.server.now = () => Date.now() + hourMs
  const result = await psql(gateway)
  expect(result.stdout.trim()).toBe('you said: select 1')
  expect(host.all('login.requested')).toHaveLength(0)
})

it('G12, C4: every dial shows the certificate of now: a TLS session is resumed within one certificate only', async () => {
  const gateway = await test.open(host)
  await psql(gateway)
  await test.submit(host)
  await psql(gateway)
  await psql(gateway)
  const { dials } = test.server.seen
  expect(dials.map((dial) => dial.isResumed)).toEqual([false, false, true])
  expect(dials[0]?.identity.loginId).not.toBe(dials[1]?.identity.loginId)
  expect(dials[1]?.identity.loginId).toBe(dials[2]?.identity.loginId)
})

it('G12: a reissue that fails keeps the old certificate, and a notice says so', async () => {
  const orders = await test.open(host, 'orders')
  const payments = await test.open(host, 'payments')
  test.server.refusedRoutes.set('payments', { code: 'resource_denied', text: 'payments is not for alice' })
  await test.submit(host)
  expect(await host.next('notice')).toMatchObject({
    level: 'warning',
    text: expect.stringContaining('payments is not for alice'),
  })
  // Both still work: one on its new certificate, one on its old one.
  expect((await psql(orders)).stdout.trim()).toBe('you said: select 1')
  expect((await psql(payments)).stdout.trim()).toBe('you said: select 1')
  const logins = test.server.seen.dials.map((dial) => dial.identity.loginId)
  expect(new Set(logins).size).toBe(2)
})
