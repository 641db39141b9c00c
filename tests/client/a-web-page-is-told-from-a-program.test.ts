// What a gateway for plain TCP takes for a request of a web page (G18), and that everything else passes as it came.
import fc from 'fast-check'
import { once } from 'node:events'
import { duplexPair, PassThrough, type Duplex } from 'node:stream'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createHttpScreen } from '../../client/gateways/protocols/http-screen.ts'
import { screenFirstBytes } from '../../client/gateways/screening.ts'
import { linkOf } from '../../link/link.ts'
import type { GatewayView } from '../../shared/rpc.ts'
import { RawClient, TestCore, waitUntil, type TestHost } from '../support/client-core.ts'
import { TCP_RESOURCE } from '../support/fake-access-server.ts'

const request = (headers: Record<string, string>, first = 'GET / HTTP/1.1'): Buffer =>
  Buffer.from([first, ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`), '', ''].join('\r\n'))
/** A client whose first bytes are screened, and an echo behind the screen. */
function screened(): { near: Duplex; inner: PassThrough; refused: Promise<string | undefined> } {
  const [near, client] = duplexPair({ allowHalfOpen: true })
  const inner = new PassThrough({ allowHalfOpen: true })
  const screen = createHttpScreen()
  const count = () => undefined
  const refused = screenFirstBytes({ client, server: inner, said: Buffer.alloc(0), screen, count })
  const passed = refused.then((text) => (text === undefined ? undefined : inner.destroy()))
  void linkOf(client).pumpTo(
    linkOf(inner),
    undefined,
    passed.then(() => undefined),
  )
  return { near, inner, refused }
}

const judge = (bytes: Buffer): string => createHttpScreen().take(bytes).kind
const HERE = '127.0.0.1:15432'

describe('G18: requests', () => {
  it('G18: programs and a page of the resource itself pass', () => {
    const good = [
      request({ Host: HERE, 'User-Agent': 'curl/8' }),
      request({ host: 'localhost:9999', accept: '*/*' }),
      request({ Host: '[::1]:15432' }),
      request({
        Host: HERE,
        Origin: `http://${HERE}`,
        'Sec-Fetch-Site': 'same-origin',
        Referer: `http://${HERE}/page`,
      }),
      request({ Host: HERE, 'Sec-Fetch-Site': 'none', 'Sec-Fetch-Mode': 'navigate' }),
      request({}, 'GET / HTTP/1.0'),
      Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
    ]
    for (const bytes of good) expect(judge(bytes), bytes.toString()).toBe('pass')
  })

  it('G18: pages of others, other names for this machine and tricks with Host are refused', () => {
    const bad = [
      request({ Host: 'evil.test:15432' }),
      request({ Host: '127.0.0.1.evil.test:15432' }),
      request({ Host: 'evil.localhost:15432' }),
      request({ Host: 'localhost.evil.test' }),
      request({ Host: '' }),
      request({ Host: HERE, host: 'evil.test' }),
      request({ Host: HERE, Origin: 'http://evil.test' }),
      request({ Host: HERE, Origin: 'null' }, 'POST / HTTP/1.1'),
      request({ Host: HERE, Origin: 'http://127.0.0.1:9999' }, 'OPTIONS / HTTP/1.1'),
      request({ Host: HERE, Origin: `http://${HERE}.evil.test` }),
      request({ Host: HERE, Referer: 'http://evil.test/page' }),
      request({ Host: HERE, 'Sec-Fetch-Site': 'cross-site' }),
      request({ Host: HERE, 'sec-fetch-site': 'same-site' }),
      request({ Host: HERE, 'SEC-FETCH-SITE': 'none', 'Sec-Fetch-Site': 'cross-site' }),
      request({ Host: HERE, Origin: 'http://evil.test', Upgrade: 'websocket', Connection: 'Upgrade' }),
      Buffer.from('GET / HTTP/1.1\nHost: evil.test\n\n'),
    ]
    for (const bytes of bad) expect(judge(bytes), bytes.toString()).toBe('refused')
  })

  it('G18: a head is judged the same however it is cut, and nothing passes before it is whole', () => {
    const whole = request({ Host: HERE, Cookie: 'x'.repeat(300), Origin: 'http://evil.test' })
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: whole.length - 1 }), { maxLength: 8 }), (cuts) => {
        const screen = createHttpScreen()
        const at = [...new Set([0, ...cuts, whole.length])].sort((a, b) => a - b)
        const kinds = at.slice(1).map((end, index) => screen.take(whole.subarray(at[index], end)).kind)
        return kinds.slice(0, -1).every((kind) => kind === 'more') && kinds.at(-1) === 'refused'
      }),
    )
  })

  it('G18: a head without an end is refused, not kept', () => {
    expect(judge(Buffer.from(`GET /${'x'.repeat(70_000)}`))).toBe('refused')
    expect(judge(Buffer.from(`GET / HTTP/1.1\r\nHost: ${HERE}\r\nCookie: ${'x'.repeat(70_000)}`))).toBe('refused')
  })

  it('G18: other protocols pass at their first byte or line', () => {
    const others = [
      'SSH-2.0-x\r\n',
      '\x16\x03\x01\x00\xa5',
      '*1\r\n$4\r\nPING\r\n',
      'get key\r\n',
      'GET key\r\n',
      'hello',
      '\0',
    ]
    for (const first of others) expect(judge(Buffer.from(first, 'latin1')), first).toBe('pass')
    // What is only like one waits for more, and passes if no more comes.
    const screen = createHttpScreen()
    expect(screen.take(Buffer.from('GE')).kind).toBe('more')
    expect(screen.giveUp().kind).toBe('pass')
  })

  it('G18: any bytes that are no request come out as they went in, in order, with their end', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ minLength: 1, maxLength: 200 }), { maxLength: 10 }), async (chunks) => {
        const { near, inner, refused } = screened()
        for (const chunk of chunks) near.write(chunk)
        near.end()
        const back: Buffer[] = []
        for await (const bytes of near) back.push(bytes as Buffer)
        expect(inner.closed).toBe(true)
        expect(await refused).toBeUndefined()
        return Buffer.concat(back).equals(Buffer.concat(chunks))
      }),
      { numRuns: 50 },
    )
  })

  it('G18, G13: what was said before the screen goes on once, with an end that is there already and without', async () => {
    for (const isEnded of [true, false]) {
      const [near, client] = duplexPair({ allowHalfOpen: true })
      const server = new PassThrough()
      if (isEnded) near.end()
      if (isEnded) await once(client.resume(), 'end')
      client.pause()
      const screen = createHttpScreen()
      const said = Buffer.from('question')
      expect(await screenFirstBytes({ client, server, said, screen, count: () => undefined })).toBeUndefined()
      expect(client.isPaused()).toBe(true)
      expect(String(server.read())).toBe('question')
    }
  })

  it('G18: what is refused destroys both streams, and not one byte was sent', async () => {
    const { near, inner, refused } = screened()
    const sent: Buffer[] = []
    inner.on('data', (bytes: Buffer) => sent.push(bytes))
    const bad = request({ Host: 'evil.test' })
    near.write(bad.subarray(0, 20))
    near.write(bad.subarray(20))
    expect(await refused).toMatch(/another host/)
    expect(sent).toEqual([])
  })
})

describe('G18: at a gateway', () => {
  let test: TestCore
  let host: TestHost
  let gateway: GatewayView
  let reached = ''

  beforeEach(async () => {
    test = await TestCore.start()
    test.server.resources = ['cache']
    test.server.resourceDetails.set('cache', TCP_RESOURCE)
    reached = ''
    test.server.serveTcp = (socket) => {
      socket.write('hello from the server\n')
      socket.on('data', (bytes: Buffer) => (reached += bytes.toString('latin1')))
      socket.on('end', () => socket.end('goodbye\n'))
    }
    host = await test.attach()
    await test.login(host)
    gateway = (await host.core.call('gateway.open', { resource: 'cache', keep: 'attached' })).gateway
  })
  afterEach(() => test.close())

  const refused = request({ Host: 'evil.test', 'User-Agent': 'a browser' })

  it('G18: a refused request reaches nothing, at once or after the server has spoken first', async () => {
    const early = await RawClient.connect(gateway.port, refused)
    await early.ended()
    const late = await RawClient.connect(gateway.port, Buffer.alloc(0))
    await waitUntil(() => late.text.includes('hello'), 'the greeting')
    late.socket.write(refused.subarray(0, 9))
    late.socket.write(refused.subarray(9))
    await late.ended()
    expect(reached).toBe('')
  })

  it('G18, DB6: a server that speaks first is heard, a client that says little is not kept waiting for good, its end arrives', async () => {
    const client = await RawClient.connect(gateway.port, Buffer.alloc(0))
    await waitUntil(() => client.text.includes('hello'), 'the greeting')
    client.socket.write('G')
    await waitUntil(() => reached === 'G', 'the one byte')
    client.socket.write('ET is all I say')
    client.socket.end()
    await client.ended()
    expect(reached).toBe('GET is all I say')
    expect(client.text).toContain('goodbye')
  })

  it('G18, G2: while a login is missing a page raises no dialog; a program does, and gets through', async () => {
    test.expire()
    const dials = test.server.seen.dials.length
    await (await RawClient.connect(gateway.port, refused)).ended()
    expect(host.all('login.requested')).toHaveLength(0)
    expect(test.server.seen.dials).toHaveLength(dials)
    const client = await RawClient.connect(gateway.port, request({ Host: `127.0.0.1:${gateway.port}` }))
    const asked = await host.next('login.requested')
    await test.submit(host, asked.requestId)
    await waitUntil(() => reached.startsWith('GET / HTTP/1.1'), 'the request')
    client.socket.destroy()
  })
})
