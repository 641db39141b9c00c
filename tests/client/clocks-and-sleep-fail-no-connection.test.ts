// C6 and G14 over a machine's day: clocks that jump both ways, sleep and wake, a network that is not there. The certificates are
// real, so is the server's word; only the clocks are the test's.
import { afterEach, expect, it } from 'vitest'
import { AppState } from '../../shared/app-state.ts'
import type { GatewayView } from '../../shared/rpc.ts'
import { RawClient, TestCore, waitUntil, type TestHost } from '../support/client-core.ts'
import { startWay } from '../support/network-between.ts'

const MINUTE_MS = 60_000

let test: TestCore
let host: TestHost
let gateway: GatewayView

/** Logged in for an hour, with a certificate for ten minutes. */
async function prepare(): Promise<void> {
  test = await TestCore.start()
  host = await test.attach({ kind: 'window' })
  await test.login(host)
  gateway = await test.open(host)
}
afterEach(() => test.close())

/** Time passes for everybody. */
function pass(ms: number): void {
  test.clockShiftMs += ms
  const before = test.server.now
  test.server.now = () => before() + ms
}

/** A client that comes now: `connected`, or what it was told. */
async function comesThrough(timeoutMs?: number): Promise<string> {
  const client = await RawClient.connect(gateway.port)
  await waitUntil(() => client.text.includes('server_version') || client.isEnded, 'an answer to the client', timeoutMs)
  client.socket.destroy()
  return client.isEnded ? client.text : 'connected'
}
const nobodyWasAsked = (): void => {
  expect(host.all('login.requested')).toEqual([])
  expect(host.all('login.needed')).toEqual([])
}
const profileNow = async () => (await host.core.call('profile.list', {})).profiles[0]!
const gatewayNow = async () => (await host.core.call('gateway.list', {})).gateways[0]!

it('C6 G3: a clock that jumps hours ahead sends nobody to log in: the server is asked for its time first', async () => {
  await prepare()
  test.clockShiftMs += 180 * MINUTE_MS
  expect((await profileNow()).state).toBe('expired')
  expect(await comesThrough()).toBe('connected')
  nobodyWasAsked()
  expect((await profileNow()).state).toBe('ready')
  // Set right again, it is behind what the core has learnt: nothing fails either.
  test.clockShiftMs -= 180 * MINUTE_MS
  pass(12 * MINUTE_MS)
  expect(await comesThrough()).toBe('connected')
  nobodyWasAsked()
})

it('C6 G4: a clock that jumps back takes an ended certificate for good; the server says so, and it is renewed', async () => {
  await prepare()
  pass(12 * MINUTE_MS)
  test.clockShiftMs -= 45 * MINUTE_MS
  const issuedBefore = test.server.seen.routes.length
  expect(await comesThrough()).toBe('connected')
  expect(test.server.seen.routes).toHaveLength(issuedBefore + 1)
  nobodyWasAsked()
})

it('C6 G2: with a clock behind, a login that is really over is asked for once, and the connection goes through', async () => {
  await prepare()
  test.clockShiftMs -= 20 * MINUTE_MS
  const before = test.server.now
  test.server.now = () => before() + 65 * MINUTE_MS
  const coming = comesThrough()
  const { requestId } = await host.next('login.requested')
  await test.submit(host, requestId)
  expect(await coming).toBe('connected')
  expect(host.all('login.requested')).toHaveLength(1)
})

it.each([7, -7])(
  'C6: drifting apart by %i minutes, countdowns follow the server as soon as it says its time',
  async (minutes) => {
    await prepare()
    const page = await test.attach({ kind: 'page', canAsk: false })
    const { state } = await page.core.call('state.subscribe', {})
    const { expiresAt } = AppState.parse(state).profiles['test']!
    test.clockShiftMs += minutes * MINUTE_MS
    await host.core.call('resource.list', {})
    const patch = await page.next('state.patch', ({ changes }) => changes.some(({ path }) => path[0] === 'profiles'))
    const told = patch.changes.find(({ path }) => path[0] === 'profiles')!.value as Awaited<
      ReturnType<typeof profileNow>
    >
    expect(told.expiresAt).toBe(expiresAt)
    expect(Math.abs(told.clockOffsetMs + minutes * MINUTE_MS)).toBeLessThan(MINUTE_MS)
    expect(Math.abs(told.remainingMs! - 60 * MINUTE_MS)).toBeLessThan(MINUTE_MS)
  },
)

it('G14 G10: a machine that wakes up renews what is due at once, without a connection and without a person', async () => {
  await prepare()
  await host.core.call('presence.set', { presence: 'suspended' })
  // It slept past two thirds of the certificate, and no timer of the core went off.
  pass(9 * MINUTE_MS)
  const issuedBefore = test.server.seen.routes.length
  await host.core.call('presence.set', { presence: 'present' })
  await waitUntil(() => test.server.seen.routes.length === issuedBefore + 1, 'the renewal')
  await waitUntil(
    async () => Date.parse((await gatewayNow()).certificateExpiresAt!) > test.server.now() + 9 * MINUTE_MS,
    'a certificate that lasts',
  )
  // Past its end: the first connection renews it, and does not fail.
  pass(15 * MINUTE_MS)
  expect(await comesThrough()).toBe('connected')
  nobodyWasAsked()
})

it('G14 G7: without a network, connections get 08006 in time and nobody is asked; when it is back they go through', async () => {
  await prepare()
  const { server } = test
  await server.close()
  expect(await comesThrough()).toContain('C08006')
  // Nor where the certificate has ended, nor where the login has, by the clock of a machine that may have slept.
  pass(12 * MINUTE_MS)
  expect(await comesThrough()).toContain('C08006')
  pass(120 * MINUTE_MS)
  expect(await comesThrough()).toContain('C08006')
  nobodyWasAsked()
  expect((await profileNow()).state).toBe('expired')
  await server.start()
  const coming = comesThrough()
  const { requestId } = await host.next('login.requested')
  await test.submit(host, requestId)
  expect(await coming).toBe('connected')
})

it('G7 G10: over a network that takes everything and gives nothing, connections get 08006 at their deadline and nobody is asked', async () => {
  test = await TestCore.start()
  host = await test.attach({ kind: 'window' })
  const way = await startWay(test.server.port)
  try {
    await host.core.call('profile.add', { address: way.address, caPin: test.server.ca.fingerprint })
    await test.submit(host)
    gateway = await test.open(host)
    way.swallow()
    way.isSilent = true
    const withGoodCertificate = comesThrough(40_000)
    await waitUntil(async () => (await gatewayNow()).connections === 1, 'the first client to be seen')
    // The other one comes after the login has ended, by the clock of a machine that may have slept.
    test.expire()
    const withoutLogin = comesThrough(40_000)
    expect(await withGoodCertificate).toContain('C08006')
    expect(await withoutLogin).toContain('C08006')
    nobodyWasAsked()
    way.isSilent = false
    const coming = comesThrough()
    const { requestId } = await host.next('login.requested')
    await test.submit(host, requestId)
    expect(await coming).toBe('connected')
  } finally {
    await way.close()
  }
})

it('G5 G9: while the server restarts the question stays: a submit says that it is away, the next one lets everybody go on', async () => {
  await prepare()
  test.expire()
  const first = comesThrough()
  const { requestId } = await host.next('login.requested')
  await test.server.close()
  await expect(test.submit(host, requestId)).rejects.toMatchObject({ code: 'server_unreachable' })
  // Who comes now waits with the others.
  const second = comesThrough()
  await host.next('login.updated', ({ waiting }) => waiting === 2)
  await test.server.start()
  await test.submit(host, requestId)
  expect(await Promise.all([first, second])).toEqual(['connected', 'connected'])
  expect(host.all('login.requested')).toHaveLength(1)
  expect(await host.next('login.closed')).toMatchObject({ outcome: 'succeeded' })
})
