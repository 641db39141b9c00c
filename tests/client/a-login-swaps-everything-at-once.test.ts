// What a login does to the gateways of its profile (G12), and what the server may say of them meanwhile (G3, D3).
import { createServer } from 'node:net'
import { once } from 'node:events'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { AppState } from '../../shared/app-state.ts'
import type { GatewayView } from '../../shared/rpc.ts'
import { encodeQuery } from '../../shared/wire/postgres/frontend-messages.ts'
import { RawClient, TestCore, waitUntil, type TestHost } from '../support/client-core.ts'
import { PASSWORD } from '../support/fake-access-server.ts'

let test: TestCore
let host: TestHost

beforeEach(async () => {
  test = await TestCore.start()
  host = await test.attach({ kind: 'window' })
  await test.login(host)
})
afterEach(() => test.close())

const viewOf = async (gateway: GatewayView): Promise<GatewayView> => {
  const { gateways } = await host.core.call('gateway.list', {})
  return gateways.find(({ id }) => id === gateway.id)!
}
const isConnected = (client: RawClient): boolean => client.text.includes('server_version')

/** A client that comes now: connected, or refused with a text. */
async function comesThrough(gateway: GatewayView): Promise<string> {
  const client = await RawClient.connect(gateway.port)
  await waitUntil(() => isConnected(client) || client.isEnded, 'an answer to the client')
  client.socket.destroy()
  return isConnected(client) ? 'connected' : client.text
}

it('G12: no connection sees half of a swap: until the last route is issued all have their old certificate, then all the new one', async () => {
  const gateways = [await test.open(host, 'orders'), await test.open(host, 'payments')]
  const before = await Promise.all(gateways.map(viewOf))
  let issued = 0
  const asked = Promise.withResolvers<undefined>()
  const released = Promise.withResolvers<undefined>()
  // The second certificate is late.
  test.server.beforeRoute = async () => {
    issued += 1
    if (issued !== 2) return
    asked.resolve(undefined)
    await released.promise
  }
  const hourMs = 3_600_000
  test.server.routeTtlMs = hourMs
  const login = test.submit(host)
  await asked.promise
  await waitUntil(() => test.server.seen.routes.length === 3, 'the first certificate to be issued')
  const during = await Promise.all(gateways.map(viewOf))
  expect(during.map(({ certificateExpiresAt }) => certificateExpiresAt)).toEqual(
    before.map(({ certificateExpiresAt }) => certificateExpiresAt),
  )
  released.resolve(undefined)
  await login
  for (const { certificateExpiresAt } of await Promise.all(gateways.map(viewOf))) {
    expect(Date.parse(certificateExpiresAt!)).toBeGreaterThan(Date.now() + hourMs / 2)
  }
})

it('G12 G1: a route that could not be renewed says so on its page and keeps its old certificate; what runs on it goes on', async () => {
  const orders = await test.open(host, 'orders')
  const payments = await test.open(host, 'payments')
  const running = await RawClient.connect(payments.port)
  await waitUntil(() => isConnected(running), 'the connection')
  test.server.refusedRoutes.set('payments', { code: 'internal', text: 'out of order' })
  await test.submit(host)
  expect(await viewOf(payments)).toMatchObject({
    state: 'listening',
    stateText: 'The certificate could not be renewed: out of order. The old one is still used.',
  })
  expect(await viewOf(orders)).toMatchObject({ state: 'listening', stateText: null })
  expect(await host.next('notice')).toMatchObject({
    text: expect.stringMatching(/payments.* was not renewed: out of order/),
  })
  running.socket.write(encodeQuery('select during it'))
  await waitUntil(() => running.text.includes('select during it'), 'the answer')
  running.socket.destroy()
  expect(await comesThrough(payments)).toBe('connected')
  test.server.refusedRoutes.clear()
  await test.submit(host)
  expect(await viewOf(payments)).toMatchObject({ state: 'listening', stateText: null })
})

it('G3 G4 D3: a role that was taken away while the login was over is a refusal for who waited, and the gateway recovers when it is back', async () => {
  const orders = await test.open(host, 'orders')
  const payments = await test.open(host, 'payments')
  test.expire()
  const [one, two] = [await RawClient.connect(orders.port), await RawClient.connect(payments.port)]
  await host.next('login.updated', ({ waiting }) => waiting === 2)
  test.server.refusedRoutes.set('orders', { code: 'resource_denied', text: 'orders is not for alice any more' })
  await test.submit(host)
  await one.ended()
  expect(one.text).toContain('orders is not for alice any more')
  await waitUntil(() => isConnected(two), 'the other one to go on')
  two.socket.destroy()
  expect(await viewOf(orders)).toMatchObject({ state: 'refused', stateText: 'orders is not for alice any more' })
  expect(host.all('notice').filter(({ text }) => text.includes('not for alice'))).toHaveLength(1)
  test.server.refusedRoutes.clear()
  expect(await comesThrough(orders)).toBe('connected')
  expect((await viewOf(orders)).state).toBe('listening')
  expect(host.all('login.requested')).toHaveLength(1)
})

it('G3: another person logs in: gateways of the first one are refused without asking anybody, until they are opened anew', async () => {
  const gateway = await test.open(host, 'orders', 'detached')
  test.expire()
  const waited = await RawClient.connect(gateway.port)
  await host.next('login.requested')
  const issuedBefore = test.server.seen.routes.length
  await host.core.call('login.submit', { user: 'bob', password: PASSWORD })
  await waited.ended()
  expect(waited.text).toContain('this gateway was opened by alice, but you are bob on test now')
  expect(await comesThrough(gateway)).toContain('opened by alice')
  expect(test.server.seen.routes).toHaveLength(issuedBefore)
  expect(host.all('login.requested')).toHaveLength(1)
  expect(await viewOf(gateway)).toMatchObject({
    state: 'refused',
    stateText: expect.stringContaining('postern gateway open orders'),
  })
  // It stays alice's over a restart, too.
  await test.core.stop()
  await test.restart()
  host = await test.attach({ kind: 'window' })
  expect((await viewOf(gateway)).state).toBe('refused')
  await test.open(host, 'orders', 'detached')
  expect(await comesThrough(gateway)).toBe('connected')
  expect(test.server.seen.dials.at(-1)?.identity).toMatchObject({ user: 'bob' })
  // And alice is told the same now.
  await test.submit(host)
  expect(await comesThrough(gateway)).toContain('opened by bob')
})

it('D3: a person who was disabled looks refused everywhere, whatever the certificate says, and recovers', async () => {
  const gateway = await test.open(host, 'orders')
  test.server.disabledUsers.add('alice')
  await expect(host.core.call('resource.list', {})).rejects.toMatchObject({ code: 'user_disabled' })
  expect((await host.core.call('profile.list', {})).profiles).toMatchObject([{ state: 'refused' }])
  expect(await viewOf(gateway)).toMatchObject({ state: 'refused', stateText: 'alice is disabled' })
  test.server.disabledUsers.clear()
  await host.core.call('resource.list', {})
  expect((await viewOf(gateway)).state).toBe('listening')
})

it('G15 G19: a gateway that is closed while it is told to listen again leaves no listener behind', async () => {
  const gateway = await test.open(host, 'orders', 'detached')
  await test.core.stop()
  const other = createServer()
  await once(other.listen(gateway.port, '127.0.0.1'), 'listening')
  await test.restart()
  await once(other.close(), 'close')
  host = await test.attach({ kind: 'window' })
  expect(await viewOf(gateway)).toMatchObject({
    state: 'port conflict',
    stateText: expect.stringMatching(/^[A-Z].*\.$/),
  })
  const [updated, closed] = await Promise.allSettled([
    host.core.call('gateway.update', { gateway: gateway.id, port: gateway.port }),
    host.core.call('gateway.close', { gateway: gateway.id }),
  ])
  expect(updated.status).toBe('rejected')
  expect(closed).toMatchObject({ status: 'fulfilled', value: { closed: { state: 'closed' } } })
  const again = createServer()
  await once(again.listen(gateway.port, '127.0.0.1'), 'listening')
  await once(again.close(), 'close')
})

it('D3: what a login that has run out makes of everything that is shown: nothing looks connected', async () => {
  await test.open(host, 'orders', 'detached')
  await test.open(host, 'payments', 'detached')
  test.expire()
  const page = await test.attach({ kind: 'page', canAsk: false })
  const { profiles, gateways } = AppState.parse((await page.core.call('state.subscribe', {})).state)
  expect(Object.values(profiles)).toMatchObject([{ state: 'expired', remainingMs: 0 }])
  expect(Object.values(gateways).map(({ state }) => state)).toEqual(['needs login', 'needs login'])
  for (const { stateText } of Object.values(gateways)) expect(stateText).toMatch(/^Log in: postern login /)
})
