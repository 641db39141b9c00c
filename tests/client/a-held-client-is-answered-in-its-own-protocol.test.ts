// What becomes of a held client when nobody logs in: cancel, failure, timeout, cool-down, hang-up; and who is never held.
import { once } from 'node:events'
import { afterEach, expect, it } from 'vitest'
import { encodeCancelRequest, encodeSslRequest } from '../../shared/wire/postgres/startup.ts'
import { psql, RawClient, startup, TestCore, waitUntil, type TestHost } from '../support/client-core.ts'
import type { GatewayView } from '../../shared/rpc.ts'

let test: TestCore
let host: TestHost
let gateway: GatewayView

async function prepare(settings: Parameters<typeof TestCore.start>[0] = {}): Promise<void> {
  test = await TestCore.start(settings)
  host = await test.attach()
  await test.login(host)
  gateway = await test.open(host)
}
afterEach(() => test.close())

it('G7: a cancelled login answers every waiting client in its own protocol, and a cool-down answers the next at once', async () => {
  await prepare()
  test.expire()
  const waiting = [psql(gateway), psql(gateway), psql(gateway)]
  const asked = await host.next('login.requested')
  await host.next('login.updated', (prompt) => prompt.waiting === 3)
  const cancelledAt = performance.now()
  await host.core.call('login.cancel', { requestId: asked.requestId, outcome: 'cancelled' })
  const results = await Promise.all(waiting)
  // Else they would wait for a minute.
  expect(performance.now() - cancelledAt).toBeLessThan(10_000)
  for (const result of results) {
    expect(result.code).not.toBe(0)
    expect(result.stderr).toMatch(/Postern session on test has expired/)
    expect(result.stderr).toContain('orders as reader')
    expect(result.stderr).toContain(`postern login ${test.server.address} --user alice`)
  }
  const next = await psql(gateway)
  expect(next.stderr).toContain('the login was cancelled')
  expect(host.all('login.requested')).toHaveLength(1)
  await host.next('gateway.changed', (view) => view.state === 'cool-down')

  // Any login lifts it (G5).
  await test.submit(host)
  expect((await psql(gateway)).stdout.trim()).toBe('you said: select 1')
})

it('G7: the error is FATAL 28000, and the SSLRequest was answered with N before', async () => {
  await prepare()
  test.expire()
  const client = await RawClient.connect(gateway.port, encodeSslRequest())
  await waitUntil(() => client.text === 'N', 'the answer to the SSLRequest')
  expect(host.all('login.requested')).toHaveLength(0)
  client.socket.write(startup())
  const asked = await host.next('login.requested')
  await host.core.call('login.cancel', { requestId: asked.requestId, outcome: 'failed' })
  await client.ended()
  expect(client.text).toMatch(/^NE[^]*SFATAL\0[^]*C28000\0/)
  expect(client.text).toContain('the login failed')
})

it('G7: after the cool-down the next connection asks again', async () => {
  await prepare({ settings: { coolDown: 200 } })
  test.expire()
  const first = psql(gateway)
  const asked = await host.next('login.requested')
  await host.core.call('login.cancel', { requestId: asked.requestId, outcome: 'cancelled' })
  await first
  // The pause may be over before psql is.
  await waitUntil(() => {
    const states = host.all('gateway.changed').map(({ state }) => state)
    return states.includes('cool-down') && states.lastIndexOf('needs login') > states.lastIndexOf('cool-down')
  }, 'the end of the cool-down')
  const second = psql(gateway)
  const again = await host.next('login.requested', ({ requestId }) => requestId !== asked.requestId)
  await test.submit(host, again.requestId)
  expect((await second).code).toBe(0)
})

it('G7: a wrong password leaves the request open', async () => {
  await prepare()
  test.expire()
  const waiting = psql(gateway)
  const asked = await host.next('login.requested')
  await expect(test.submit(host, asked.requestId, 'wrong')).rejects.toMatchObject({ code: 'bad_credentials' })
  expect(host.all('login.closed')).toHaveLength(0)
  await test.submit(host, asked.requestId)
  expect((await waiting).code).toBe(0)
})

it('G9: the wait is bounded, and the client is told that nobody logged in', async () => {
  await prepare({ settings: { loginWait: 300 } })
  test.expire()
  const result = await psql(gateway)
  expect(result.stderr).toContain('nobody logged in in time')
  expect(await host.next('login.closed')).toMatchObject({ outcome: 'timed out' })
})

it('G9: a password that is on its way extends the wait', async () => {
  await prepare({ settings: { loginWait: 5000, loginHardLimit: 60_000 } })
  test.expire()
  const waiting = psql(gateway)
  const asked = await host.next('login.requested')
  const closedEarly = host
    .next('login.closed', () => true, 2000)
    .then(
      () => true,
      () => false,
    )
  test.server.beforeLogin = async () => {
    await closedEarly
  }
  await test.submit(host, asked.requestId)
  expect(await closedEarly).toBe(false)
  expect((await waiting).code).toBe(0)
})

it('G9: never beyond the hard limit, and the connect timeout in the URL outlasts it', async () => {
  await prepare({ settings: { loginWait: 200, loginHardLimit: 600 } })
  expect(Number(new URL(gateway.url).searchParams.get('connect_timeout'))).toBeGreaterThan(20)
  expect(gateway.env).toMatchObject({ PGPORT: String(gateway.port), PGSSLMODE: 'disable', PGUSER: 'reader' })
  test.expire()
  const release = Promise.withResolvers<undefined>()
  test.server.beforeLogin = () => release.promise
  const waiting = psql(gateway)
  const asked = await host.next('login.requested')
  const login = test.submit(host, asked.requestId)
  expect((await waiting).stderr).toContain('nobody logged in in time')
  release.resolve(undefined)
  await login
})

it('G8: when the last held client hangs up, an untouched request is withdrawn', async () => {
  await prepare()
  test.expire()
  const clients = [await RawClient.connect(gateway.port), await RawClient.connect(gateway.port)]
  const asked = await host.next('login.requested')
  await host.next('login.updated', (prompt) => prompt.waiting === 2)
  // FIN counts as hanging up; so does a reset.
  clients[0]!.socket.end()
  await host.next('login.updated', (prompt) => prompt.waiting === 1)
  clients[1]!.socket.resetAndDestroy()
  expect(await host.next('login.closed')).toMatchObject({ requestId: asked.requestId, outcome: 'withdrawn' })
  clients[0]!.socket.destroy()
})

it('G8: a request that the person has begun to fill in stays, and a later client joins it', async () => {
  await prepare()
  test.expire()
  const client = await RawClient.connect(gateway.port)
  const asked = await host.next('login.requested')
  await host.core.call('login.touch', { requestId: asked.requestId })
  client.socket.destroy()
  await waitUntil(async () => {
    const { gateways } = await host.core.call('gateway.list', {})
    return gateways[0]?.waiting === 0
  }, 'the client to have left')
  expect(host.all('login.closed')).toHaveLength(0)
  const later = psql(gateway)
  await host.next('gateway.changed', (view) => view.waiting === 1)
  await test.submit(host, asked.requestId)
  expect((await later).code).toBe(0)
  expect(host.all('login.requested')).toHaveLength(1)
})

it('G2: a port scan, an HTTP request, TLS, garbage and half a startup message raise no request', async () => {
  await prepare()
  test.expire()
  const scan = new RawClient(gateway.port)
  await once(scan.socket, 'connect')
  scan.socket.end()
  const half = await RawClient.connect(gateway.port, startup().subarray(0, 20))
  for (const first of [
    Buffer.from('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n'),
    Buffer.from('16030100f8010000f40303', 'hex'),
    Buffer.from('ffffffffffffffffffff', 'hex'),
    Buffer.concat([encodeSslRequest(), encodeSslRequest(), encodeSslRequest(), encodeSslRequest()]),
  ]) {
    const client = await RawClient.connect(gateway.port, first)
    await client.ended()
    expect(client.text.replaceAll('N', '')).toBe('')
  }
  half.socket.end()
  await half.ended()
  await scan.ended()
  expect(host.all('login.requested')).toHaveLength(0)
  expect(test.server.seen.dials).toHaveLength(0)
})

it('DB1 G7: a cancel request is never held: it goes out on its own ALPN name with the expired certificate', async () => {
  await prepare()
  test.expire()
  const request = encodeCancelRequest({ processId: 7, secret: 9 })
  const client = await RawClient.connect(gateway.port, request)
  await client.ended()
  expect(test.server.seen.cancels).toEqual([request])
  expect(host.all('login.requested')).toHaveLength(0)
})

it('G3: a refusal of the server closes the connection with its text, and nobody is asked to log in', async () => {
  await prepare()
  test.server.refuseDial = () => ({ code: 'account_denied', text: 'alice may not use reader any more' })
  const result = await psql(gateway)
  expect(result.stderr).toContain('alice may not use reader any more')
  expect(result.stderr).toContain('e-1')
  expect(await host.next('notice')).toMatchObject({ text: expect.stringContaining('may not use reader') })
  await host.next('gateway.changed', (view) => view.state === 'refused')
  expect(host.all('login.requested')).toHaveLength(0)
})

it('G3: a certificate of somebody else is unrecoverable: the connection is told why, nobody is asked', async () => {
  await prepare()
  // Bob logs in to the same profile: the gateway is alice's, and so is its certificate, which is still good.
  await host.core.call('login.submit', { user: 'bob', password: 'open sesame' })
  const result = await psql(gateway)
  expect(result.stderr).toContain('opened by alice, but you are bob')
  expect(host.all('login.requested')).toHaveLength(0)
  expect(test.server.seen.dials).toHaveLength(0)
})

it('G7: an unreachable server is 08006, said within the deadline, and no login is asked for', async () => {
  await prepare()
  await test.server.close()
  const client = await RawClient.connect(gateway.port)
  await client.ended()
  expect(client.text).toContain('C08006')
  expect(client.text).toContain(`cannot reach the access server at ${test.server.address}`)
  expect(host.all('login.requested')).toHaveLength(0)
})

it('G5: the request moves to the next host when the asked one disappears; without one every host is told', async () => {
  await prepare()
  const window = await test.attach({ kind: 'window' })
  const page = await test.attach({ canAsk: false })
  test.expire()
  const waiting = psql(gateway)
  // The host whose gateway was hit comes first; it owns the gateway, so this gateway must outlive it.
  const asked = await host.next('login.requested')
  expect(window.all('login.requested')).toHaveLength(0)
  await host.core.call('gateway.open', { resource: 'orders', keep: 'detached' })
  await host.core.close()
  expect(await window.next('login.requested')).toMatchObject({ requestId: asked.requestId })
  await window.core.close()
  expect(await page.next('login.needed')).toMatchObject({ requestId: asked.requestId })
  await test.submit(page)
  expect((await waiting).code).toBe(0)
})
