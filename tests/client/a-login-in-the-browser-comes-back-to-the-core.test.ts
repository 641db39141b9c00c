// W7, G5, G9: the core's side of a login in the browser: the link, the cookie that binds the browser, the way back, what old links
// say, who waits how long. The provider is nowhere here; its answers are written by hand. The whole way is in tests/e2e.
import { request } from 'node:http'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { plainText, readProviderAnswer } from '../../client/sso/provider-answer.ts'
import type { AppState } from '../../shared/app-state.ts'
import { PlainBrowser } from '../support/identity-provider.ts'
import { run } from '../support/run.ts'
import { RawClient, TestCore, waitUntil, type TestHost } from '../support/client-core.ts'

let test: TestCore
let host: TestHost
beforeEach(async () => {
  test = await TestCore.start()
  test.server.sso = { name: 'Shop ID' }
  host = await test.attach({ kind: 'window' })
  await host.core.call('profile.add', { address: test.server.address, caPin: test.server.ca.fingerprint })
})
afterEach(() => test.close())

const begin = async (requestId?: string): Promise<string> =>
  (await host.core.call('login.sso', requestId === undefined ? {} : { requestId })).url

const answerFor = (url: string, more: Record<string, string> = { code: 'the-code' }): string => {
  const { state } = test.server.seen.sso.at(-1)!
  return `${new URL(url).origin}/callback?${new URLSearchParams({ state, ...more }).toString()}`
}

const progress = async () => {
  const { state } = await host.core.call('state.subscribe', {})
  return Object.values((state as AppState).logins)[0]?.ssoProgress
}
const profileState = async () => (await host.core.call('profile.list', {})).profiles[0]?.state

/** A request as a browser does not make it. */
const raw = (url: string, headers: Record<string, string>, method = 'GET'): Promise<number> =>
  new Promise((resolve, reject) => {
    const sent = request(url, { method, headers }, (response) => {
      response.resume()
      resolve(response.statusCode ?? 0)
    })
    sent.once('error', reject)
    sent.end()
  })

describe('W7: the browser that began it, once', () => {
  it('W7, C1: the link leads to the provider, the answer to a login, and the page says so without the code in its address', async () => {
    const browser = new PlainBrowser()
    const url = await begin()
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/start\/[\w-]{43}$/)
    expect(test.server.seen.sso[0]?.redirectUri).toBe(`${new URL(url).origin}/callback`)
    const away = await browser.open(url)
    expect([away.status, away.location]).toEqual([303, expect.stringContaining('https://id.example/authorize?state=')])
    const back = await browser.open(answerFor(url))
    expect(back.location).toMatch(/\/done\/[\w-]{43}$/)
    const page = await browser.open(back.location!)
    expect(page.text).toContain('You are logged in to test')
    expect(await profileState()).toBe('ready')
    expect(test.server.seen.ssoFinished).toHaveLength(1)
    // The verifier went to the server only now, and neither link nor code into the log.
    const log = test.log.join('')
    for (const secret of [
      url,
      'the-code',
      test.server.seen.ssoFinished[0]!['verifier']!,
      test.server.seen.sso[0]!.state,
    ])
      expect(log).not.toContain(secret)
    // A used link with a login that is good is no error.
    expect((await browser.open(url)).text).toContain('You are logged in to test')
    expect((await browser.open(answerFor(url))).text).toContain('You are logged in to test')
    expect(test.server.seen.ssoFinished).toHaveLength(1)
  })

  it('W7: another browser that brings the answer, without the cookie, gets no login', async () => {
    const url = await begin()
    await new PlainBrowser().open(url)
    const page = await new PlainBrowser().open(answerFor(url))
    expect([page.status, page.text]).toEqual([
      403,
      expect.stringContaining('does not belong to a login that this browser'),
    ])
    expect(test.server.seen.ssoFinished).toEqual([])
    expect(await profileState()).toBe('signed out')
  })

  it('W7: a wrong state gets no login; the right one still does', async () => {
    const browser = new PlainBrowser()
    const url = await begin()
    await browser.open(url)
    const wrong = await browser.open(`${new URL(url).origin}/callback?code=x&state=another-state-of-nobody`)
    expect(wrong.status).toBe(403)
    const twice = await browser.open(`${answerFor(url)}&code=second`)
    expect(twice.status).toBe(403)
    expect(test.server.seen.ssoFinished).toEqual([])
    await browser.open(answerFor(url))
    expect(await profileState()).toBe('ready')
  })

  it('W7: begun anew, the old link is dead; cancelled, it is dead; ten minutes later it is dead', async () => {
    const browser = new PlainBrowser()
    const first = await begin()
    await browser.open(first)
    const oldAnswer = answerFor(first)
    const second = await begin()
    expect((await browser.open(first)).text).toContain('This login was ended in Postern')
    expect((await browser.open(oldAnswer)).text).toContain('This login was ended in Postern')
    await browser.open(second)
    test.clockShiftMs += 10 * 60_000
    const late = await browser.open(answerFor(second))
    expect(late.text).toContain('The link has run out (10 minutes)')
    const { requestId } = await host.core.call('login.ask', { profile: 'test' })
    const third = await begin(requestId)
    await expect.poll(async () => (await progress())?.step).toBe('browser')
    await host.core.call('login.cancel', { requestId, outcome: 'cancelled' })
    expect((await browser.open(third)).text).toContain('This login was ended in Postern')
    expect(test.server.seen.ssoFinished).toEqual([])
  })

  it('W7: what the provider refuses is shown as plain text, here and in the dialog, and one can start again', async () => {
    const browser = new PlainBrowser()
    const { requestId } = await host.core.call('login.ask', { profile: 'test' })
    const url = await begin(requestId)
    await browser.open(url)
    const evil = '<img src=x onerror=alert(1)>\u202e\u0007 no'
    const back = await browser.open(answerFor(url, { error: 'access_denied', error_description: evil }))
    const page = await browser.open(back.location!)
    expect(page.text).toContain('Shop ID refused the login: &lt;img src=x onerror=alert(1)&gt; no')
    await expect.poll(progress).toMatchObject({
      step: 'failed',
      text: 'Shop ID refused the login: <img src=x onerror=alert(1)> no',
    })
    const again = await begin(requestId)
    await expect.poll(progress).toMatchObject({ step: 'browser', url: again })
    await browser.open(again)
    await browser.open(answerFor(again))
    expect((await host.next('login.closed')).outcome).toBe('succeeded')
  })

  it('W7: a failure of a login ahead of time is said, though the old login is still good', async () => {
    const browser = new PlainBrowser()
    await test.submit(host)
    const url = await begin()
    await browser.open(url)
    test.server.refuseSso = {
      path: '/v1/sso/finish',
      code: 'sso_denied',
      text: 'Shop ID knows you as eve, nobody here does',
    }
    const back = await browser.open(answerFor(url))
    expect((await browser.open(back.location!)).text).toContain('Shop ID knows you as eve, nobody here does.')
    // A page of that login that is opened once more is no error: one is logged in.
    expect((await browser.open(url)).text).toContain('You are logged in to test')
  })

  it('G18: other hosts, methods, fetches and prefetches are refused', async () => {
    const url = await begin()
    const { host: authority } = new URL(url)
    expect(await raw(url, { host: 'postern.example' })).toBe(421)
    expect(await raw(url, { host: authority.replace('127.0.0.1', 'localhost') })).toBe(421)
    expect(await raw(url, { host: authority }, 'POST')).toBe(405)
    expect(await raw(url, { host: authority, 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image' })).toBe(403)
    expect(await raw(url, { host: authority, 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe' })).toBe(403)
    expect(await raw(url, { host: authority, 'sec-purpose': 'prefetch' })).toBe(403)
    expect(await raw(new URL('/', url).href, { host: authority })).toBe(404)
    expect(await raw(new URL('/start/guessed', url).href, { host: authority })).toBe(404)
    expect(await raw(url, { host: authority, 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' })).toBe(303)
  })

  it('G18: another local user who has the link gets nowhere', async (context) => {
    if (process.platform !== 'linux' || process.getuid?.() !== 0) context.skip('needs root on Linux to become nobody')
    const url = await begin()
    const script = `require('node:http').get('${url}', (answer) => {
      console.log(answer.statusCode)
      answer.pipe(process.stdout)
    })`
    const theirs = await run(process.execPath, ['-e', script], { uid: 65_534, gid: 65_534, cwd: '/' })
    expect(theirs.stdout).toMatch(/^403\n[\s\S]*belongs to another user of this machine/)
    expect((await new PlainBrowser().open(url)).status).toBe(303)
  })

  it('W7, E1: a cluster without a provider says so, and one that cannot reach its own names it', async () => {
    test.server.refuseSso = {
      path: '/v1/sso/start',
      code: 'sso_unreachable',
      text: 'the access server cannot reach Shop ID',
    }
    await expect(begin()).rejects.toMatchObject({ code: 'sso_unreachable' })
    test.server.sso = null
    await expect(begin()).rejects.toMatchObject({ code: 'unsupported' })
    expect((await host.core.call('profile.list', {})).profiles[0]?.sso).toBeNull()
  })
})

describe('G5, G9: those who wait', () => {
  /** A gateway whose login has expired, with a client that waits for it. */
  async function heldClient(): Promise<{ client: RawClient; requestId: string }> {
    await test.submit(host)
    const gateway = await test.open(host)
    test.expire()
    host.forget()
    const client = await RawClient.connect(gateway.port)
    const { requestId, sso } = await host.next('login.requested')
    expect(sso).toEqual({ name: 'Shop ID' })
    return { client, requestId }
  }

  it('G5, G13: a login in the browser lets the held client go on, and every host that waits for it hears of it', async () => {
    const { client, requestId } = await heldClient()
    const other = await test.attach({ canAsk: false })
    const url = await begin(requestId)
    const waits = other.core.call('login.ssoWait', {})
    const browser = new PlainBrowser()
    await browser.open(url)
    await browser.open(answerFor(url))
    expect((await waits).state).toBe('ready')
    expect((await host.next('login.closed')).outcome).toBe('succeeded')
    await waitUntil(() => client.text.includes('server_version'), 'the held client is connected')
    client.socket.destroy()
  })

  it('G5: a password from elsewhere ends the login in the browser, and its tab says that one is logged in', async () => {
    const { client, requestId } = await heldClient()
    const url = await begin(requestId)
    const waits = host.core.call('login.ssoWait', {})
    await test.submit(await test.attach({ canAsk: false }))
    expect((await waits).state).toBe('ready')
    await waitUntil(() => client.text.includes('server_version'), 'the held client is connected')
    expect((await new PlainBrowser().open(url)).text).toContain('You are logged in to test')
    client.socket.destroy()
  })

  it('G8: when the waiting client leaves while the person is in the browser, the dialog stays, and the login counts', async () => {
    const { client, requestId } = await heldClient()
    const url = await begin(requestId)
    client.socket.destroy()
    await host.next('login.updated', ({ waiting }) => waiting === 0)
    const browser = new PlainBrowser()
    await browser.open(url)
    await browser.open(answerFor(url))
    expect((await host.next('login.closed')).outcome).toBe('succeeded')
  })

  it('G11: a window that is loaded anew gets the request back, with how far the login is', async () => {
    const page = await test.attach({ kind: 'page' })
    const { requestId } = await page.core.call('login.ask', { profile: 'test' })
    const { url } = await page.core.call('login.sso', { requestId })
    await host.core.close()
    await page.core.close()
    await waitUntil(() => test.log.filter((line) => line.includes('host detached')).length === 2, 'both have left')
    host = await test.attach({ kind: 'page' })
    expect((await host.next('login.requested')).requestId).toBe(requestId)
    await expect.poll(progress).toMatchObject({ step: 'browser', url })
  })

  it('G5: a terminal that began it and goes away takes its login with it', async () => {
    const terminal = await test.attach({ canAsk: false })
    const { url } = await terminal.core.call('login.sso', {})
    await terminal.core.close()
    await waitUntil(
      async () => (await new PlainBrowser().open(url)).text.includes('was ended in Postern'),
      'the link dies',
    )
  })
})

describe('G9: how long it is waited', () => {
  it('G9: while the person is in the browser the wait goes on beyond its usual end; a failure starts it again', async () => {
    const impatient = await TestCore.start({ settings: { loginWait: 4000, loginHardLimit: 120_000 } })
    try {
      impatient.server.sso = { name: 'Shop ID' }
      const window = await impatient.attach({ kind: 'window' })
      await impatient.login(window)
      const gateway = await impatient.open(window)
      impatient.expire()
      const client = await RawClient.connect(gateway.port)
      const { requestId } = await window.next('login.requested')
      const { url } = await window.core.call('login.sso', { requestId })
      // Its usual end does not come any more; what is left is the hard limit.
      const { state: whole } = await window.core.call('state.subscribe', {})
      const { deadlineAt } = (whole as AppState).logins[requestId]!
      expect(Date.parse(deadlineAt!) - impatient.clockShiftMs - Date.now()).toBeGreaterThan(30_000)
      const browser = new PlainBrowser()
      await browser.open(url)
      const { state } = impatient.server.seen.sso.at(-1)!
      await browser.open(`${new URL(url).origin}/callback?error=access_denied&state=${state}`)
      // Failed: the usual time runs again, and then they have their error.
      await client.ended()
      expect(client.text).toContain('28000')
      expect((await window.next('login.closed')).outcome).toBe('timed out')
    } finally {
      await impatient.close()
    }
  })

  it('G9: the hard limit ends the wait; who finishes later is logged in all the same', async () => {
    const impatient = await TestCore.start({ settings: { loginWait: 4000, loginHardLimit: 5000 } })
    try {
      impatient.server.sso = { name: 'Shop ID' }
      const window = await impatient.attach({ kind: 'window' })
      await impatient.login(window)
      const gateway = await impatient.open(window)
      impatient.expire()
      const client = await RawClient.connect(gateway.port)
      const { requestId } = await window.next('login.requested')
      const { url } = await window.core.call('login.sso', { requestId })
      const browser = new PlainBrowser()
      await browser.open(url)
      await client.ended()
      expect((await window.next('login.closed')).outcome).toBe('timed out')
      const { state } = impatient.server.seen.sso.at(-1)!
      await browser.open(`${new URL(url).origin}/callback?code=c&state=${state}`)
      expect((await window.core.call('profile.list', {})).profiles[0]?.state).toBe('ready')
    } finally {
      await impatient.close()
    }
  })
})

describe('W7: what comes back from outside', () => {
  it('W7: any query is read without an exception, and only a whole answer is one', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (query) => {
        expect(['code', 'error', 'nonsense']).toContain(readProviderAnswer(query).kind)
      }),
    )
    fc.assert(
      fc.property(
        fc.string({ minLength: 1, maxLength: 50 }),
        fc.string({ minLength: 1, maxLength: 50 }),
        (code, state) => {
          const query = new URLSearchParams({ code, state }).toString()
          expect(readProviderAnswer(query)).toEqual({ kind: 'code', code, state, iss: undefined })
          expect(readProviderAnswer(`${query}&state=x`).kind).toBe('nonsense')
        },
      ),
    )
  })

  it('W7: texts are one line without anything invisible, and short', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 2000 }), (text) => {
        const plain = plainText(text)
        expect(plain === null || (/^[^\p{C}\p{Zl}\p{Zp}]+$/u.test(plain) && Array.from(plain).length <= 201)).toBe(true)
      }),
    )
    expect(plainText('\u0000\u200b ')).toBeNull()
  })
})
