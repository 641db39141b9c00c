// G10 and logins ahead of time: a locked screen, a sleeping machine and programs that retry for nobody raise no dialog; who
// comes back is asked for what still waits; a person can log in before anything has expired; certificates renew by themselves.
import { afterEach, beforeEach, expect, it } from 'vitest'
import { AppState } from '../../shared/app-state.ts'
import type { GatewayView } from '../../shared/rpc.ts'
import { Attention } from '../../client/renewal/attention.ts'
import { RawClient, TestCore, waitUntil, type TestCoreOptions, type TestHost } from '../support/client-core.ts'

let test: TestCore
let host: TestHost
let gateway: GatewayView

async function prepare(options: TestCoreOptions = {}): Promise<void> {
  test = await TestCore.start(options)
  host = await test.attach({ kind: 'window' })
  await test.login(host)
  gateway = await test.open(host, 'orders', 'detached')
}
beforeEach(() => undefined)
afterEach(() => test.close())

const stateNow = async (): Promise<AppState> => {
  const other = await test.attach({ kind: 'page', canAsk: false })
  const { state } = await other.core.call('state.subscribe', {})
  await other.core.close()
  return AppState.parse(state)
}
const isConnected = (client: RawClient) => () => client.text.includes('server_version')

it.for(['locked', 'suspended'] as const)(
  'G10: while the machine is %s nobody is asked, one notice says so, and who comes back is asked',
  async (presence) => {
    await prepare()
    await host.core.call('presence.set', { presence })
    test.expire()
    const first = await RawClient.connect(gateway.port)
    const needed = await host.next('login.needed')
    expect(needed.reason).toMatchObject({ kind: 'connection', resource: 'orders' })
    first.socket.destroy()
    await host.next('login.closed', ({ outcome }) => outcome === 'withdrawn')
    const second = await RawClient.connect(gateway.port)
    await waitUntil(() => host.all('login.needed').length === 2, 'the second request')
    expect(host.all('login.requested')).toHaveLength(0)
    expect(host.all('notice').map(({ text }) => text)).toEqual(['connections to test wait for a login'])
    expect(Object.values((await stateNow()).notices)).toMatchObject([{ count: 2 }])
    await host.core.call('presence.set', { presence: 'present' })
    const asked = await host.next('login.requested')
    await test.submit(host, asked.requestId)
    await waitUntil(isConnected(second), 'the held connection to go on')
    second.socket.destroy()
  },
)

it('G10: a window that leaves takes its word about the screen with it', async () => {
  await prepare()
  const other = await test.attach({ kind: 'window', canAsk: false })
  await other.core.call('presence.set', { presence: 'locked' })
  test.expire()
  const client = await RawClient.connect(gateway.port)
  await host.next('login.needed')
  await other.core.close()
  await host.next('login.requested')
  client.socket.destroy()
})

it('G10: a person who gives a command on a locked screen is there all the same', async () => {
  await prepare()
  await host.core.call('presence.set', { presence: 'locked' })
  test.expire()
  const terminal = await test.attach({ kind: 'terminal' })
  const opening = test.open(terminal, 'payments')
  const asked = await terminal.next('login.requested')
  await test.submit(terminal, asked.requestId)
  expect((await opening).state).toBe('listening')
})

it('G10: a gateway that is retried though nobody logs in stops asking for five minutes; another gateway still asks', async () => {
  await prepare({ settings: { loginWait: 50, coolDown: 1 } })
  const payments = await test.open(host, 'payments')
  test.expire()
  for (let refused = 1; refused <= 3; refused++) {
    const client = await RawClient.connect(gateway.port)
    await waitUntil(() => host.all('login.requested').length === refused, `request ${refused}`)
    await client.ended()
    // Connections that fail in the same second are one.
    test.clockShiftMs += 2000
  }
  const retried = await RawClient.connect(gateway.port)
  await host.next('login.needed')
  await retried.ended()
  expect(host.all('login.requested')).toHaveLength(3)
  const other = await RawClient.connect(payments.port)
  await waitUntil(() => host.all('login.requested').length === 4, 'the other gateway to ask')
  await other.ended()
  test.clockShiftMs += 5 * 60_000
  const later = await RawClient.connect(gateway.port)
  await waitUntil(() => host.all('login.requested').length === 5, 'it to ask again')
  await later.ended()
})

it('G10: connections of a pool that fail together are one', () => {
  let now = 0
  const attention = new Attention(() => now)
  for (let connection = 0; connection < 40; connection++) attention.noteUnanswered('pool')
  expect(attention.mayDisturbFor('pool')).toBe(true)
  for (now of [2000, 4000]) attention.noteUnanswered('pool')
  expect(attention.mayDisturbFor('pool')).toBe(false)
  attention.forget('pool')
  expect(attention.mayDisturbFor('pool')).toBe(true)
})

it('G14: a person logs in ahead of time; the request stays though nothing waits for it', async () => {
  await prepare()
  const prompt = await host.core.call('login.ask', { profile: 'test' })
  expect(prompt).toMatchObject({ profile: 'test', user: 'alice', waiting: 0 })
  expect((await stateNow()).logins[prompt.requestId]).toMatchObject({ deadlineAt: null })
  expect((await host.core.call('login.ask', { profile: 'test' })).requestId).toBe(prompt.requestId)
  const before = test.server.seen.routes.length
  await test.submit(host, prompt.requestId)
  expect(await host.next('login.closed')).toMatchObject({ requestId: prompt.requestId, outcome: 'succeeded' })
  expect(test.server.seen.routes).toHaveLength(before + 1)
})

it('G5 G14: asking for a login takes over the one that is open, and a connection joins the one that was asked for', async () => {
  await prepare()
  const terminal = await test.attach({ kind: 'terminal' })
  const owned = await test.open(terminal, 'payments')
  test.expire()
  const first = await RawClient.connect(owned.port)
  const asked = await terminal.next('login.requested')
  const prompt = await host.core.call('login.ask', { profile: 'test' })
  expect(prompt.requestId).toBe(asked.requestId)
  expect(await terminal.next('login.closed')).toMatchObject({ outcome: 'withdrawn' })
  const second = await RawClient.connect(gateway.port)
  await host.next('login.updated', ({ waiting }) => waiting === 2)
  await test.submit(host, prompt.requestId)
  await waitUntil(() => isConnected(first)() && isConnected(second)(), 'both connections')
  first.socket.destroy()
  second.socket.destroy()
})

it('G14: a certificate of an open gateway is renewed before it ends, without anybody and without a connection', async () => {
  test = await TestCore.start()
  test.server.routeTtlMs = 15_000
  host = await test.attach({ kind: 'window' })
  await test.login(host)
  gateway = await test.open(host)
  const before = Date.parse(gateway.certificateExpiresAt ?? '')
  const endsNow = async () => Date.parse((await stateNow()).gateways[gateway.id]?.certificateExpiresAt ?? '')
  await waitUntil(async () => (await endsNow()) > before, 'a later certificate', 30_000)
  expect(Date.now()).toBeLessThan(before)
  expect(host.all('login.requested')).toHaveLength(0)
})

it('G14: a certificate that ends with the login is not asked for again and again', async () => {
  test = await TestCore.start()
  test.server.routeTtlMs = 6000
  test.server.userTtlMs = 6000
  host = await test.attach({ kind: 'window' })
  await test.login(host)
  gateway = await test.open(host)
  await waitUntil(
    async () => (await stateNow()).gateways[gateway.id]?.state === 'needs login',
    'the end of the login',
    20_000,
  )
  expect(test.server.seen.routes).toHaveLength(1)
})
