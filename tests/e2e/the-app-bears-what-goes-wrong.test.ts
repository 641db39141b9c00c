// Bad days: no network at the start, a server that answers with HTML or not at all, a core that dies, other zones and
// languages, and a keyboard without a mouse.
import { createServer as createTlsServer } from 'node:tls'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createTestCa } from '../support/certificates.ts'
import { ALICE, psql, startCluster, type TestCluster } from '../support/cluster.ts'
import { until } from '../support/run.ts'
import { buildApp, loginOf, startBrowserApp, startChromium, type BrowserApp } from './support/browser-app.ts'

let cluster: TestCluster
let browser: Browser
beforeAll(async () => {
  await buildApp()
  ;[cluster, browser] = await Promise.all([startCluster(), startChromium()])
})
afterAll(async () => {
  await browser.close()
  await cluster.close()
})

let home = ''
let app: BrowserApp
beforeEach(async () => {
  home = await cluster.newHome()
  app = await startBrowserApp(browser, home)
})
afterEach(() => app.close())

const address = (page: Page) => page.getByRole('textbox', { name: 'Address of the access server' })

/** A TLS server that answers every connection as told. */
async function strangeServer(
  answer: (socket: { end: (text: string) => void }) => void,
): Promise<AsyncDisposable & { address: string }> {
  const { certPem, keyPem } = createTestCa().issueServer()
  const server = createTlsServer({ cert: certPem, key: keyPem }, (socket) => {
    socket.on('error', () => undefined)
    socket.once('data', () => answer(socket))
  })
  const sockets = new Set<{ destroy: () => void }>()
  server.on('connection', (socket: { destroy: () => void }) => sockets.add(socket))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

describe('the app on a bad day', () => {
  it('E3: a server that answers with HTML is named as something else, and nothing breaks', async () => {
    await using strange = await strangeServer((socket) =>
      socket.end(
        'HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n<html><h1>Welcome to nginx</h1></html>',
      ),
    )
    const { page, complaints } = await app.open()
    await address(page).fill(strange.address)
    await page.getByRole('button', { name: 'Continue' }).click()
    await page.getByText('Something else answers there').waitFor()
    expect(await page.getByRole('main').textContent()).not.toContain('nginx')
    expect(complaints.join()).toBe('')
  })

  it('E3: a server that says nothing does not freeze the window', async () => {
    const silent = createServer(() => undefined)
    silent.listen(0, '127.0.0.1')
    await once(silent, 'listening')
    try {
      const { page } = await app.open()
      await address(page).fill(`127.0.0.1:${(silent.address() as AddressInfo).port}`)
      await page.getByRole('button', { name: 'Continue' }).click()
      // Meanwhile the window answers.
      await page.keyboard.press('Control+k')
      await page.getByRole('dialog', { name: 'Command palette' }).waitFor()
      await page.keyboard.press('Escape')
      await page.getByText('No answer from there').waitFor({ timeout: 30_000 })
    } finally {
      silent.close()
    }
  })

  it('G17: without a network at the start the app shows what it knows, and goes on when the server is back', async () => {
    await cluster.login(home)
    await cluster.server().stop()
    try {
      const { page, complaints } = await app.open()
      await page
        .getByRole('navigation')
        .getByRole('link', { name: /^Resources/ })
        .waitFor()
      await page
        .getByRole('main')
        .getByRole('button', { name: /Try again/ })
        .waitFor()
      await cluster.startServer()
      await page
        .getByRole('main')
        .getByRole('button', { name: /Try again/ })
        .click()
      await page.getByRole('button', { name: 'Open orders as reader' }).first().waitFor()
      expect(complaints.join()).toBe('')
    } finally {
      if (!cluster.server().isRunning) await cluster.startServer()
    }
  })

  it('G17: a core that dies comes back with the same gateway on the same port, and the window with it', async () => {
    await cluster.login(home)
    const { page } = await app.open()
    await page.getByRole('button', { name: 'Open orders as reader' }).first().click()
    const heading = page.getByRole('main').getByRole('heading', { name: /^127\.0\.0\.1:/ })
    const before = await heading.textContent()
    const { pid } = JSON.parse(await readFile(join(home, 'core.json'), 'utf8')) as { pid: number }
    process.kill(pid, 'SIGKILL')
    await until(async () => {
      const text = await readFile(join(home, 'core.json'), 'utf8').catch(() => '{}')
      return (JSON.parse(text) as { pid?: number }).pid !== pid
    }, 'another core runs')
    await page.getByRole('main').getByText('Listening').filter({ visible: true }).first().waitFor()
    expect(await heading.textContent()).toBe(before)
    const [, port] = /:(\d+)/.exec(before ?? '') ?? []
    const rows = await psql(`postgresql://reader@127.0.0.1:${port ?? ''}/postgres?sslmode=disable`, ['-c', 'select 1'])
    expect(rows).toMatchObject({ code: 0, stdout: '1\n' })
  })

  it.each([
    { locale: 'de-DE', timezoneId: 'Asia/Kathmandu' },
    { locale: 'ar-EG', timezoneId: 'America/St_Johns' },
    { locale: 'ja-JP', timezoneId: 'Pacific/Kiritimati' },
  ])('C6: the time left does not depend on zone or language ($locale, $timezoneId)', async (options) => {
    await cluster.login(home)
    const { page, complaints } = await app.open(options)
    await page
      .getByRole('banner')
      .getByText(/^(8 h|7 h 59 min)/)
      .waitFor()
    expect(complaints.join()).toBe('')
  })

  it('D2: everything can be done without a mouse: sign in, open, copy, change, close', async () => {
    const { page, complaints } = await app.open()
    const keys = page.keyboard
    /** Goes on with Tab until the focus is on a control of that name. */
    const tabTo = async (name: RegExp): Promise<void> => {
      for (let step = 0; step < 60; step++) {
        const focused = await page.evaluate<string>(
          `(() => { const e = document.activeElement; const l = e?.labels?.[0]?.textContent; return e?.getAttribute('aria-label') ?? l ?? e?.textContent ?? '' })()`,
        )
        if (name.test(focused.trim())) return
        await keys.press('Tab')
      }
      throw new Error(`Tab never reached ${String(name)}`)
    }
    await address(page).waitFor()
    await tabTo(/^Address of the access server/)
    await keys.type(cluster.address)
    await keys.press('Enter')
    await page.getByRole('heading', { name: 'Is this the right server?' }).waitFor()
    await tabTo(/^Paste it here/)
    await keys.type(cluster.fingerprint)
    await keys.press('Enter')
    await loginOf(page).waitFor()
    await tabTo(/^User/)
    await keys.type(ALICE.name)
    await tabTo(/^Password/)
    await keys.type(ALICE.password)
    await keys.press('Enter')
    await loginOf(page).waitFor({ state: 'hidden' })

    await keys.press('Control+k')
    await page.getByRole('dialog', { name: 'Command palette' }).waitFor()
    await keys.type('orders reader')
    await page
      .getByRole('option', { name: /orders as reader/ })
      .first()
      .waitFor()
    await keys.press('Enter')
    await page.waitForURL(/#\/gateways\/./)
    await tabTo(/^Copy address/)
    await keys.press('Enter')
    expect(await page.evaluate<string>('navigator.clipboard.readText()')).toMatch(/^127\.0\.0\.1:\d+$/)
    await tabTo(/^Test connection/)
    await keys.press('Enter')
    await page.getByText(/^Works, in/).waitFor()
    await tabTo(/^Close gateway/)
    await keys.press('Enter')
    await page.getByText(/stops listening/).waitFor()
    await tabTo(/^Close gateway/)
    await keys.press('Enter')
    await page.getByText('No open gateway').waitFor()
    expect(complaints.join()).toBe('')
  })

  it('G11 D2: what a screen reader is told of the dialog', async () => {
    await cluster.login(home)
    const { page } = await app.open()
    await page.getByRole('banner').getByRole('button', { name: /alice/ }).click()
    const dialog = loginOf(page)
    await dialog.waitFor()
    const tree = await dialog.ariaSnapshot()
    expect(tree).toMatch(/dialog "Log in to test"/)
    expect(tree).toMatch(/heading "Log in to test"/)
    expect(tree).toMatch(/Your login is good for another/)
    expect(tree).toMatch(/textbox "User"/)
    expect(tree).toMatch(/textbox "Password"/)
    expect(tree).toMatch(/button "Cancel"/)
    expect(tree).toMatch(/button "Log in"/)
    expect(await dialog.getAttribute('aria-modal')).not.toBe('false')
  })
})
