// What a server says is put on the screen, or named as what it is: endless texts, other scripts, answers that break off.
// The real browser host and core, over a server that lies as told.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { FakeAccessServer, PASSWORD } from '../support/fake-access-server.ts'
import { run } from '../support/run.ts'
import { buildApp, logIn, loginOf, startBrowserApp, startChromium, type BrowserApp } from './support/browser-app.ts'

const POSTERN = new URL('../../bin/postern', import.meta.url).pathname
const LENGTH = 10_000
const WINDOWS = [
  { width: 1280, height: 800 },
  { width: 900, height: 600 },
]

let browser: Browser
beforeAll(async () => {
  await buildApp()
  browser = await startChromium()
})
afterAll(() => browser.close())

let home = ''
let server: FakeAccessServer
let app: BrowserApp
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'postern-strange-'))
  server = await new FakeAccessServer().start()
  app = await startBrowserApp(browser, home)
})
afterEach(async () => {
  await app.close()
  await postern('core', 'stop')
  await server.close()
  await rm(home, { recursive: true, force: true })
})

const postern = (...args: string[]) =>
  run(process.execPath, [POSTERN, ...args], { env: { POSTERN_HOME: home }, input: `${PASSWORD}\n` })

/** The app of somebody who has logged in already. */
async function openSignedIn(): ReturnType<BrowserApp['open']> {
  const { address, ca } = server
  const login = await postern('login', address, '--user', 'alice', '--ca-pin', ca.fingerprint, '--password-stdin')
  expect(login).toMatchObject({ code: 0 })
  return app.open()
}

const rowOf = (page: Page, name: string) => page.locator(`[data-row="${name}"]`)
const openButton = (page: Page, name: string) => page.getByRole('button', { name: `Open ${name} as` }).first()
const reload = (page: Page) => page.getByRole('button', { name: 'Reload resources' }).click()

/** In every size of the window nothing hangs out of it, and no row is higher than another. */
async function expectLayoutHolds(page: Page): Promise<void> {
  for (const size of WINDOWS) {
    await page.setViewportSize(size)
    const layout = await page.evaluate<{ overhang: string[]; heights: number[] }>(`(() => {
      const wide = [document.documentElement, ...document.querySelectorAll('main, main section, nav, header')]
      return {
        overhang: wide
          .filter((e) => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflowX !== 'hidden')
          .map((e) => e.tagName + '.' + e.className + ' ' + e.scrollWidth + ' > ' + e.clientWidth),
        heights: [...new Set([...document.querySelectorAll('main [data-row]')].map((e) => e.getBoundingClientRect().height))],
      }
    })()`)
    expect(layout.overhang).toEqual([])
    expect(layout.heights.length).toBeLessThanOrEqual(1)
  }
}

describe('a server with strange answers', () => {
  it('E3: a resource name of 10,000 characters is left out and counted, the others stand; a list that is none is refused in plain words', async () => {
    server.resources = ['orders', 'x'.repeat(LENGTH)]
    const { page, complaints } = await openSignedIn()
    await openButton(page, 'orders').waitFor()
    const note = page.getByRole('status').filter({ hasText: '1 resource is not shown' })
    await note.waitFor()
    expect(await page.getByRole('main').textContent()).not.toContain('xxxx')
    await expectLayoutHolds(page)

    // Once there is a list, the old one stays and the failure is said over it.
    server.rawAnswer = { path: '/v1/resources', contentType: 'application/json', body: '{"resources": "none"}' }
    await reload(page)
    await page.getByRole('alert').filter({ hasText: 'not understood' }).waitFor()
    server.rawAnswer = undefined
    await openButton(page, 'orders').click()
    await page.waitForURL(/#\/gateways\/./)
    expect(complaints.join()).toBe('')
  })

  it('E3: endless descriptions, labels and database names are cut on the screen, and everything else keeps its place', async () => {
    server.resourceDetails.set('orders', {
      description: 'An unbroken word: '.concat('w'.repeat(LENGTH)),
      labels: { ['k'.repeat(LENGTH)]: 'v'.repeat(LENGTH), env: 'test' },
      databases: ['shop', 'd'.repeat(LENGTH)],
      defaultDatabase: 'shop',
    })
    const { page, complaints } = await openSignedIn()
    await rowOf(page, 'orders').click()
    await expectLayoutHolds(page)
    for (const size of WINDOWS) {
      await page.setViewportSize(size)
      const open = await page.getByRole('button', { name: 'Open gateway' }).boundingBox()
      expect((open?.y ?? size.height) + (open?.height ?? 0)).toBeLessThan(size.height)
      expect((open?.x ?? size.width) + (open?.width ?? 0)).toBeLessThan(size.width)
    }
    await page.keyboard.press('Control+k')
    await page.getByRole('dialog', { name: 'Command palette' }).waitFor()
    await expectLayoutHolds(page)
    await page.keyboard.press('Escape')
    await page.getByRole('button', { name: 'Open gateway' }).click()
    await page.waitForURL(/#\/gateways\/./)
    await expectLayoutHolds(page)
    expect(complaints.join()).toBe('')
  })

  it('E3: right-to-left and emoji names stand isolated in the line, and open like any other', async () => {
    const account = 'قارئ 🐘'
    const description = '\u202eطلبات المتجر 🛒 (orders)'
    server.resourceDetails.set('orders', {
      description,
      labels: { סביבה: 'ייצור 🚀' },
      accounts: [account, '👩‍💻'],
      defaultAccount: account,
    })
    const { page, complaints } = await openSignedIn()
    await rowOf(page, 'orders').click()
    await page.getByText(description).first().waitFor()
    expect(await page.getByText(description).first().getAttribute('dir')).toBe('auto')
    await page.getByRole('main').getByText('ייצור 🚀').last().waitFor()
    await page.getByRole('cell', { name: account }).waitFor()
    await expectLayoutHolds(page)

    await openButton(page, 'orders').click()
    await page.waitForURL(/#\/gateways\/./)
    const heading = page.getByRole('main').getByRole('heading', { name: /^127\.0\.0\.1:/ })
    await heading.waitFor()
    await page.getByRole('main').getByText(account).first().waitFor()
    await expectLayoutHolds(page)
    await page.getByRole('tab', { name: 'URL' }).click()
    await page.getByRole('button', { name: 'Copy for URL' }).click()
    const url = new URL(await page.evaluate<string>('navigator.clipboard.readText()'))
    expect(decodeURIComponent(url.username)).toBe(account)
    expect(await heading.textContent()).toContain(`${url.hostname}:${url.port}`)
    expect(complaints.join()).toBe('')
  })

  it('E3: a list of which nothing can be used says so, in place of the resources', async () => {
    server.resources = ['طلبات-🛒']
    const { page, complaints } = await openSignedIn()
    await page.getByRole('main').getByText('1 resource is not shown').first().waitFor()
    await expectLayoutHolds(page)
    expect(complaints.join()).toBe('')
  })

  it.each([{ cut: true as const }, { cut: 'headers' as const }])(
    'E3: an answer that breaks off (cut: $cut) is said, the list stays, and trying again helps',
    async ({ cut }) => {
      server.rawAnswer = {
        body: '{"resources": [{"name": "or',
        contentType: 'application/json',
        cut,
        path: '/v1/resources',
      }
      const { page, complaints } = await openSignedIn()
      const problem = page.getByRole('main').getByRole('alert').filter({ hasText: 'The resources could not be loaded' })
      await problem.filter({ hasText: 'broke off before its answer was complete' }).waitFor()
      await expectLayoutHolds(page)

      server.rawAnswer = undefined
      await problem.getByRole('button', { name: 'Try again' }).click()
      await openButton(page, 'orders').waitFor()

      server.rawAnswer = { body: '{"resources": [{"na', contentType: 'application/json', cut, path: '/v1/resources' }
      await reload(page)
      await page.getByRole('alert').filter({ hasText: 'broke off' }).waitFor()
      await openButton(page, 'orders').waitFor()
      server.rawAnswer = undefined
      await reload(page)
      await page.getByRole('alert').filter({ hasText: 'broke off' }).waitFor({ state: 'hidden' })
      expect(complaints.join()).toBe('')
    },
  )

  it.each([{ cut: true as const }, { cut: 'headers' as const }])(
    'E3: a cluster whose first answer breaks off (cut: $cut) is not added, and the person may try again',
    async ({ cut }) => {
      server.rawAnswer = { body: '{"cluster": "te', contentType: 'application/json', cut, path: '/v1/cluster' }
      const { page, complaints } = await app.open()
      await page.getByRole('textbox', { name: 'Address of the access server' }).fill(server.address)
      await page.getByRole('button', { name: 'Continue' }).click()
      await page.getByRole('textbox', { name: /Paste it here/ }).fill(server.ca.fingerprint)
      await page.getByRole('button', { name: 'Trust and add' }).click()
      await page.getByText('broke off before its answer was complete').waitFor()
      await expectLayoutHolds(page)
      server.rawAnswer = undefined
      await page.getByRole('button', { name: 'Trust and add' }).click()
      await loginOf(page).waitFor()
      await logIn(page, { name: 'alice', password: PASSWORD })
      await openButton(page, 'orders').waitFor()
      expect(complaints.join()).toBe('')
    },
  )
})
