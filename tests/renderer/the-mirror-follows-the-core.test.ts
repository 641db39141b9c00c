// The page's mirror over a real WebSocket: patches in order, a lost patch, a lost connection, a core that went away.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { startMirror } from '../../renderer/state/mirror.ts'
import { useMirror } from '../../renderer/state/store.ts'
import { createRpcClient, type RpcClient } from '../../renderer/transport/rpc-client.ts'
import { createWebSocketTransport, type WebSocketTransport } from '../../renderer/transport/web-socket-transport.ts'
import { PosternError } from '../../shared/errors.ts'
import { startFixtureHost, type FixtureHost } from './fixture-host.ts'
import { appState, gateway, respond } from './fixture-state.ts'

let host: FixtureHost
let transport: WebSocketTransport
let client: RpcClient
let stop: () => void

const snapshot = () => useMirror.getState().app
const subscriptions = (): number => host.calls.filter((call) => call.method === 'state.subscribe').length
const settle = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 10_000, interval: 10 })

beforeEach(async () => {
  useMirror.setState(useMirror.getInitialState(), true)
  host = await startFixtureHost({
    renderer: '/nonexistent',
    state: appState(),
    responder: (method, params, self) => {
      // Never answered: for calls that are under way when the connection goes.
      if (method === 'diagnostics.bundle') return new Promise(() => undefined)
      if (method === 'gateway.close') throw new PosternError('gateway_unknown', 'There is no such gateway.')
      return respond(method, params, self)
    },
  })
  transport = createWebSocketTransport(
    host.url.replace('http', 'ws').replace('fixture.localhost', '127.0.0.1') + 'ws',
    Math.random,
  )
  client = createRpcClient(transport, { isOpen: false, unreachableText: 'away', lateText: 'late' })
  stop = startMirror(client, Date.now)
  await settle(() => expect(useMirror.getState().link).toBe('live'))
})

afterEach(async () => {
  stop()
  transport.close()
  await host.close()
})

describe('the mirror', () => {
  it('G17: after any patches the page holds what a fresh snapshot would say, and untouched parts stay the same objects', async () => {
    const before = snapshot()!
    host.patch([{ path: ['currentProfile'], value: 'acme-staging' }])
    host.patch([
      { path: ['gateways', 'gw-orders-15432'] },
      { path: ['gateways', 'new'], value: gateway('new', 16000, 'starting', { id: 'new' }) },
    ])
    await settle(() => expect(snapshot()).toEqual(host.state))
    expect(snapshot()!.settings).toBe(before.settings)
    expect(snapshot()!.gateways['gw-hr-15435']).toBe(before.gateways['gw-hr-15435'])
    expect(subscriptions()).toBe(1)
  })

  it('G17: a gap in the numbers of patches makes the page subscribe again', async () => {
    host.patch([{ path: ['currentProfile'], value: null }], { skip: true })
    host.patch([{ path: ['notices'], value: {} }])
    await settle(() => expect(snapshot()).toEqual(host.state))
    expect(subscriptions()).toBe(2)
  })

  it('G17: a lost connection is shown, comes back by itself, and what was missed is there', async () => {
    const links: string[] = []
    const unsubscribe = useMirror.subscribe((mirror) => links.push(mirror.link))
    host.drop()
    host.patch([{ path: ['currentProfile'], value: 'acme-staging' }])
    await settle(() => expect(snapshot()!.currentProfile).toBe('acme-staging'))
    expect(links).toContain('away')
    expect(useMirror.getState().link).toBe('live')
    unsubscribe()
  })

  it('D1: calls that were under way when the connection went away end with an error, later ones work', async () => {
    const lost = client.call('diagnostics.bundle', {})
    const outcome = expect(lost).rejects.toMatchObject({ code: 'core_unreachable' })
    await settle(() => expect(host.calls.some((call) => call.method === 'diagnostics.bundle')).toBe(true))
    host.drop()
    await outcome
    await expect(client.call('resource.list', {})).rejects.toMatchObject({ code: 'core_unreachable' })
    await settle(() => expect(client.isOpen()).toBe(true))
    await expect(client.call('resource.list', {})).resolves.toMatchObject({ profile: 'acme-prod' })
  })

  it('D1: a deadline, an abort and an error of the core end a call with what they are', async () => {
    await expect(client.call('diagnostics.bundle', {}, { deadlineMs: 20 })).rejects.toThrow('late')
    const abort = new AbortController()
    const waiting = client.call('diagnostics.bundle', {}, { signal: abort.signal })
    abort.abort(new Error('gone'))
    await expect(waiting).rejects.toThrow('gone')
    await expect(client.call('gateway.close', { gateway: 'x' })).rejects.toMatchObject({ code: 'gateway_unknown' })
  })

  it('G17: a core that is started again is said, and its new state is taken', async () => {
    host.event('shell.coreState', { state: 'restarting', text: null })
    await settle(() => expect(useMirror.getState()).toMatchObject({ link: 'away', core: { state: 'restarting' } }))
    host.event('shell.coreState', { state: 'connected', text: null })
    await settle(() => expect(useMirror.getState()).toMatchObject({ link: 'live', core: { state: 'connected' } }))
    expect(subscriptions()).toBe(2)
  })

  it('D1: nonsense from the shell is ignored', async () => {
    host.event('state.patch', { seq: 'one', changes: 7 })
    host.event('no.such.event', {})
    host.patch([{ path: ['currentProfile'], value: null }])
    await settle(() => expect(snapshot()!.currentProfile).toBeNull())
    expect(subscriptions()).toBe(1)
  })
})
