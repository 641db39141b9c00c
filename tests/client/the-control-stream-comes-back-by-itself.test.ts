// The core's end of the control stream: up while the login is good, back with growing pauses, swapped with the login, and never in
// the way. The server is a fake one whose streams the test holds in its hand.
import fc from 'fast-check'
import type { WebSocket } from 'ws'
import { afterEach, describe, expect, it } from 'vitest'
import { CONTROL_TIMINGS, retryDelayMs, type ControlTimings } from '../../client/control-stream/timings.ts'
import { encodeControlMessage, parseControlMessage, type ControlNews } from '../../shared/control.ts'
import type { Identity } from '../../shared/names.ts'
import type { ProfileView } from '../../shared/rpc.ts'
import { encodeCancelRequest } from '../../shared/wire/postgres/startup.ts'
import { psql, RawClient, TestCore, waitUntil, type TestHost } from '../support/client-core.ts'
import { greetControl } from '../support/fake-access-server.ts'

type Opened = { stream: WebSocket; identity: Identity; code: number | undefined }

let test: TestCore
let host: TestHost
let opened: Opened[]
let isDeaf: boolean

/** A core that is logged in to a server with control streams. */
const start = async (controlTimings: Partial<ControlTimings> = {}): Promise<void> => {
  test = await TestCore.start({ controlTimings: { retryFirstMs: 20, retryMaxMs: 200, ...controlTimings } })
  opened = []
  isDeaf = false
  test.server.onControl = (stream, identity) => {
    const one: Opened = { stream, identity, code: undefined }
    stream.on('close', (code) => (one.code = code))
    opened.push(one)
    greetControl(test.server, stream, () => isDeaf)
  }
  host = await test.attach()
  await test.login(host)
}
const view = async (): Promise<ProfileView> => (await host.core.call('profile.list', {})).profiles[0]!
const untilLive = (isLive = true) => waitUntil(async () => (await view()).live === isLive, `live: ${isLive}`)
const untilState = (state: string) => waitUntil(async () => (await view()).state === state, `state ${state}`)
const gatewayState = async () => (await host.core.call('gateway.list', {})).gateways[0]!.state
const say = (news: ControlNews): void => opened.at(-1)!.stream.send(encodeControlMessage(news))
const notices = () => host.all('notice').map(({ text }) => text)
/** The pauses that the core announced in its log so far, in ms. */
const pauses = () =>
  test.log.map((line) => JSON.parse(line) as { retryInMs?: number }).flatMap(({ retryInMs }) => retryInMs ?? [])

afterEach(async () => {
  await test.close()
})

describe('messages', () => {
  it('C9: types and fields that this version does not know are skipped; what is no message at all throws and nothing else', async () => {
    test = await TestCore.start()
    expect(parseControlMessage('{"v":7,"type":"something.newer","more":1}')).toBeUndefined()
    expect(parseControlMessage('{"v":2,"type":"access.changed","more":1}')).toEqual({ v: 2, type: 'access.changed' })
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json(), fc.record({ v: fc.integer(), type: fc.string() })), (input) => {
        const text = typeof input === 'string' ? input : JSON.stringify(input)
        try {
          const message = parseControlMessage(text)
          expect(message === undefined || typeof message.type === 'string').toBe(true)
        } catch (error) {
          expect(error).toBeInstanceOf(Error)
        }
      }),
    )
  })

  it('C9: pauses double from 1 s to 60 s, a fifth more or less, and never leave these bounds', async () => {
    test = await TestCore.start()
    const middle = [0, 1, 2, 3, 4, 5, 6, 1000].map((failures) => retryDelayMs(failures, 0.5, CONTROL_TIMINGS))
    expect(middle).toEqual([1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000])
    fc.assert(
      fc.property(fc.nat(), fc.double({ min: 0, max: 1, noNaN: true }), (failures, random) => {
        const delay = retryDelayMs(failures, random, CONTROL_TIMINGS)
        expect(delay).toBeGreaterThanOrEqual(1000)
        expect(delay).toBeLessThanOrEqual(60_000)
      }),
    )
    expect(retryDelayMs(2, 0, CONTROL_TIMINGS)).toBe(3200)
    expect(retryDelayMs(2, 1, CONTROL_TIMINGS)).toBe(4800)
  })
})

describe('when there is one', () => {
  it('C9: from the sign-in on, after a restart of the core, and not after a logout, which is no news either', async () => {
    await start()
    await untilLive()
    await test.core.stop()
    await waitUntil(() => opened[0]!.code === 1000, 'the goodbye of the core that ended')
    await test.restart()
    host = await test.attach()
    await untilLive()
    expect(opened).toHaveLength(2)
    await host.core.call('logout', {})
    await waitUntil(() => opened[1]!.code === 1000, 'the goodbye of the login')
    expect((await view()).live).toBe(false)
    expect(notices()).toEqual([])
    expect(opened).toHaveLength(2)
  })

  it('C9: another login gets its own: the new one is up before the old one is closed', async () => {
    await start()
    await untilLive()
    const before = opened[0]!
    let wasOpenBefore: boolean | undefined
    const { onControl } = test.server
    test.server.onControl = (stream, identity) => {
      wasOpenBefore = before.stream.readyState === before.stream.OPEN
      onControl?.(stream, identity)
    }
    await test.submit(host)
    await waitUntil(() => before.code === 1000, 'the end of the old stream')
    expect(wasOpenBefore).toBe(true)
    expect(opened).toHaveLength(2)
    expect(opened[1]!.identity.loginId).not.toBe(before.identity.loginId)
    expect((await view()).live).toBe(true)
    // What is said of the login before concerns nobody.
    expect((await view()).state).toBe('ready')
  })
})

describe('when it is cut', () => {
  it('C9: it comes back with growing pauses while the server refuses, and looks again at what it missed', async () => {
    await start({ retryMaxMs: 100 })
    await untilLive()
    const gateway = await test.open(host)
    const served = test.server.onControl
    test.server.onControl = undefined
    opened[0]!.stream.terminate()
    await untilLive(false)
    await waitUntil(() => pauses().length >= 5, 'five tries')
    const [first, second, third, ...others] = pauses()
    for (const [pause, doubled] of [
      [first, 20],
      [second, 40],
      [third, 80],
    ] as const) {
      expect(pause).toBeGreaterThanOrEqual(Math.max(20, 0.8 * doubled))
      expect(pause).toBeLessThanOrEqual(1.2 * doubled)
    }
    for (const pause of others) expect(pause).toBeLessThanOrEqual(100)

    // Meanwhile nothing is missing but the news: what was taken away shows with the next connection.
    expect((await psql(gateway)).stdout).toContain('you said')
    const { resourcesVersion = 0 } = await view()
    const issued = test.server.seen.routes.length
    test.server.onControl = served
    await untilLive()
    await waitUntil(() => test.server.seen.routes.length === issued + 1, 'another look at the open route')
    expect((await view()).resourcesVersion).toBe(resourcesVersion + 1)
  })

  it('I3: a server that has gone without a word is noticed by its silence, and the stream is opened anew', async () => {
    await start({ pingEveryMs: 100, answerWithinMs: 300 })
    await untilLive()
    isDeaf = true
    await waitUntil(() => opened[0]!.code !== undefined, 'the core to give up')
    isDeaf = false
    await waitUntil(() => opened.length >= 2, 'another stream')
    await untilLive()
  })

  it('I3: somebody who comes back does not wait for the next try, and what is up is asked at once whether it still is', async () => {
    await start({ retryFirstMs: 3_600_000, retryMaxMs: 3_600_000, pingEveryMs: 3_600_000, answerWithinMs: 200 })
    await untilLive()
    isDeaf = true
    await host.core.call('presence.set', { presence: 'present' })
    await waitUntil(() => opened[0]!.code !== undefined, 'the core to notice that it is gone')
    isDeaf = false
    await untilLive(false)
    await host.core.call('presence.set', { presence: 'present' })
    await untilLive()
  })

  it('C9: a server without it, nonsense in it, or a web page in its place changes nothing but the speed', async () => {
    await start()
    await untilLive()
    const gateway = await test.open(host)
    opened.at(-1)!.stream.send('<html>')
    await waitUntil(() => opened.length >= 2, 'another stream after nonsense')
    expect(opened[0]!.code).toBe(1002)
    await untilLive()
    test.server.onControl = undefined
    test.server.rawAnswer = {
      path: '/v1/control',
      contentType: 'text/html',
      body: '<html>sign in to the network</html>',
    }
    opened.at(-1)!.stream.terminate()
    await untilLive(false)
    await waitUntil(() => test.log.some((line) => line.includes('answered with a web page')), 'the refusal in the log')
    expect((await view()).state).toBe('ready')
    expect((await psql(gateway)).stdout).toContain('you said')
    expect(notices()).toEqual([])
  })
})

describe('what is done with what it says', () => {
  it('C6: the server’s time counts when it is fresh; what lay in a buffer for longer than a moment does not', async () => {
    await start({ pingEveryMs: 100, answerWithinMs: 60_000 })
    await untilLive()
    /** In whole minutes. */
    const offset = async () => Math.round(Math.abs((await view()).clockOffsetMs) / 60_000)
    expect(await offset()).toBe(0)
    // Unasked for: it may be as old as the machine slept.
    say({ type: 'time', serverTime: new Date(Date.now() - 30 * 60_000).toISOString() })
    let pings = 0
    opened[0]!.stream.on('ping', () => (pings += 1))
    await waitUntil(() => pings >= 3, 'pings')
    expect(await offset()).toBe(0)
    // Its clock was put forward: said between a ping and its pong, that is so.
    test.server.now = () => Date.now() + 7 * 60_000
    await waitUntil(async () => (await offset()) === 7, 'the new time')
  })

  it('C9, G4: a route that was taken away is refused at once, one that came back listens again, without any connection', async () => {
    await start()
    await untilLive()
    await test.open(host)
    const { resourcesVersion = 0 } = await view()
    test.server.refusedRoutes.set('orders', { code: 'resource_denied', text: 'there is no orders for you' })
    say({ type: 'access.changed' })
    const refused = await host.next('gateway.changed', ({ state }) => state === 'refused')
    expect(refused.stateText).toContain('there is no orders for you')
    expect((await view()).resourcesVersion).toBe(resourcesVersion + 1)
    test.server.refusedRoutes.clear()
    say({ type: 'access.changed' })
    await waitUntil(async () => (await gatewayState()) === 'listening', 'listening again')
    expect(notices()).toEqual(['orders as reader: there is no orders for you'])
    expect(host.all('login.requested')).toEqual([])
  })

  it('C9: news that come while the routes are looked at make it look once more, not once each', async () => {
    await start()
    await untilLive()
    await test.open(host)
    const before = test.server.seen.routes.length
    for (let i = 0; i < 50; i++) say({ type: 'access.changed' })
    await waitUntil(async () => ((await view()).resourcesVersion ?? 0) >= 50, 'all news')
    await test.open(host)
    await waitUntil(() => test.server.seen.routes.length >= before + 2, 'the second look')
    expect(test.server.seen.routes.length - before).toBeLessThan(20)
  })

  it('C9: sessions that others end are told with resource and reason; those that end by themselves are not', async () => {
    await start()
    await untilLive()
    const session = { type: 'session.ended', sessionId: 's', resource: 'orders', account: 'reader' } as const
    for (const reason of [
      'closed',
      'expired',
      'idle',
      'restart',
      'something new',
      'revoked',
      'terminated',
      'cancelled',
    ])
      say({ ...session, reason })
    await host.next('notice', ({ text }) => text.includes('cancelled'))
    expect(notices()).toEqual([
      'your session on orders as reader was ended: access to it was taken away',
      'your session on orders as reader was ended: an administrator ended it',
      'your session on orders as reader was ended: it was cancelled',
    ])
  })

  it('C9, W4: a login that is ended elsewhere is over here at once, said once; who connects next is held for the next login', async () => {
    await start()
    await untilLive()
    const gateway = await test.open(host)
    test.server.endedLogins.add(opened[0]!.identity.loginId)
    say({ type: 'login.ended', reason: 'logout' })
    opened[0]!.stream.close(4001, 'logout')
    await untilState('expired')
    expect(await gatewayState()).toBe('needs login')
    expect(notices()).toEqual(['your login to test was ended: it was logged out from elsewhere'])

    const client = await RawClient.connect(gateway.port)
    const asked = await host.next('login.requested')
    await test.submit(host, asked.requestId)
    await waitUntil(() => client.text.includes('server_version'), 'the held client to go on')
    client.socket.destroy()
    await untilLive()
    expect(opened).toHaveLength(2)
  })

  it('C9, W4: a disabled person is refused here at once; an expired login is no news', async () => {
    await start()
    await untilLive()
    say({ type: 'person.disabled' })
    await untilState('refused')
    expect(notices()).toEqual(['your login to test was ended: an administrator disabled your account'])
    await test.submit(host)
    await untilState('ready')
    await waitUntil(() => opened.length >= 2, 'the stream of the new login')
    await untilLive()
    say({ type: 'login.ended', reason: 'expired' })
    await untilState('expired')
    expect(notices()).toHaveLength(1)
  })

  it('C9, DB1: a login that the server says has expired still lets a running query be cancelled', async () => {
    await start()
    await untilLive()
    const gateway = await test.open(host)
    const busy = await RawClient.connect(gateway.port)
    await waitUntil(() => busy.text.includes('server_version'), 'the client to be connected')
    say({ type: 'login.ended', reason: 'expired' })
    await untilState('expired')
    const cancel = await RawClient.connect(gateway.port, encodeCancelRequest({ processId: 7, secret: 8 }))
    await cancel.ended()
    expect(test.server.seen.cancels).toHaveLength(1)
    expect(host.all('login.requested')).toEqual([])
    busy.socket.destroy()
  })
})
