// D1, G10: the desktop app opens the page of a login in the system's browser: on a click, with the link that its core returned, and no
// other address without https.
import { afterAll, beforeAll, expect, it } from 'vitest'
import { isLoginLink } from '../../electron/login-link.ts'
import { FakeAccessServer } from '../support/fake-access-server.ts'
import { PlainBrowser } from '../support/identity-provider.ts'
import { PATIENCE } from '../support/patience.ts'
import { builtApp } from './built.ts'
import { Desktop } from './desktop.ts'

let server: FakeAccessServer
let desktop: Desktop
beforeAll(async () => {
  server = await new FakeAccessServer().start()
  server.sso = { name: 'Shop ID' }
  await builtApp('real')
  desktop = await Desktop.start({ renderer: 'real' })
})
afterAll(async () => {
  await desktop.close()
  await server.close()
})

it('D1, G10, G11: one click opens the link of the core, once; the dialog goes when the browser is back', async () => {
  const page = await desktop.page()
  page.setDefaultTimeout(PATIENCE * 15_000)
  await page.getByRole('textbox', { name: 'Address of the access server' }).fill(server.address)
  await page.getByRole('button', { name: 'Continue' }).click()
  await page.getByRole('textbox', { name: 'Paste it here to let Postern compare' }).fill(server.ca.fingerprint)
  await page.getByRole('button', { name: 'Trust and add' }).click()
  const dialog = page.getByRole('dialog', { name: 'Log in to test' })
  await dialog.getByRole('button', { name: 'Continue with Shop ID' }).waitFor()
  expect((await desktop.inspect()).opened).toEqual([])
  await dialog.getByRole('button', { name: 'Continue with Shop ID' }).click()
  const { opened } = await desktop.untilSeen((seen) => seen.opened.length > 0, 'the link is opened')
  expect(opened).toHaveLength(1)
  expect(isLoginLink(opened[0]!)).toBe(true)
  await dialog.getByText('Finish the login in your browser').waitFor()
  // A page of the desktop app opens nothing by itself.
  expect(await dialog.getByRole('link').count()).toBe(0)

  const browser = new PlainBrowser()
  await browser.open(opened[0]!)
  const { state } = server.seen.sso.at(-1)!
  await browser.open(`${new URL(opened[0]!).origin}/callback?code=c&state=${state}`)
  await dialog.waitFor({ state: 'hidden' })
  const seen = await desktop.inspect()
  expect(seen.opened).toHaveLength(1)
  expect(seen.pageErrors).toEqual([])
})

it('D1: what is not exactly the link of a login is none', () => {
  const token = 'a'.repeat(43)
  expect(isLoginLink(`http://127.0.0.1:4000/start/${token}`)).toBe(true)
  for (const url of [
    `https://127.0.0.1:4000/start/${token}`,
    `http://127.0.0.1/start/${token}`,
    `http://127.0.0.1:4000/start/${token}?x`,
    `http://127.0.0.1:4000/start/${token}\n`,
    `http://127.0.0.1:4000/callback`,
    `http://localhost:4000/start/${token}`,
    `http://127.0.0.1:4000@evil.example/start/${token}`,
    `http://127.0.0.1.evil.example:4000/start/${token}`,
    `javascript:alert(1)//http://127.0.0.1:4000/start/${token}`,
    '',
  ])
    expect(isLoginLink(url), url).toBe(false)
})
