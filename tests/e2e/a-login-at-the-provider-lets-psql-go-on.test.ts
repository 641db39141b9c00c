// The scenario that must always be beautiful, with single sign-on: psql waits, one click, the provider's own pages in the person's
// browser, psql prints its rows; and what may go wrong on the way. Real provider, real server, real psql, Chromium as the browser.
import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { ALICE, keepPsql, startCluster, type TestCluster } from '../support/cluster.ts'
import { PlainBrowser, startIdentityProvider, type IdentityProvider } from '../support/identity-provider.ts'
import { PATIENCE } from '../support/patience.ts'
import { buildApp, loginOf, startBrowserApp, startChromium, type BrowserApp } from './support/browser-app.ts'

let provider: IdentityProvider
let cluster: TestCluster
let browser: Browser
beforeAll(async () => {
  await buildApp()
  provider = await startIdentityProvider()
  ;[cluster, browser] = await Promise.all([startCluster({ settings: provider.settings }), startChromium()])
  await cluster.apply(`{ kind: user, name: alice, email: alice@shop.example }`)
})
afterAll(async () => {
  await browser.close()
  await cluster.close()
  await provider.close()
})

let home = ''
let app: BrowserApp
let page: Page
let complaints: string[]
let url = ''
beforeEach(async () => {
  home = await cluster.newHome()
  await cluster.login(home)
  app = await startBrowserApp(browser, home)
  ;({ page, complaints } = await app.open())
  await page
    .getByRole('navigation')
    .getByRole('link', { name: /^Resources/ })
    .click()
  await page.getByRole('button', { name: 'Open orders as reader' }).first().click()
  await page.getByRole('tab', { name: 'URL' }).click()
  await page.getByRole('button', { name: 'Copy for URL' }).click()
  url = await page.evaluate<string>('navigator.clipboard.readText()')
  await cluster.postern(home, ['login', '--user', 'alice', '--ttl', '2s', '--password-stdin'], {
    input: `${ALICE.password}\n`,
  })
  await page.getByRole('banner').getByText('Login expired').waitFor()
})
afterEach(() => app.close())

/** Clicks the button that leads to the provider; the page that opens. */
async function leave(from: Page, button: 'Continue with Shop ID' | 'Start again'): Promise<Page> {
  const [opened] = await Promise.all([
    from.context().waitForEvent('page'),
    loginOf(from).getByRole('button', { name: button }).click(),
  ])
  opened.setDefaultTimeout(PATIENCE * 15_000)
  return opened
}

/** At the provider, as far as its question whether Postern may know who one is. */
async function signInAs(tab: Page, person: string): Promise<void> {
  await tab.getByPlaceholder('Enter any login').fill(person)
  await tab.getByPlaceholder('and password').fill('x')
  await tab.getByRole('button', { name: 'Sign-in' }).click()
  await tab.getByRole('button', { name: 'Continue' }).waitFor()
}
const consent = (tab: Page): Promise<void> => tab.getByRole('button', { name: 'Continue' }).click()

const ROWS = { code: 0, stdout: '100\n', stderr: '' }
const holdQuery = () => keepPsql(url, ['-c', 'select count(*) from orders'])

describe('single sign-on in the app', () => {
  it('W7, G5, G9, G10, G11, C1: psql waits, one click, the provider, rows; a reload and another window see how far it is', async () => {
    const held = holdQuery()
    const dialog = loginOf(page)
    await dialog.getByText('1 connection is waiting').waitFor()
    for (const said of ['psql wants to connect to orders as reader', 'Your login expired'])
      expect(((await dialog.textContent()) ?? '').replaceAll(/\s+/g, ' ')).toContain(said)
    const begin = dialog.getByRole('button', { name: 'Continue with Shop ID' })
    await expect.poll(() => begin.evaluate((element) => element === document.activeElement)).toBe(true)
    // Nothing has opened by itself.
    expect(page.context().pages()).toHaveLength(1)
    const tab = await leave(page, 'Continue with Shop ID')
    await dialog.getByText('Finish the login in your browser').waitFor()
    await tab.getByPlaceholder('Enter any login').waitFor()
    expect(new URL(tab.url()).origin).toBe(provider.issuer)

    await page.reload()
    await dialog.getByText('Finish the login in your browser').waitFor()
    const other = await app.open()
    await other.page.getByRole('banner').getByRole('button', { name: 'Log in' }).click()
    await loginOf(other.page).getByText('Finish the login in your browser').waitFor()
    await dialog.waitFor({ state: 'hidden' })

    expect(held.isRunning).toBe(true)
    await signInAs(tab, 'alice')
    await consent(tab)
    await tab.getByRole('heading', { name: 'You are logged in to test' }).waitFor()
    expect(tab.url()).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/done\/[\w-]{43}$/)
    expect(await held.ended).toMatchObject(ROWS)
    await loginOf(other.page).waitFor({ state: 'hidden' })
    await tab.reload()
    await tab.getByRole('heading', { name: 'You are logged in to test' }).waitFor()
    const logins = await cluster.audit(['--user', 'alice', '--event', 'login.succeeded'])
    expect(logins.at(-1)).toMatchObject({ user: 'alice', detail: { how: 'sso' } })
    expect([...complaints, ...other.complaints].join()).toBe('')
  })

  it('W7, G9: refused at the provider, unknown here, brought by another browser: said in both places, and one starts again', async () => {
    const held = holdQuery()
    const dialog = loginOf(page)
    const first = await leave(page, 'Continue with Shop ID')
    await signInAs(first, 'eve')
    const link = await dialog.getByRole('link', { name: 'Open the page' }).getAttribute('href')
    await first.getByRole('link', { name: 'Cancel' }).click()
    await first.getByRole('heading', { name: 'You are not logged in' }).waitFor()
    await dialog.getByText('Shop ID refused the login: End-User aborted interaction.').waitFor()

    // The provider still knows eve there; nobody here does.
    const second = await leave(page, 'Start again')
    await consent(second)
    await second.getByText('nobody of that email is known here').waitFor()
    await dialog.getByText('Shop ID knows you as eve@shop.example, but nobody of that email is known here').waitFor()
    await first.goto(link ?? '')
    await first.getByRole('heading', { name: 'You are not logged in' }).waitFor()

    // Somebody else's answer in this browser: right state, but this browser never opened that link.
    await dialog.getByRole('button', { name: 'Start again' }).click()
    const fresh = await dialog.getByRole('link', { name: 'Open the page' }).getAttribute('href')
    const elsewhere = new PlainBrowser()
    const back = await elsewhere.throughProvider(fresh ?? '', 'alice')
    const stranger = await browser.newContext()
    const strangersTab = await stranger.newPage()
    await strangersTab.goto(back)
    await strangersTab.getByText('does not belong to a login that this browser has begun').waitFor()
    await stranger.close()
    expect(held.isRunning).toBe(true)
    expect((await elsewhere.follow(back)).text).toContain('You are logged in to test')
    expect(await held.ended).toMatchObject(ROWS)
    await dialog.waitFor({ state: 'hidden' })
    const failed = await cluster.audit(['--event', 'login.failed', '--since', '30m'])
    expect(failed).toContainEqual(
      expect.objectContaining({ detail: { how: 'sso', code: 'sso_denied', person: 'eve@shop.example' } }),
    )
    expect(complaints.join()).toBe('')
  })

  it('W7, E1: the server may restart meanwhile; a provider that is down is named, and a password works as ever', async () => {
    const held = holdQuery()
    const dialog = loginOf(page)
    const tab = await leave(page, 'Continue with Shop ID')
    await signInAs(tab, 'alice')
    await cluster.server().stop()
    await cluster.startServer()
    await consent(tab)
    await tab.getByRole('heading', { name: 'You are logged in to test' }).waitFor()
    expect(await held.ended).toMatchObject(ROWS)
    await dialog.waitFor({ state: 'hidden' })

    await provider.pause()
    await cluster.server().stop()
    await cluster.startServer()
    await page
      .getByRole('banner')
      .getByRole('button', { name: /^alice/ })
      .click()
    await dialog.getByRole('button', { name: 'Continue with Shop ID' }).click()
    await dialog.getByText('The access server cannot reach Shop ID: nothing listens there').waitFor()
    await provider.resume()
    await dialog.getByRole('button', { name: 'Log in with a password' }).click()
    await expect.poll(() => page.evaluate('document.activeElement?.name')).toBe('password')
    await page.keyboard.type(ALICE.password)
    await page.keyboard.press('Enter')
    await dialog.waitFor({ state: 'hidden' })
    expect(complaints.join()).toBe('')
  })
})
