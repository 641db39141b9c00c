// The page gate (electron/page-gate.ts) against a page that has gone mad: whatever it sends, the gate answers with an error or not at all,
// never throws, and lets nothing through that the contract does not name.
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createPageGate, type CoreCaller, type PageReply } from '../../electron/page-gate.ts'
import { PosternError } from '../../shared/errors.ts'
import { CALLS } from '../../shared/rpc.ts'
import {
  PAGE_API_CALLS,
  PAGE_MESSAGE_MAX_BYTES,
  PAGE_METHODS,
  SHELL_CALLS,
  type PageApiPath,
} from '../../shared/shell.ts'
import { Desktop } from './desktop.ts'

type Reached = { method: string; params: unknown }

function gateOn(answer: () => Promise<unknown> = () => Promise.resolve({})) {
  const sent: PageReply[] = []
  const reached: Reached[] = []
  const refused: string[] = []
  const shellCall = (): Promise<never> => Promise.reject(new PosternError('unsupported', 'not here'))
  const core = {
    call: (method: string, params: unknown) => {
      reached.push({ method, params })
      return answer()
    },
  }
  const gate = createPageGate({
    core: () => core as CoreCaller,
    shell: {
      'shell.describe': shellCall,
      'shell.copy': shellCall,
      'shell.openExternal': shellCall,
      'shell.showLogs': shellCall,
      'shell.attention': shellCall,
      'shell.loginWindow': shellCall,
      'shell.loginShown': shellCall,
    },
    send: (message) => sent.push(message),
    onRefused: (why) => refused.push(why),
  })
  return { gate, sent, reached, refused }
}

const text = (message: unknown): string => JSON.stringify(message)
const anyMethod = [...Object.keys(CALLS), ...Object.keys(SHELL_CALLS), 'core.stop', '__proto__', 'constructor', '']

describe('the page gate', () => {
  it('D1: any value at all is answered with an error or ignored, and never throws', async () => {
    await fc.assert(
      fc.asyncProperty(fc.anything({ withBigInt: true, withSparseArray: true }), async (value) => {
        const { gate, reached } = gateOn()
        await gate.receive(value)
        expect(reached).toEqual([])
      }),
    )
  })

  it('D1: any JSON is answered with an error or ignored', async () => {
    await fc.assert(
      fc.asyncProperty(fc.json(), async (json) => {
        const { gate, reached, sent } = gateOn()
        await gate.receive(json)
        expect(reached).toEqual([])
        for (const message of sent) expect(message).toHaveProperty('error.code', 'bad_request')
      }),
    )
  })

  it('D1: with any method and any parameters only allowed calls with parsed parameters reach the core', async () => {
    const message = fc.record({
      id: fc.oneof(fc.nat(), fc.integer(), fc.double(), fc.string()),
      method: fc.constantFrom(...anyMethod),
      params: fc.oneof(
        fc.jsonValue(),
        fc.record({ profile: fc.jsonValue(), gateway: fc.jsonValue(), password: fc.jsonValue() }, { requiredKeys: [] }),
      ),
    })
    await fc.assert(
      fc.asyncProperty(message, async (value) => {
        const { gate, reached, sent } = gateOn()
        await gate.receive(text(value))
        for (const { method, params } of reached) {
          expect(PAGE_METHODS).toContain(method)
          expect(CALLS[method as keyof typeof CALLS].params.safeParse(params).success).toBe(true)
        }
        const isAnswerable = Number.isSafeInteger(value.id) && Number(value.id) >= 0
        expect(sent).toHaveLength(isAnswerable ? 1 : 0)
      }),
      { numRuns: 500 },
    )
  })

  it('D1: calls that only other hosts may make are refused', async () => {
    const others = Object.keys(CALLS).filter((method) => !(PAGE_METHODS as readonly string[]).includes(method))
    expect(others).toEqual(expect.arrayContaining(['hello', 'core.stop', 'core.retire', 'presence.set']))
    for (const method of others) {
      const { gate, sent, reached } = gateOn()
      await gate.receive(text({ id: 7, method, params: {} }))
      expect(reached).toEqual([])
      expect(sent).toMatchObject([{ id: 7, error: { code: 'bad_request' } }])
    }
  })

  it("D1: of the server's API a page reaches its own account and nothing else", async () => {
    const good = [
      { path: '/v1/account/totp', body: { password: 'x' } },
      { path: '/v1/account/totp/confirm', body: { code: '123456' } },
      { path: '/v1/account/password', body: { current: 'x', next: 'longer than that' } },
    ]
    for (const params of good) {
      const { gate, reached } = gateOn()
      await gate.receive(text({ id: 1, method: 'api.call', params: { method: 'POST', ...params } }))
      expect(reached).toMatchObject([{ method: 'api.call', params }])
    }
    const path = fc.oneof(
      fc.constantFrom(
        ...good.map((call) => call.path),
        '/v1/account/totp/',
        '/v1/account/totp?x',
        '/v1/account/../admin/users',
        '/v1/admin/apply',
        '/v1/logout',
        '/v1/me',
        '/v1/__proto__',
      ),
      fc.string().map((rest) => `/v1/${rest}`),
    )
    const params = fc.record({
      method: fc.constantFrom('GET', 'POST', 'PUT', 'DELETE'),
      path,
      body: fc.oneof(fc.jsonValue(), fc.constantFrom(...good.map((call) => call.body))),
    })
    await fc.assert(
      fc.asyncProperty(params, async (value) => {
        const { gate, reached, sent } = gateOn()
        await gate.receive(text({ id: 1, method: 'api.call', params: value }))
        const isGood =
          value.method === 'POST' &&
          Object.hasOwn(PAGE_API_CALLS, value.path) &&
          PAGE_API_CALLS[value.path as PageApiPath].safeParse(value.body).success
        expect(reached).toHaveLength(isGood ? 1 : 0)
        if (!isGood) expect(sent).toMatchObject([{ id: 1, error: { code: 'bad_request' } }])
      }),
      { numRuns: 500 },
    )
  })

  it('D1: messages that are too big or too deep are refused unread', async () => {
    const { gate, sent, reached, refused } = gateOn()
    await gate.receive(text({ id: 1, method: 'profile.list', params: { a: 'x'.repeat(PAGE_MESSAGE_MAX_BYTES) } }))
    // Few characters, many bytes.
    await gate.receive(
      text({ id: 2, method: 'profile.list', params: { a: '\u20ac'.repeat(PAGE_MESSAGE_MAX_BYTES / 2) } }),
    )
    await gate.receive(`${'['.repeat(100_000)}${']'.repeat(100_000)}`)
    expect(sent).toEqual([])
    expect(reached).toEqual([])
    expect(refused).toHaveLength(3)
  })

  it('D1: an error text never repeats what the page sent, which may be a password', async () => {
    const { gate, sent } = gateOn()
    await gate.receive(text({ id: 1, method: 'login.submit', params: { password: ['hunter2 secret'] } }))
    await gate.receive(
      text({ id: 2, method: 'login.submit', params: { password: 'hunter2 secret', user: 5 }, more: 'hunter2' }),
    )
    expect(sent).toHaveLength(2)
    expect(text(sent)).not.toContain('hunter2')
  })

  it("D1: an error of the core is passed on, a bug's text is not", async () => {
    const known = gateOn(() => Promise.reject(new PosternError('bad_credentials', 'wrong password')))
    await known.gate.receive(text({ id: 1, method: 'profile.list', params: {} }))
    expect(known.sent).toEqual([{ id: 1, error: { code: 'bad_credentials', text: 'wrong password' } }])
    const bug = gateOn(() => Promise.reject(new TypeError('cannot read /home/alice/.postern/key.pem')))
    await bug.gate.receive(text({ id: 1, method: 'profile.list', params: {} }))
    expect(bug.sent).toMatchObject([{ id: 1, error: { code: 'internal' } }])
    expect(text(bug.sent)).not.toContain('key.pem')
  })

  it('D1: a flood is cut at its bound, and answers to a page that has gone are dropped', async () => {
    const { promise, resolve } = Promise.withResolvers<unknown>()
    const { gate, sent, reached } = gateOn(() => promise)
    const calls = Array.from({ length: 500 }, (_, id) => gate.receive(text({ id, method: 'profile.list', params: {} })))
    expect(reached).toHaveLength(100)
    expect(sent.every((message) => 'error' in message && message.error.code === 'rate_limited')).toBe(true)
    expect(sent).toHaveLength(400)
    gate.close()
    resolve({})
    await Promise.all(calls)
    expect(sent).toHaveLength(400)
  })
})

describe('the built app', () => {
  let desktop: Desktop
  beforeAll(async () => {
    desktop = await (await Desktop.start()).reachesCore()
  })
  afterAll(async () => {
    await desktop.close()
  })

  it('D1: nonsense on its channel, from the page and past the preload, leaves it answering', async () => {
    const page = await desktop.page()
    await desktop.call('shell.describe')
    await page.evaluate(`for (const nonsense of [
      undefined, null, 0, '', [], {}, { id: -1 }, { id: 1e400 }, { id: 1, method: 'core.stop', params: {} },
      { id: 1, method: ['profile.list'], params: {} }, { id: 1, method: 'login.submit', params: null },
      { id: 1, method: 'shell.openExternal', params: { url: { toString: 'x' } } },
      { id: 1, method: 'profile.list', params: {}, __proto__: { admin: true } }, 'x'.repeat(300000),
    ]) { try { postern.send(nonsense) } catch {} }`)
    const own = { channel: 'postern:from-page', frameUrl: 'app://postern/index.html', isSubFrame: false }
    for (const args of [[], [{}], [[1]], [null], ['{'], ['[]'], ['"x"'], [1e9], ['{"id":1}', 'more']]) {
      await desktop.ask('forgeIpc', { ...own, args })
    }
    expect(await desktop.call('profile.list')).toMatchObject({ result: { profiles: [] } })
    expect((await desktop.inspect()).windows).toHaveLength(1)
  })
})
