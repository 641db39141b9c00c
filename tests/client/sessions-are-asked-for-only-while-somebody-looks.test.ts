// The core asks the server for sessions while a host watches them, and at no other time: what changed is told, what cannot be asked
// is said once and tried again, news of the control stream hurries it, and a host that goes takes its watches along.
import { randomUUID } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { WebSocket } from 'ws'
import { encodeControlMessage } from '../../shared/control.ts'
import type { EventPayload } from '../../shared/rpc.ts'
import type { SessionView } from '../../shared/session-api.ts'
import { TestCore, waitUntil, type TestHost } from '../support/client-core.ts'

const view = (part: Partial<SessionView> = {}): SessionView => ({
  ...{ id: randomUUID(), user: 'alice', resource: 'orders', protocol: 'postgres', account: 'reader' },
  ...{ address: '127.0.0.1:5', state: 'active', startedAt: new Date().toISOString(), activeAt: null, endedAt: null },
  ...{ endReason: null, endedBy: null, connections: 1, connectionsTotal: 1, bytesFromClient: 0, bytesToClient: 0 },
  ...{
    lastActivityAt: null,
    lastStatementAt: null,
    statements: 0,
    endsAt: null,
    idleEndsAt: null,
    inactiveSince: null,
    endWhy: null,
  },
  ...part,
})

let test: TestCore
let host: TestHost
let sessions: SessionView[] = []
let stream: WebSocket | undefined
/** Refuses what is asked about sessions. */
let refused: [number, object] | undefined

beforeEach(async () => {
  sessions = []
  refused = undefined
  test = await TestCore.start()
  test.server.onControl = (opened) => {
    stream = opened
    opened.send(
      encodeControlMessage({
        type: 'hello',
        serverTime: new Date().toISOString(),
        version: 'fake',
        loginEndsAt: new Date(Date.now() + 3_600_000).toISOString(),
      }),
    )
  }
  test.server.onCall = (what) => {
    if (!what.includes('/v1/sessions')) return undefined
    if (refused) return refused
    const one = /^GET \/v1\/sessions\/([^/?]+)$/.exec(what)?.[1]
    if (one !== undefined) {
      const session = sessions.find(({ id }) => id === one)
      return session ? [200, { session }] : [404, { error: { code: 'not_found', text: 'no such session' } }]
    }
    if (what.includes('/end')) return [200, { reason: 'cancelled' }]
    if (what.includes('/statements')) return [200, { events: [] }]
    return [200, { sessions }]
  }
  host = await test.attach()
  await test.login(host)
})
afterEach(() => test.close())

const asked = (): number => test.server.seen.calls.filter(({ what }) => what.startsWith('GET /v1/sessions')).length
const updates = (): EventPayload<'sessions.updated'>[] => host.all('sessions.updated')
const nextUpdate = async (before: number): Promise<EventPayload<'sessions.updated'>> => {
  await waitUntil(() => updates().length > before, 'an update of the sessions', 20_000)
  return updates()[before]!
}

describe('watched sessions', () => {
  it('C9: all of them first, then what changed and what is gone; the same again is no news', async () => {
    const at = (ms: number): string => new Date(1_800_000_000_000 + ms).toISOString()
    const [first, second] = [view({ lastActivityAt: at(0), endsAt: at(5000) }), view({ resource: 'billing' })]
    sessions = [first, second]
    expect(await host.core.call('sessions.watch', { watch: 'w' })).toMatchObject({
      profile: expect.any(String) as string,
    })
    expect(await nextUpdate(0)).toMatchObject({ watch: 'w', status: 'ready', isWhole: true, sessions: [first, second] })
    const looks = asked()
    await waitUntil(() => asked() >= looks + 2, 'two more looks', 20_000)
    // Moments that are reckoned from two clocks differ by a few ms each time: no news either.
    sessions = [{ ...first, lastActivityAt: at(3), endsAt: at(4998) }, second]
    await waitUntil(() => asked() >= looks + 3, 'another look', 20_000)
    expect(updates()).toHaveLength(1)
    sessions = [{ ...first, statements: 5 }]
    expect(await nextUpdate(1)).toMatchObject({
      ...{ isWhole: false, sessions: [{ id: first.id, statements: 5 }], removed: [second.id] },
    })
    expect(test.server.seen.calls.some(({ what }) => what.includes('scope=mine') && what.includes('endedSince='))).toBe(
      true,
    )
  })

  it('C9: nobody looks, nobody asks: after unwatch, and after the host has gone', async () => {
    await host.core.call('sessions.watch', { watch: 'w' })
    await nextUpdate(0)
    await host.core.call('sessions.unwatch', { watch: 'w' })
    const other = await test.attach()
    await other.core.call('sessions.watch', { watch: 'w' })
    await waitUntil(() => other.all('sessions.updated').length === 1, 'the other host is told', 20_000)
    await other.core.close()
    await waitUntil(() => test.log.filter((line) => line.includes('host detached')).length > 0, 'the host has gone')
    const after = asked()
    // Two of the usual pauses.
    await new Promise((resolve) => setTimeout(resolve, 4500))
    expect(asked()).toBe(after)
    expect(updates()).toHaveLength(1)
  })

  it('C9: news of the control stream is looked at at once', async () => {
    await host.core.call('sessions.watch', { watch: 'w' })
    await nextUpdate(0)
    await waitUntil(() => stream !== undefined, 'the control stream')
    const one = view()
    sessions = [one]
    const { id: sessionId, resource, account } = one
    stream?.send(encodeControlMessage({ type: 'session.started', sessionId, resource, account }))
    expect(await nextUpdate(1)).toMatchObject({ sessions: [{ id: sessionId }] })
    sessions = [{ ...one, state: 'ended', endReason: 'terminated', endedBy: 'root' }]
    stream?.send(
      encodeControlMessage({ type: 'session.ended', sessionId, resource, account, reason: 'terminated', by: 'root' }),
    )
    expect(await nextUpdate(2)).toMatchObject({ sessions: [{ id: sessionId, endedBy: 'root' }] })
    await host.next('notice', ({ text }) => text.includes('was ended: root, an administrator, ended it'))
    // The log may go to support: who did it is not in it.
    expect(test.log.some((line) => line.includes('the server says') && line.includes('root'))).toBe(false)
  })

  it('E1: a failure is said once, and what comes after it is told; nobody is asked to log in', async () => {
    sessions = [view()]
    await host.core.call('sessions.watch', { watch: 'w', scope: 'all' })
    await nextUpdate(0)
    refused = [
      403,
      { error: { code: 'forbidden', text: "seeing everyone's sessions needs the permission level viewer" } },
    ]
    expect(await nextUpdate(1)).toMatchObject({
      ...{ status: 'failed', error: { code: 'forbidden' }, sessions: [], removed: [] },
      asOf: expect.any(String) as string,
    })
    const looks = asked()
    await waitUntil(() => asked() > looks, 'another try', 20_000)
    expect(updates()).toHaveLength(2)
    refused = undefined
    expect(await nextUpdate(2)).toMatchObject({ status: 'ready', isWhole: false, sessions: [] })
    test.server.endLatestLogin()
    test.expire()
    expect(await nextUpdate(3)).toMatchObject({ status: 'failed' })
    expect(host.all('login.requested')).toEqual([])
    await test.submit(host)
    expect(await nextUpdate(4)).toMatchObject({ status: 'ready' })
  })

  it('S1: ending one and what it ran are calls of their own; one session is watched alone', async () => {
    const one = view()
    sessions = [one, view()]
    await host.core.call('sessions.watch', { watch: 'alone', session: one.id })
    expect(await nextUpdate(0)).toMatchObject({ sessions: [{ id: one.id }], hasMore: false })
    expect(await host.core.call('sessions.end', { session: one.id })).toEqual({ reason: 'cancelled' })
    await host.core.call('sessions.statements', { session: one.id, search: 'a b&c', after: 7 })
    const what = test.server.seen.calls.at(-1)?.what ?? ''
    expect(what).toContain(`/v1/sessions/${one.id}/statements?order=newest&limit=100&after=7&search=a+b%26c`)
    await expect(host.core.call('sessions.end', { session: 'x/../y' })).resolves.toEqual({ reason: 'cancelled' })
    expect(test.server.seen.calls.some(({ what: said }) => said === 'POST /v1/sessions/x%2F..%2Fy/end')).toBe(true)
  })
})
