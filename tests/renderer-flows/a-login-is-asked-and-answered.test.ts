// The login dialog as a person meets it: who wants what, wrong passwords, codes, cancelling, several at once, focus.
import { afterAll, beforeAll, expect, it } from 'vitest'
import { PosternError } from '../../shared/errors.ts'
import type { LoginPrompt } from '../../shared/rpc.ts'
import { openRenderer, type RendererUnderTest } from '../renderer/browser.ts'
import { appState, profile } from '../renderer/fixture-state.ts'
import type { Responder } from '../renderer/fixture-host.ts'
import { openWindow } from './support/window.ts'

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
}
const expiredState = () =>
  appState({
    profiles: { 'acme-prod': profile('acme-prod', { state: 'expired', expiresAt: soon(-120_000), remainingMs: 0 }) },
    logins: { r1: { ...PROMPT, requestedAt: soon(0), deadlineAt: soon(588_500) } },
  })

const refusing =
  (errors: PosternError[]): Responder =>
  (method) => {
    const error = method === 'login.submit' ? errors.shift() : undefined
    if (error) throw error
    return undefined
  }
const WRONG = () => new PosternError('bad_credentials', 'wrong user name or password')

it('G11: the dialog says who wants what, that the session expired, who waits and for how long', async () => {
  await using window = await openWindow(stage, { state: expiredState() })
  const { page, host } = window
  host.event('login.requested', PROMPT)
  const dialog = page.getByRole('dialog', { name: 'Log in to acme-prod' })
  await dialog.waitFor()
  const text = (await dialog.innerText()).replaceAll(/\s+/g, ' ')
  expect(text).toContain('psql wants to connect to orders as app_rw')
  expect(text).toMatch(/Your login expired at .*\d\d:\d\d/)
  expect(text).toContain('3 connections are waiting')
  expect(text).toMatch(/9:[0-4]\d/)
  expect(text).toContain('Cancelling gives the waiting clients an error')
  host.event('login.updated', { ...PROMPT, waiting: 1 })
  await dialog.getByText('1 connection is waiting').waitFor()
  expect(window.complaints).toEqual([])
})

it('G8, D2: the first key touches the request, Enter logs in, and the focus is back where it was', async () => {
  await using window = await openWindow(stage, { state: expiredState() })
  const { page, host } = window
  await window.go('#/settings')
  const before = page.getByRole('textbox', { name: 'Quiet time' })
  await before.focus()
  host.event('login.requested', PROMPT)
  await page.getByRole('dialog').waitFor()
  expect(window.callsOf('login.touch')).toEqual([])
  await page.keyboard.type('secret')
  expect(await window.called('login.touch')).toEqual({ requestId: 'r1' })
  await page.keyboard.press('Enter')
  expect(await window.called('login.submit')).toEqual({
    profile: 'acme-prod',
    user: 'alice',
    password: 'secret',
    requestId: 'r1',
  })
  await page.getByRole('dialog').waitFor({ state: 'detached' })
  await page.getByText('Logged in to acme-prod.').first().waitFor()
  await expect.poll(() => before.evaluate((element) => element === document.activeElement)).toBe(true)
  expect(window.callsOf('login.touch')).toHaveLength(1)
})

it('G11: a code is asked for in the same dialog when the server wants one', async () => {
  const answer = refusing([
    new PosternError('totp_required', 'this account also needs a code'),
    new PosternError('totp_invalid', 'the code is wrong'),
  ])
  await using window = await openWindow(stage, { state: expiredState(), answer })
  const { page, host } = window
  host.event('login.requested', PROMPT)
  await page.getByLabel('Password').fill('secret')
  await page.keyboard.press('Enter')
  const code = page.getByLabel('Code from your authenticator')
  await page.getByText('Your account also needs a code').waitFor()
  await expect.poll(() => code.evaluate((element) => element === document.activeElement)).toBe(true)
  await page.keyboard.type('123 456')
  await page.keyboard.press('Enter')
  await page.getByText('The code is wrong.').waitFor()
  await code.fill('654321')
  await page.keyboard.press('Enter')
  await page.getByRole('dialog').waitFor({ state: 'detached' })
  expect(window.callsOf('login.submit').at(-1)).toMatchObject({ password: 'secret', totp: '654321' })
})

it('G7: wrong passwords are said in place; giving up after three of them ends the request as failed', async () => {
  await using window = await openWindow(stage, {
    state: expiredState(),
    answer: refusing([
      WRONG(),
      WRONG(),
      WRONG(),
      new PosternError('rate_limited', 'too many failed attempts; try again in 30 s'),
    ]),
  })
  const { page, host } = window
  host.event('login.requested', PROMPT)
  const password = page.getByLabel('Password')
  for (const said of ['Wrong user name or password.', 'for the second time', 'for the third time']) {
    await password.fill('nope')
    await page.keyboard.press('Enter')
    await page.getByText(said).waitFor()
  }
  await page.getByText('Check the user name and the keyboard layout').waitFor()
  await password.fill('nope')
  await page.keyboard.press('Enter')
  await page.getByRole('alert').getByText('Too many failed attempts; try again in 30 s.').waitFor()
  await page.keyboard.press('Escape')
  expect(await window.called('login.cancel')).toEqual({ requestId: 'r1', outcome: 'failed' })
})

it('G7: Escape cancels, once, and the dialog is gone at once', async () => {
  await using window = await openWindow(stage, { state: expiredState() })
  const { page, host } = window
  host.event('login.requested', PROMPT)
  await page.getByRole('dialog').waitFor()
  await page.keyboard.press('Escape')
  await page.getByRole('dialog').waitFor({ state: 'detached' })
  expect(await window.called('login.cancel')).toEqual({ requestId: 'r1', outcome: 'cancelled' })
  host.event('login.closed', { requestId: 'r1', profile: 'acme-prod', outcome: 'cancelled', text: 'cancelled' })
  expect(window.callsOf('login.cancel')).toHaveLength(1)
})

it('G5, G8: answered elsewhere or withdrawn, the dialog closes with a quiet note', async () => {
  await using window = await openWindow(stage, { state: expiredState() })
  const { page, host } = window
  host.event('login.requested', PROMPT)
  await page.getByRole('dialog').waitFor()
  host.event('login.closed', { requestId: 'r1', profile: 'acme-prod', outcome: 'succeeded', text: null })
  await page.getByRole('dialog').waitFor({ state: 'detached' })
  await page.getByText('Logged in to acme-prod.').first().waitFor()
  host.event('login.requested', { ...PROMPT, requestId: 'r2' })
  await page.getByRole('dialog').waitFor()
  host.event('login.closed', { requestId: 'r2', profile: 'acme-prod', outcome: 'withdrawn', text: null })
  await page.getByText('Nobody waits for a login to acme-prod any more.').first().waitFor()
  expect(window.callsOf('login.cancel')).toEqual([])
})

it('G8: a request that times out under the hands of the person stays as an ordinary login', async () => {
  await using window = await openWindow(stage, { state: expiredState() })
  const { page, host } = window
  host.event('login.requested', PROMPT)
  await page.getByLabel('Password').fill('half a pass')
  await window.called('login.touch')
  host.event('login.closed', {
    requestId: 'r1',
    profile: 'acme-prod',
    outcome: 'timed out',
    text: 'nobody logged in in time',
  })
  await page.getByText('Those who waited have their error now').waitFor()
  expect(await page.getByLabel('Password').inputValue()).toBe('half a pass')
  await page.keyboard.press('Enter')
  expect(await window.called('login.submit')).toEqual({ profile: 'acme-prod', user: 'alice', password: 'half a pass' })
})

it('G5: logins of two profiles come one after the other', async () => {
  await using window = await openWindow(stage, { state: expiredState() })
  const { page, host } = window
  host.event('login.requested', PROMPT)
  host.event('login.requested', { ...PROMPT, requestId: 'r2', profile: 'acme-staging' })
  await page.getByText('1 more login after this one').waitFor()
  await page.getByLabel('Password').fill('first')
  await page.keyboard.press('Enter')
  await page.getByRole('dialog', { name: 'Log in to acme-staging' }).waitFor()
  expect(await page.getByLabel('Password').inputValue()).toBe('')
  await page.keyboard.press('Escape')
  expect(await window.called('login.cancel')).toEqual({ requestId: 'r2', outcome: 'cancelled' })
})

it('D2: Tab stays in the dialog', async () => {
  await using window = await openWindow(stage, { state: expiredState() })
  const { page, host } = window
  host.event('login.requested', PROMPT)
  const dialog = page.getByRole('dialog')
  await dialog.waitFor()
  for (let step = 0; step < 8; step++) {
    await page.keyboard.press('Tab')
    expect(await dialog.evaluate((element) => element.contains(document.activeElement))).toBe(true)
  }
})

it('C1: the first administrator is made with the setup code, behind a link', async () => {
  const state = appState({
    profiles: {
      fresh: profile('fresh', { state: 'signed out', user: null, level: null, expiresAt: null, remainingMs: null }),
    },
    currentProfile: 'fresh',
    gateways: {},
  })
  await using window = await openWindow(stage, { state })
  const { page, host } = window
  host.event('login.requested', {
    ...PROMPT,
    profile: 'fresh',
    user: '',
    reason: { kind: 'command', what: 'log in' },
    waiting: 0,
  })
  await page.getByRole('button', { name: 'First administrator?' }).click()
  await page.getByRole('button', { name: 'Make administrator' }).click()
  await page.getByText('Who are you?').waitFor()
  await page.getByLabel('User').fill('root')
  await page.getByLabel('Setup code').fill('ABCD-EFGH')
  await page.getByLabel('New password').fill('correct horse')
  await page.keyboard.press('Enter')
  expect(await window.called('login.submit')).toEqual({
    profile: 'fresh',
    user: 'root',
    password: 'correct horse',
    setupCode: 'ABCD-EFGH',
    requestId: 'r1',
  })
})
