// The state of the app as windows see it: sent whole once, as patches afterwards; patches make what a fresh window would get,
// are bounded whatever happens, and nobody works for nobody.
import fc from 'fast-check'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createStateMirror, PATCH_INTERVAL_MS, type StateSources } from '../../client/state/mirror.ts'
import { applyChanges, AppState, type ConnectionView } from '../../shared/app-state.ts'
import type { Host } from '../../client/control/hosts.ts'
import type { EventPayload } from '../../shared/rpc.ts'
import { psql, RawClient, startup, TestCore, waitUntil, type TestHost } from '../support/client-core.ts'

let test: TestCore
let host: TestHost

beforeEach(async () => {
  test = await TestCore.start()
  host = await test.attach({ kind: 'window' })
})
afterEach(() => test.close())

/** A window's copy of the state, kept up to date by patches as the renderer does it. */
class Copy {
  state: AppState
  seq: number
  patches: { atMs: number; changes: number }[] = []

  private constructor(seq: number, state: AppState) {
    this.seq = seq
    this.state = state
  }

  static async of(one: TestHost): Promise<Copy> {
    const { seq, state } = await one.core.call('state.subscribe', {})
    const copy = new Copy(seq, AppState.parse(state))
    one.core.on('state.patch', (patch) => {
      if (patch.seq <= copy.seq) return
      expect(patch.seq).toBe(copy.seq + 1)
      copy.seq = patch.seq
      copy.state = applyChanges(copy.state, patch.changes)
      copy.patches.push({ atMs: performance.now(), changes: patch.changes.length })
      AppState.parse(copy.state)
    })
    return copy
  }
}

const fresh = async (): Promise<AppState> => {
  const other = await test.attach({ kind: 'window', canAsk: false })
  const { state } = await other.core.call('state.subscribe', {})
  await other.core.close()
  return AppState.parse(state)
}
const settled = async (copy: Copy): Promise<void> => {
  const steady = async () => JSON.stringify(copy.state) === JSON.stringify(sorted(await fresh(), copy.state))
  await waitUntil(steady, 'the copy to become what a fresh window gets')
}
/** The same entries in the order of the copy: objects are compared as text. */
function sorted(state: AppState, like: AppState): AppState {
  const inOrder = <V>(of: Record<string, V>, order: Record<string, V>): Record<string, V> =>
    Object.fromEntries(
      [...new Set([...Object.keys(order), ...Object.keys(of)])].flatMap((key) =>
        of[key] === undefined ? [] : [[key, of[key]]],
      ),
    )
  return {
    ...state,
    profiles: inOrder(state.profiles, like.profiles),
    gateways: inOrder(state.gateways, like.gateways),
    logins: inOrder(state.logins, like.logins),
    notices: inOrder(state.notices, like.notices),
  }
}
const onlyGateway = (copy: Copy) => Object.values(copy.state.gateways)[0]
const connectionsOf = (copy: Copy): ConnectionView[] => onlyGateway(copy)?.connectionList ?? []

it('G17: a window that was there from the start and one that comes now see the same', async () => {
  const copy = await Copy.of(host)
  expect(copy.state).toMatchObject({ profiles: {}, gateways: {}, logins: {}, currentProfile: null })
  await test.login(host)
  const gateway = await test.open(host)
  await psql(gateway)
  await waitUntil(() => onlyGateway(copy)?.bytesIn !== undefined && connectionsOf(copy).length === 0, 'psql to be over')
  await settled(copy)
  expect(copy.state.currentProfile).toBe('test')
  expect(copy.state.profiles['test']).toMatchObject({ state: 'ready', user: 'alice' })
  expect(onlyGateway(copy)).toMatchObject({ id: gateway.id, port: gateway.port, state: 'listening' })
  await host.core.call('gateway.close', { gateway: gateway.id })
  await waitUntil(() => onlyGateway(copy) === undefined, 'the gateway to go')
  await settled(copy)
})

it('G6: who is connected is seen with program, bytes and last activity; counters stand still when nothing goes through', async () => {
  await test.login(host)
  const gateway = await test.open(host)
  const copy = await Copy.of(host)
  const client = await RawClient.connect(gateway.port, startup('echo', 'report generator'))
  await waitUntil(() => connectionsOf(copy)[0]?.state === 'open', 'the connection to be seen')
  expect(connectionsOf(copy)[0]).toMatchObject({ client: 'report generator', state: 'open' })
  const before = connectionsOf(copy)[0]?.bytesIn ?? 0
  let sent = 0
  // It is looked at once a second, over the time since: on a slow machine a single piece is spread over much of it.
  const send = setInterval(() => {
    client.socket.write(Buffer.alloc(100_000, 'x'))
    sent += 100_000
  }, 200)
  await waitUntil(() => (onlyGateway(copy)?.rateIn ?? 0) > 50_000, 'the rate').finally(() => clearInterval(send))
  const seen = () => connectionsOf(copy)[0]
  await waitUntil(() => seen()?.bytesIn === before + sent && (seen()?.bytesOut ?? 0) >= sent, 'the echo')
  const connection = seen()
  expect(Date.parse(connection?.lastActiveAt ?? '')).toBeGreaterThan(Date.now() - 60_000)
  expect(onlyGateway(copy)?.roundTripMs).toBeGreaterThan(0)
  client.socket.destroy()
  await waitUntil(() => onlyGateway(copy)?.rateIn === 0 && connectionsOf(copy).length === 0, 'quiet')
  expect(onlyGateway(copy)?.bytesIn).toBe(before + sent)
  await settled(copy)
})

it('G6: 500 connections make a bounded number of patches, at least 50 ms apart', async () => {
  await test.login(host)
  const gateway = await test.open(host)
  const copy = await Copy.of(host)
  const startedAt = performance.now()
  const clients: RawClient[] = []
  for (let batch = 0; batch < 10; batch++) {
    clients.push(...(await Promise.all(Array.from({ length: 50 }, () => RawClient.connect(gateway.port)))))
  }
  await waitUntil(
    () => clients.every((client) => client.text.includes('server_version')),
    'all to be connected',
    60_000,
  )
  await waitUntil(() => onlyGateway(copy)?.connections === 500, 'all to be seen', 30_000)
  expect(connectionsOf(copy)).toHaveLength(200)
  const tookMs = performance.now() - startedAt
  expect(copy.patches.length).toBeLessThanOrEqual(tookMs / PATCH_INTERVAL_MS + 2)
  for (const client of clients) client.socket.destroy()
  await waitUntil(() => onlyGateway(copy)?.connections === 0, 'all to be gone', 30_000)
})

it('D3: a login that runs out is seen without any connection, by the clock', async () => {
  test.server.userTtlMs = 8000
  const copy = await Copy.of(host)
  await test.login(host)
  const stateNow = () => copy.state.profiles['test']?.state ?? ''
  await waitUntil(() => ['ready', 'expiring'].includes(stateNow()), 'the login')
  await waitUntil(() => stateNow() === 'expired', 'the end of the login', 20_000)
})

it('G5 G9: a login that is asked for is seen by every window, with its deadline, until somebody answers it', async () => {
  await test.login(host)
  const gateway = await test.open(host)
  const [copy, other] = [await Copy.of(host), await Copy.of(await test.attach({ kind: 'page' }))]
  test.expire()
  const client = await RawClient.connect(gateway.port)
  await waitUntil(() => Object.keys(other.state.logins).length === 1, 'the login to be asked for')
  const [login] = Object.values(other.state.logins)
  expect(login).toMatchObject({ profile: 'test', user: 'alice', waiting: 1 })
  const waitMs = Date.parse(login?.deadlineAt ?? '') - Date.parse(login?.requestedAt ?? '')
  expect(Math.abs(waitMs - 60_000)).toBeLessThan(2000)
  await waitUntil(() => connectionsOf(copy)[0]?.state === 'held', 'the connection to be seen as held')
  await test.submit(host, login?.requestId)
  await waitUntil(() => Object.keys(copy.state.logins).length + Object.keys(other.state.logins).length === 0, 'its end')
  await waitUntil(() => client.text.includes('server_version'), 'the connection')
  await settled(copy)
  expect(JSON.stringify(sorted(other.state, copy.state))).toBe(JSON.stringify(copy.state))
  client.socket.destroy()
})

it('G17: whatever happens in whatever order, patches make what a fresh window gets', async () => {
  type Values = { value: string; entries: Map<string, string> }
  const step = fc.oneof(
    fc.record({ kind: fc.constant('set' as const), key: fc.constantFrom('a', 'b', 'c'), value: fc.string() }),
    fc.record({ kind: fc.constant('remove' as const), key: fc.constantFrom('a', 'b', 'c') }),
    fc.record({ kind: fc.constant('clear' as const) }),
    fc.record({ kind: fc.constant('whole' as const), value: fc.string() }),
    fc.record({ kind: fc.constant('wait' as const) }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
      const values: Values = { value: '', entries: new Map() }
      const entries = { keys: () => values.entries.keys(), view: (key: string) => values.entries.get(key) }
      const nothing = { keys: () => [], view: () => undefined }
      // Any JSON will do where only equality counts.
      const sources = {
        core: () => null,
        settings: () => null,
        currentProfile: () => values.value,
        profiles: nothing,
        gateways: nothing,
        logins: nothing,
        notices: entries,
      } as unknown as StateSources
      const mirror = createStateMirror(sources)
      let copy: AppState | undefined
      const subscriber: Host = {
        id: 1,
        kind: 'window',
        canAsk: false,
        appVersion: '',
        send: (_event, payload) => {
          copy = applyChanges(copy!, (payload as EventPayload<'state.patch'>).changes)
        },
      }
      copy = mirror.subscribe(subscriber).state
      for (const one of steps) {
        if (one.kind === 'set') values.entries.set(one.key, one.value)
        if (one.kind === 'remove') values.entries.delete(one.key)
        if (one.kind === 'clear') values.entries.clear()
        if (one.kind === 'whole') values.value = one.value
        if (one.kind === 'wait') await new Promise((resolve) => setTimeout(resolve, PATCH_INTERVAL_MS + 5))
        if (one.kind === 'whole') mirror.touch('currentProfile')
        else mirror.touch('notices', 'key' in one ? one.key : undefined)
      }
      mirror.close()
      expect(copy.currentProfile).toBe(values.value)
      expect(new Map(Object.entries(copy.notices))).toEqual(values.entries)
    }),
    { numRuns: 60 },
  )
})

it('G17: with nobody subscribed the state is not looked at', () => {
  let looks = 0
  const count = () => {
    looks += 1
  }
  const source = { keys: () => (count(), []), view: count }
  const sources = {
    core: count,
    settings: count,
    currentProfile: count,
    profiles: source,
    gateways: source,
    logins: source,
    notices: source,
  }
  const mirror = createStateMirror(sources as unknown as StateSources)
  mirror.touch('gateways', 'a')
  mirror.touch('settings')
  mirror.close()
  expect(looks).toBe(0)
})
