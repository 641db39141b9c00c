// The scenario that must always be beautiful, as a person has it in a browser window: psql waits, one dialog, one login, psql
// prints its rows; its cancel; and what may happen in between.
import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { ALICE, BOB, keepPsql, psql, startCluster, totpCode, type TestCluster } from '../support/cluster.ts'
import { until } from '../support/run.ts'
import { buildApp, logIn, loginOf, startBrowserApp, startChromium, type BrowserApp } from './support/browser-app.ts'

const SAYS_WHERE_TO_LOG_IN = /FATAL: .*session.*expired[\s\S]*postern login/i

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

/** Opens the gateway of `orders` as a person would, and gives back its URL as the person copies it. */
async function openOrders(page: Page): Promise<string> {
  await page
    .getByRole('navigation')
    .getByRole('link', { name: /^Resources/ })
    .click()
  await page.getByRole('button', { name: 'Open orders as reader' }).first().click()
  await page.waitForURL(/#\/gateways\/./)
  await page
    .getByRole('main')
    .getByRole('heading', { name: /^127\.0\.0\.1:/ })
    .waitFor()
  return copyUrl(page)
}

async function copyUrl(page: Page): Promise<string> {
  await page.getByRole('tab', { name: 'URL' }).click()
  await page.getByRole('button', { name: 'Copy for URL' }).click()
  return page.evaluate<string>('navigator.clipboard.readText()')
}

/** Lets the login of this home run out, and waits until the person sees it. */
async function expire(page: Page): Promise<void> {
  const short = await cluster.postern(home, ['login', '--user', 'alice', '--ttl', '2s', '--password-stdin'], {
    input: `${ALICE.password}\n`,
  })
  expect(short).toMatchObject({ code: 0 })
  await page.getByRole('banner').getByText('Login expired').waitFor()
}

describe('the app in a browser', () => {
  it('G2 G5 G11 G12 G13: from nothing to rows, through an expiry, with clicks alone', async () => {
    const { page, complaints } = await app.open()
    // First run: the fingerprint is compared before anything is trusted.
    await page.getByRole('textbox', { name: 'Address of the access server' }).fill(cluster.address)
    await page.getByRole('button', { name: 'Continue' }).click()
    await page.getByRole('textbox', { name: 'Paste it here to let Postern compare' }).fill(cluster.fingerprint)
    await page.getByText('The same. This is your server.').waitFor()
    await page.getByRole('button', { name: 'Trust and add' }).click()
    await loginOf(page).waitFor()
    await logIn(page, ALICE)

    const url = await openOrders(page)
    expect(await psql(url, ['-c', 'select count(*) from orders'])).toMatchObject({ code: 0, stdout: '100\n' })

    await expire(page)
    const address = await page
      .getByText(/^127\.0\.0\.1:\d+$/)
      .first()
      .textContent()
    const first = keepPsql(url, ['-c', 'select total from orders where id = 2'])
    const dialog = loginOf(page)
    await dialog.waitFor()
    for (const said of [/psql/, /orders/, /reader/, /test/, /expired/])
      expect(await dialog.textContent(), String(said)).toMatch(said)
    const second = keepPsql(url, ['-c', 'select count(*) from orders'])
    await dialog.getByText('2 connections are waiting').waitFor()
    expect([first.isRunning, second.isRunning]).toEqual([true, true])
    await logIn(page, ALICE)
    expect(await first.ended).toMatchObject({ code: 0, stdout: '3.00\n', stderr: '' })
    expect(await second.ended).toMatchObject({ code: 0, stdout: '100\n', stderr: '' })
    expect(
      await page
        .getByText(/^127\.0\.0\.1:\d+$/)
        .first()
        .textContent(),
    ).toBe(address)
    expect(complaints.join()).toBe('')
  })

  it('G7: a cancelled login gives psql its error, and the next one gets it at once', async () => {
    await cluster.login(home)
    const { page, complaints } = await app.open()
    const url = await openOrders(page)
    await expire(page)
    const held = [keepPsql(url, ['-c', 'select 1']), keepPsql(url, ['-c', 'select 2'])]
    await loginOf(page).getByText('2 connections are waiting').waitFor()
    await page.keyboard.press('Escape')
    await loginOf(page).waitFor({ state: 'hidden' })
    for (const one of held) {
      const ended = await one.ended
      expect(ended.code).toBe(2)
      expect(ended.stderr).toMatch(SAYS_WHERE_TO_LOG_IN)
    }
    const startedAt = Date.now()
    expect((await psql(url, ['-c', 'select 3'])).stderr).toMatch(SAYS_WHERE_TO_LOG_IN)
    // Else it would be held for minutes.
    expect(Date.now() - startedAt).toBeLessThan(20_000)
    expect(await loginOf(page).isVisible()).toBe(false)
    // Ahead of time, with one click: the pause is over.
    await page.getByRole('banner').getByRole('button', { name: 'Log in' }).click()
    await logIn(page, ALICE)
    expect(await psql(url, ['-c', 'select 4'])).toMatchObject({ code: 0, stdout: '4\n' })
    expect(complaints.join()).toBe('')
  })

  it('G8: the dialog goes with the last one that waits, unless the person has begun', async () => {
    await cluster.login(home)
    const { page } = await app.open()
    const url = await openOrders(page)
    await expire(page)
    const gone = keepPsql(url, ['-c', 'select 1'])
    await loginOf(page).waitFor()
    await gone.stop('SIGKILL')
    await loginOf(page).waitFor({ state: 'hidden' })

    const other = keepPsql(url, ['-c', 'select 1'])
    await loginOf(page).waitFor()
    await loginOf(page).getByLabel('Password').pressSequentially('corr')
    await other.stop('SIGKILL')
    await loginOf(page)
      .getByText(/connection is waiting/)
      .waitFor({ state: 'hidden' })
    expect(await loginOf(page).isVisible()).toBe(true)
    expect(await loginOf(page).getByLabel('Password').inputValue()).toBe('corr')
    await logIn(page, ALICE)
    expect(await psql(url, ['-c', 'select 4'])).toMatchObject({ code: 0, stdout: '4\n' })
  })

  it('G11: focus goes into the dialog, stays in it, and returns to where it was', async () => {
    await cluster.login(home)
    const { page } = await app.open()
    const url = await openOrders(page)
    await expire(page)
    const before = page.getByRole('tab', { name: 'URL' })
    await before.focus()
    const held = keepPsql(url, ['-c', 'select 5'])
    const dialog = loginOf(page)
    await dialog.waitFor()
    const inside = async () => (await dialog.locator(':focus').count()) === 1
    await until(inside, 'the focus is in the dialog')
    for (let step = 0; step < 12; step++) {
      await page.keyboard.press(step < 8 ? 'Tab' : 'Shift+Tab')
      expect(await inside()).toBe(true)
    }
    await logIn(page, ALICE)
    await page.locator('[role=tab]:focus', { hasText: 'URL' }).waitFor()
    expect(await held.ended).toMatchObject({ code: 0, stdout: '5\n' })
  })

  it('G17: a reload loses nothing, not even the login that is asked', async () => {
    await cluster.login(home)
    const { page } = await app.open()
    const url = await openOrders(page)
    const place = page.url()
    await page.reload()
    expect(await copyUrl(page)).toBe(url)
    expect(page.url()).toBe(place)
    await expire(page)
    const held = keepPsql(url, ['-c', 'select 6'])
    await loginOf(page).waitFor()
    await page.reload()
    await loginOf(page).waitFor()
    expect(held.isRunning).toBe(true)
    await logIn(page, ALICE)
    expect(await held.ended).toMatchObject({ code: 0, stdout: '6\n' })
  })

  it('G5 G17: of two windows one is asked, and both know the end', async () => {
    await cluster.login(home)
    const one = await app.open()
    const other = await app.open()
    const url = await openOrders(one.page)
    await other.page
      .getByRole('navigation')
      .getByRole('link', { name: /^Gateways/ })
      .click()
    await other.page.getByText('orders').first().waitFor()
    await expire(one.page)
    const held = keepPsql(url, ['-c', 'select 7'])
    const shown = async () => [await loginOf(one.page).isVisible(), await loginOf(other.page).isVisible()]
    await until(async () => (await shown()).includes(true), 'a window asks')
    expect((await shown()).filter(Boolean)).toHaveLength(1)
    // The window that asks is closed: the other one takes over.
    const [asking, left] = (await loginOf(one.page).isVisible()) ? [one, other] : [other, one]
    await asking.close()
    await loginOf(left.page).waitFor()
    expect(held.isRunning).toBe(true)
    await logIn(left.page, ALICE)
    expect(await held.ended).toMatchObject({ code: 0, stdout: '7\n' })
  })

  it("G5: another terminal's login ends the dialog, and psql goes on", async () => {
    await cluster.login(home)
    const { page } = await app.open()
    const url = await openOrders(page)
    await expire(page)
    const held = keepPsql(url, ['-c', 'select 8'])
    await loginOf(page).waitFor()
    await cluster.login(home)
    await loginOf(page).waitFor({ state: 'hidden' })
    expect(await held.ended).toMatchObject({ code: 0, stdout: '8\n' })
  })

  it('G9 G11: wrong password, then the code of the authenticator, in the same dialog', async () => {
    await cluster.login(home, BOB)
    const { page } = await app.open()
    await cluster.postern(home, ['logout'])
    await page.getByRole('banner').getByRole('button', { name: 'Log in' }).click()
    const dialog = loginOf(page)
    await dialog.getByRole('textbox', { name: 'User' }).fill(BOB.name)
    await dialog.getByLabel('Password').fill('wrong')
    const code = dialog.getByRole('textbox', { name: 'Code from your authenticator' })
    if (await code.isVisible()) await code.fill('000000')
    await dialog.getByRole('button', { name: 'Log in', exact: true }).click()
    await dialog.getByText(/Wrong user name or password/).waitFor()
    await dialog.getByLabel('Password').fill(BOB.password)
    // A code is good once: the next step's is taken, as a person would wait for it.
    await dialog.getByRole('button', { name: 'Log in', exact: true }).click()
    await code.waitFor()
    await code.fill(await totpCode(BOB.totpSecret, 1))
    await dialog.getByRole('button', { name: 'Log in', exact: true }).click()
    await dialog.waitFor({ state: 'hidden' })
    await page.getByRole('banner').getByText('bob').waitFor()
  })
})
