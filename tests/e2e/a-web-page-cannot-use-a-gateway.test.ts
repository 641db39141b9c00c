// A page in the person's own browser (G18): by another name of this machine, by DNS rebinding, by fetch, form, image and WebSocket
// it reaches no gateway, no target and no page of the browser host, and raises no login.
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { GatewayView } from '../../shared/rpc.ts'
import { TestCore, waitUntil, type TestHost } from '../support/client-core.ts'
import { TCP_RESOURCE } from '../support/fake-access-server.ts'
import { startChromium } from './support/browser-app.ts'
import { startFixtureHost, type FixtureHost } from './support/fixture-host.ts'

let browser: Browser
let page: Page
let evil: Server
let evilPort: number
let test: TestCore
let host: TestHost
let app: FixtureHost
/** What came to the target behind the tcp gateway. */
let reached = ''
let orders: GatewayView
let wiki: GatewayView

beforeAll(async () => {
  evil = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>evil</title>')
  })
  evil.listen(0, '127.0.0.1')
  await once(evil, 'listening')
  evilPort = (evil.address() as AddressInfo).port
  test = await TestCore.start()
  test.server.resources = ['orders', 'wiki']
  test.server.resourceDetails.set('wiki', TCP_RESOURCE)
  // A web application behind plain TCP: what a page would like most.
  test.server.serveTcp = (socket) => {
    socket.on('data', (bytes: Buffer) => {
      reached += bytes.toString('latin1')
      if (!reached.endsWith('\r\n\r\n')) return
      const body = '<!doctype html><title>wiki</title>'
      const head = `HTTP/1.1 200 OK\r\ncontent-type: text/html\r\naccess-control-allow-origin: *\r\nconnection: close\r\ncontent-length: ${body.length}`
      socket.end(`${head}\r\n\r\n${body}`)
    })
  }
  host = await test.attach()
  await test.login(host)
  const open = async (resource: string) =>
    (await host.core.call('gateway.open', { resource, keep: 'attached' })).gateway
  orders = await open('orders')
  wiki = await open('wiki')
  app = await startFixtureHost()
  browser = await startChromium(['--host-resolver-rules=MAP evil.test 127.0.0.1'])
})
beforeEach(async () => {
  page = await browser.newPage()
  page.setDefaultTimeout(20_000)
})
afterEach(() => page.close())
afterAll(async () => {
  await browser.close()
  await app.close()
  await test.close()
  evil.closeAllConnections()
  await new Promise((resolve) => evil.close(resolve))
})

/** Everything that a page can do to reach a port under a name; resolves when each try is over, one way or the other. */
const attack = (name: string, port: number): Promise<string[]> =>
  page.evaluate(
    async ([base, socketBase]) => {
      const outcome = (what: string, tried: Promise<unknown>): Promise<string> =>
        tried.then(
          () => `${what} came through`,
          () => `${what} failed`,
        )
      const loaded = (element: HTMLElement & { src?: string }) =>
        new Promise((resolve, reject) => {
          element.addEventListener('load', resolve)
          element.addEventListener('error', reject)
        })
      const image = new Image()
      const isImageLoaded = loaded(image)
      image.src = `${base}/image`
      const socket = new WebSocket(`${socketBase}/ws`)
      const isSocketOpen = new Promise((resolve, reject) => {
        socket.addEventListener('open', resolve)
        socket.addEventListener('error', reject)
      })
      return Promise.all([
        outcome('fetch', fetch(`${base}/a`)),
        outcome('opaque fetch', fetch(`${base}/b`, { mode: 'no-cors' })),
        outcome('POST', fetch(`${base}/c`, { method: 'POST', mode: 'no-cors', body: 'drop table customers' })),
        outcome('PUT', fetch(`${base}/d`, { method: 'PUT', body: 'x' })),
        outcome('image', isImageLoaded),
        outcome('WebSocket', isSocketOpen),
      ])
    },
    [`http://${name}:${port}`, `ws://${name}:${port}`] as const,
  )

/** A form that is sent to the port in a frame; resolves when the browser is done with it. */
async function sendForm(name: string, port: number): Promise<void> {
  const url = `http://${name}:${port}/form`
  const over = Promise.race([
    page.waitForEvent('requestfailed', (request) => request.url() === url),
    page.waitForEvent('requestfinished', (request) => request.url() === url),
  ])
  await page.evaluate((action) => {
    const frame = document.createElement('iframe')
    frame.name = 'sink'
    const form = document.createElement('form')
    Object.assign(form, { action, method: 'post', target: 'sink' })
    document.body.append(frame, form)
    form.submit()
  }, url)
  await over
  await page.evaluate(() => document.querySelectorAll('iframe, form').forEach((element) => element.remove()))
}

const tellsNobody = (dials: number): void => {
  expect(reached).toBe('')
  expect(test.server.seen.dials.filter(({ alpn }) => alpn === 'postern-postgres')).toHaveLength(dials)
  expect(host.all('login.requested')).toHaveLength(0)
}

describe('G18: a page of somebody else', () => {
  // Under its own name, under a name of this machine, and under a name that it has let point here.
  const origins = ['evil.localhost', 'evil.test']
  const targets = ['127.0.0.1', 'localhost', 'evil.localhost', 'evil.test']

  for (const origin of origins) {
    it(`G18, G2: from http://${origin} it reaches neither a database nor a target behind plain TCP`, async () => {
      await page.goto(`http://${origin}:${evilPort}/`)
      for (const gateway of [orders, wiki]) {
        for (const target of targets) {
          for (const outcome of await attack(target, gateway.port)) expect(outcome, target).toContain('failed')
          await sendForm(target, gateway.port)
        }
      }
      tellsNobody(0)
    })
  }

  it('G18: rebound under its own name and port, it gets nothing to read either', async () => {
    // The page's own origin now leads to the gateway: what is loaded from it would be the page's own.
    for (const gateway of [orders, wiki])
      await expect(page.goto(`http://evil.test:${gateway.port}/`)).rejects.toThrow(/ERR_EMPTY_RESPONSE|ERR_CONNECTION/)
    tellsNobody(0)
  })

  it('D1, G18: the browser host answers it with 421 or 403 and nothing else', async () => {
    await page.goto(`http://evil.test:${evilPort}/`)
    const statuses: number[] = []
    const note = (response: { url(): string; status(): number }): void => {
      if (new URL(response.url()).port === String(app.port)) statuses.push(response.status())
    }
    page.on('response', note)
    const [own = ''] = app.authority.split(':')
    for (const target of [...targets, own]) {
      const outcomes = await attack(target, app.port)
      // An opaque answer may come through; what the page can read, and a WebSocket, may not.
      for (const outcome of outcomes) expect(outcome).not.toMatch(/^(fetch|PUT|image|WebSocket) came/)
      await sendForm(target, app.port)
    }
    page.off('response', note)
    expect(statuses.length).toBeGreaterThan(targets.length)
    // 405: a form that knew the random name, which no page does, is turned away for its method already.
    for (const status of statuses) expect([421, 403, 405]).toContain(status)
    await page.goto(`http://evil.test:${app.port}/`)
    expect(await page.title()).not.toContain('Fixture')
  })

  it('G18, G2: while a login is missing it raises no dialog', async () => {
    await page.goto(`http://evil.test:${evilPort}/`)
    test.expire()
    const dials = test.server.seen.dials.length
    for (const gateway of [orders, wiki]) for (const target of targets) await attack(target, gateway.port)
    expect(host.all('login.requested')).toHaveLength(0)
    expect(test.server.seen.dials).toHaveLength(dials)
    await test.submit(host)
  })

  it('G18: the person who types the address of a tcp gateway gets its page, and that page reaches itself', async () => {
    await page.goto(`http://127.0.0.1:${wiki.port}/`)
    expect(await page.title()).toBe('wiki')
    expect(await page.evaluate(() => fetch('/more').then(({ status }) => status))).toBe(200)
    await waitUntil(() => reached.includes('GET /more'), 'the second request')
  })
})
