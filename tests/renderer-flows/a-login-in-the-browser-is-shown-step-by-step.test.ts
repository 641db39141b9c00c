// The login dialog where the cluster has an identity provider, as a person meets it: one button, where one is, starting again, the
// password beside it; by keyboard, for everyone. The core is scripted; the whole way is in tests/e2e.
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { LoginView } from '../../shared/app-state.ts'
import { PosternError } from '../../shared/errors.ts'
import type { LoginPrompt } from '../../shared/rpc.ts'
import { openRenderer, type RendererUnderTest } from '../renderer/browser.ts'
import { appState, profile } from '../renderer/fixture-state.ts'
import type { Responder } from '../renderer/fixture-host.ts'
import { axeFindings, openWindow, type TestWindow } from './support/window.ts'

let stage: RendererUnderTest
beforeAll(async () => {
  stage = await openRenderer()
})
afterAll(() => stage.close())

const soon = (ms: number): string => new Date(Date.now() + ms).toISOString()
const PROMPT: LoginPrompt = {
  requestId: 'r1',
  profile: 'acme-prod',
  user: 'alice',
  reason: { kind: 'connection', gateway: 'g', resource: 'orders', account: 'app_rw', client: 'psql' },
  waiting: 3,
  totp: false,
  sso: { name: 'Acme ID' },
}
/** Leads nowhere, and says so at once. */
const LINK = `http://127.0.0.1:9/start/${'x'.repeat(43)}`

type Step = NonNullable<LoginView['ssoProgress']>['step']
const loginAt = (step?: Step, text: string | null = null): LoginView => ({
  ...PROMPT,
  requestedAt: soon(0),
  deadlineAt: soon(48_500),
  ...(step === undefined ? {} : { ssoProgress: { step, text, url: LINK, since: soon(0), expiresAt: soon(581_000) } }),
})
const stateAt = (step?: Step, text: string | null = null) =>
  appState({
    profiles: { 'acme-prod': profile('acme-prod', { state: 'expired', expiresAt: soon(-120_000), remainingMs: 0 }) },
    logins: { r1: loginAt(step, text) },
  })
const goTo = (window: TestWindow, step: Step, text: string | null = null): void =>
  window.host.patch([{ path: ['logins', 'r1'], value: loginAt(step, text) }])

const answering: Responder = (method) => (method === 'login.sso' ? { url: LINK, expiresAt: soon(600_000) } : undefined)
const isFocused = (page: Page, name: string): Promise<boolean> =>
  page.getByRole('button', { name }).evaluate((element) => element === document.activeElement)

it('G10, G11, D2: one button by Enter, the page opens, where one is, starting again; the focus stays on the button', async () => {
  await using window = await openWindow(stage, { state: stateAt(), answer: answering })
  const { page, host } = window
  host.event('login.requested', PROMPT)
  const dialog = page.getByRole('dialog', { name: 'Log in to acme-prod' })
  await dialog.getByText('Acme ID opens in your browser').waitFor()
  await expect.poll(() => isFocused(page, 'Continue with Acme ID')).toBe(true)
  expect(window.callsOf('login.sso')).toEqual([])
  expect(page.context().pages()).toHaveLength(1)
  const [tab] = await Promise.all([page.context().waitForEvent('page'), page.keyboard.press('Enter')])
  expect(await window.called('login.sso')).toEqual({ profile: 'acme-prod', requestId: 'r1' })
  await tab.close()
  goTo(window, 'browser')
  await dialog.getByText('Finish the login in your browser').waitFor()
  await expect
    .poll(() => dialog.getByRole('timer', { name: /^The link works for another 9 min/ }).innerText())
    .toMatch(/9:[0-4]\d/)
  expect(await dialog.getByRole('link', { name: 'Open the page' }).getAttribute('href')).toBe(LINK)
  expect(await isFocused(page, 'Start again')).toBe(true)
  goTo(window, 'returned')
  await dialog.getByText('Back from Acme ID; logging in').waitFor()
  goTo(window, 'failed', 'Acme ID refused the login: access_denied')
  await dialog.getByRole('alert').getByText('Acme ID refused the login: access_denied.').waitFor()
  expect(await isFocused(page, 'Start again')).toBe(true)
  const [again] = await Promise.all([page.context().waitForEvent('page'), page.keyboard.press('Enter')])
  await again.close()
  expect(window.callsOf('login.sso')).toHaveLength(2)
  expect(window.complaints).toEqual([])
})

it('G7: cancelling in the middle is said to the core', async () => {
  await using window = await openWindow(stage, { state: stateAt('browser') })
  const { page, host } = window
  host.event('login.requested', PROMPT)
  await page.getByText('Finish the login in your browser').waitFor()
  await page.keyboard.press('Escape')
  expect(await window.called('login.cancel')).toEqual({ requestId: 'r1', outcome: 'cancelled' })
  await page.getByRole('dialog').waitFor({ state: 'detached' })
})

it('G11: what cannot be begun is said in the dialog; the password is one link away, and back', async () => {
  const refuse: Responder = (method) => {
    if (method === 'login.sso')
      throw new PosternError('sso_unreachable', 'the access server cannot reach Acme ID: no answer')
    return undefined
  }
  await using window = await openWindow(stage, { state: stateAt(), answer: refuse })
  const { page, host } = window
  host.event('login.requested', PROMPT)
  await page.getByRole('button', { name: 'Continue with Acme ID' }).click()
  await page.getByRole('alert').getByText('The access server cannot reach Acme ID: no answer.').waitFor()
  await page.getByRole('button', { name: 'Log in with a password' }).click()
  await page.keyboard.type('secret')
  await page.keyboard.press('Enter')
  expect(await window.called('login.submit')).toMatchObject({ user: 'alice', password: 'secret', requestId: 'r1' })
})

it('G8: whoever types a password is not interrupted when the server says that there is a provider', async () => {
  await using window = await openWindow(stage, { state: stateAt() })
  const { page, host } = window
  const { sso, ...without } = PROMPT
  host.event('login.requested', without)
  await page.getByLabel('Password').waitFor()
  await page.keyboard.type('sec')
  host.event('login.updated', { ...PROMPT, sso })
  await page.getByRole('button', { name: 'Continue with Acme ID' }).waitFor()
  await page.keyboard.type('ret')
  expect(await page.getByLabel('Password').inputValue()).toBe('secret')
  await page.getByRole('button', { name: 'Continue with Acme ID' }).click()
  await expect.poll(() => isFocused(page, 'Continue with Acme ID')).toBe(true)
})

it('G9: too late for those who waited, the dialog stays with the person who is still in the browser', async () => {
  await using window = await openWindow(stage, { state: stateAt('browser') })
  const { page, host } = window
  host.event('login.requested', PROMPT)
  await page.getByText('Finish the login in your browser').waitFor()
  host.event('login.closed', {
    requestId: 'r1',
    profile: 'acme-prod',
    outcome: 'timed out',
    text: 'nobody logged in in time',
  })
  expect(await window.called('login.ask')).toEqual({ profile: 'acme-prod' })
  host.patch([
    { path: ['logins', 'r1'] },
    { path: ['logins', 'r2'], value: { ...loginAt('browser'), requestId: 'r2', waiting: 0 } },
  ])
  host.event('login.requested', { ...PROMPT, requestId: 'r2', waiting: 0 })
  await page.getByText('Finish the login in your browser').waitFor()
  await expect.poll(() => page.getByText('connections are waiting').count()).toBe(0)
  host.event('login.closed', { requestId: 'r2', profile: 'acme-prod', outcome: 'succeeded', text: null })
  await page.getByRole('dialog').waitFor({ state: 'detached' })
})

it('D2: every step is free of axe findings, light and dark', async () => {
  for (const theme of ['light', 'dark'] as const) {
    await using window = await openWindow(stage, { state: stateAt(), theme })
    window.host.event('login.requested', PROMPT)
    await window.page.getByRole('button', { name: 'Continue with Acme ID' }).waitFor()
    expect(await axeFindings(window.page)).toEqual([])
    for (const step of ['browser', 'returned', 'failed'] as const) {
      goTo(window, step, step === 'failed' ? 'it was refused' : null)
      await window.page.getByText(/^(Finish the login|Back from Acme|It was refused)/).waitFor()
      expect(await axeFindings(window.page), `${step} ${theme}`).toEqual([])
    }
  }
})
