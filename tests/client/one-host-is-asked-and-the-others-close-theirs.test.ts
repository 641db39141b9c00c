// Who is asked for a login, with window, page and terminals attached at once (design: "Who asks for a login").
import { afterEach, expect, it } from 'vitest'
import { AppState } from '../../shared/app-state.ts'
import { RawClient, TestCore, waitUntil, type TestHost } from '../support/client-core.ts'

let test: TestCore
afterEach(() => test.close())

/** A core that alice is logged in to, without any host that can ask. */
async function prepare(): Promise<TestHost> {
  test = await TestCore.start()
  const script = await test.attach({ canAsk: false })
  await test.login(script)
  return script
}
const isConnected = (client: RawClient) => () => client.text.includes('server_version')

async function loginsNow(): Promise<AppState['logins'][string][]> {
  const page = await test.attach({ kind: 'page', canAsk: false })
  const { logins } = AppState.parse((await page.core.call('state.subscribe', {})).state)
  await page.core.close()
  return Object.values(logins)
}

it('G5: the terminal of the gateway is asked, then the window, then the page, then the terminal that came last; one login answers all', async () => {
  const script = await prepare()
  const owner = await test.attach()
  await test.attach()
  const window = await test.attach({ kind: 'window' })
  const page = await test.attach({ kind: 'page' })
  const last = await test.attach()
  // Opened by one, kept by the core: it outlives its terminal.
  const gateway = await test.open(owner, 'orders')
  test.expire()
  const client = await RawClient.connect(gateway.port)
  const { requestId } = await owner.next('login.requested')
  expect(await loginsNow()).toMatchObject([{ requestId, asked: 'terminal' }])
  await owner.core.call('gateway.open', { resource: 'orders', keep: 'detached' })
  for (const [leaving, next, kind] of [
    [owner, window, 'window'],
    [window, page, 'page'],
    [page, last, 'terminal'],
  ] as const) {
    await leaving.core.close()
    expect((await next.next('login.requested')).requestId).toBe(requestId)
    expect(await loginsNow()).toMatchObject([{ asked: kind }])
  }
  await test.submit(script)
  expect(await last.next('login.closed')).toMatchObject({ requestId, outcome: 'succeeded' })
  await waitUntil(isConnected(client), 'the held client to go on')
  client.socket.destroy()
})

it('G5 G10: whoever was shown a request hears that it is over, the notified ones too', async () => {
  const script = await prepare()
  const gateway = await test.open(script, 'orders', 'detached')
  const bystander = await test.attach({ kind: 'window', canAsk: false })
  test.expire()
  const client = await RawClient.connect(gateway.port)
  const { requestId } = await bystander.next('login.needed')
  expect(await loginsNow()).toMatchObject([{ requestId, asked: null }])
  // A window that comes is asked what nobody could be asked.
  const window = await test.attach({ kind: 'window' })
  await window.next('login.requested')
  const stranger = await test.attach()
  await window.core.call('login.cancel', { requestId, outcome: 'cancelled' })
  for (const host of [script, bystander, window]) {
    expect(await host.next('login.closed')).toMatchObject({ requestId, outcome: 'cancelled' })
  }
  await client.ended()
  expect(stranger.all('login.closed')).toEqual([])
})

it('G5 G14: a second window takes a login over, and the first one closes its dialog with a word why', async () => {
  const script = await prepare()
  const gateway = await test.open(script, 'orders', 'detached')
  const first = await test.attach({ kind: 'window' })
  test.expire()
  const client = await RawClient.connect(gateway.port)
  const { requestId } = await first.next('login.requested')
  const second = await test.attach({ kind: 'page' })
  expect((await second.core.call('login.ask', { profile: 'test' })).requestId).toBe(requestId)
  expect(await first.next('login.closed')).toMatchObject({
    requestId,
    outcome: 'withdrawn',
    text: 'it is being answered in another window',
  })
  await test.submit(second, requestId)
  expect(await second.next('login.closed')).toMatchObject({ outcome: 'succeeded' })
  expect(first.all('login.closed')).toHaveLength(1)
  await waitUntil(isConnected(client), 'the held client to go on')
  client.socket.destroy()
})

it('G7 G14: who asks for a login in a cool-down ends it: connections wait again instead of being refused', async () => {
  const script = await prepare()
  const gateway = await test.open(script, 'orders', 'detached')
  const window = await test.attach({ kind: 'window' })
  test.expire()
  const refused = await RawClient.connect(gateway.port)
  const { requestId } = await window.next('login.requested')
  await window.core.call('login.cancel', { requestId, outcome: 'cancelled' })
  await refused.ended()
  await (await RawClient.connect(gateway.port)).ended()
  const asked = await window.core.call('login.ask', { profile: 'test' })
  const waits = await RawClient.connect(gateway.port)
  await window.next('login.updated', (prompt) => prompt.requestId === asked.requestId && prompt.waiting === 1)
  await test.submit(window, asked.requestId)
  await waitUntil(isConnected(waits), 'the held client to go on')
  waits.socket.destroy()
})
