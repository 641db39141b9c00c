// Authenticator and password in the app, against the real server: what is wrong is said in place, and what was changed holds at the
// next login. Keyboard alone, as far as a dialog is concerned.
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { ALICE, startCluster, totpCode, type TestCluster } from '../support/cluster.ts'
import { buildApp, startBrowserApp, startChromium, type BrowserApp } from './support/browser-app.ts'

let cluster: TestCluster
let browser: Browser
let app: BrowserApp
let home = ''
beforeAll(async () => {
  await buildApp()
  ;[cluster, browser] = await Promise.all([startCluster(), startChromium()])
})
afterAll(async () => {
  await browser.close()
  await cluster.close()
})

async function openDialog(page: Page, item: RegExp, title: RegExp) {
  await page.getByRole('button', { name: /test.*127\.0\.0\.1/ }).click()
  await page.getByRole('menuitem', { name: item }).click()
  const dialog = page.getByRole('dialog', { name: title })
  await dialog.waitFor()
  return dialog
}

const loginWith = (password: string, totp?: string) =>
  cluster.postern(
    home,
    ['login', '--user', 'alice', '--password-stdin', ...(totp === undefined ? [] : ['--totp', totp])],
    { input: `${password}\n` },
  )

it('C1 D2: a person changes the password and enrols an authenticator in the app', async () => {
  home = await cluster.newHome()
  app = await startBrowserApp(browser, home)
  try {
    await cluster.login(home)
    const { page, complaints } = await app.open()
    const next = 'a new password for alice'

    const password = await openDialog(page, /Change password/, /^Change your password for test/)
    await page.keyboard.type('not it')
    await password.getByLabel('New password').fill('short')
    await password.getByLabel('The same again').fill('other')
    await page.keyboard.press('Enter')
    await password.getByText('A password has at least 8 characters.').waitFor()
    await password.getByLabel('New password').fill(next)
    await page.keyboard.press('Enter')
    await password.getByText('Not the same as above.').waitFor()
    await password.getByLabel('The same again').fill(next)
    await page.keyboard.press('Enter')
    await password.getByText('That is not your password.').waitFor()
    await password.getByLabel('Current password').fill(ALICE.password)
    await page.keyboard.press('Enter')
    await password.waitFor({ state: 'hidden' })
    await page.getByText('Your password for test is changed.').waitFor()
    expect((await loginWith(ALICE.password)).code).not.toBe(0)
    expect(await loginWith(next)).toMatchObject({ code: 0 })

    const dialog = await openDialog(page, /Set up an authenticator/, /^Authenticator for test/)
    await page.keyboard.press('Enter')
    await dialog.getByText('Fill in your password.').waitFor()
    await page.keyboard.type('wrong')
    await page.keyboard.press('Enter')
    await dialog.getByText('That is not your password.').waitFor()
    await dialog.getByLabel('Your password').fill(next)
    await page.keyboard.press('Enter')
    await dialog.getByRole('img', { name: /QR code/ }).waitFor()
    const secret = ((await dialog.locator('code').textContent()) ?? '').replaceAll(' ', '')
    expect(secret).toMatch(/^[A-Z2-7]{16,}$/)
    // The focus is where the code goes; a wrong one changes nothing.
    await page.keyboard.type('000000')
    await page.keyboard.press('Enter')
    await dialog.getByText(/code/i).and(dialog.getByRole('alert')).waitFor()
    expect(await loginWith(next)).toMatchObject({ code: 0 })
    await dialog.getByLabel('Code that it shows now').fill(await totpCode(secret))
    await page.keyboard.press('Enter')
    await dialog.waitFor({ state: 'hidden' })
    await page.getByText(/asks for a code of your authenticator as well/).waitFor()
    expect((await loginWith(next)).stderr).toMatch(/code/)
    expect(await loginWith(next, await totpCode(secret, 1))).toMatchObject({ code: 0 })
    expect(complaints.join()).toBe('')
  } finally {
    await app.close()
  }
})
