// Palette, settings, notices, about and the menu of a cluster, driven by keyboard, with their errors.
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { NoticeView } from '../../shared/app-state.ts'
import { PosternError } from '../../shared/errors.ts'
import { openRenderer, type RendererUnderTest } from '../renderer/browser.ts'
import { appState, profile } from '../renderer/fixture-state.ts'
import { openWindow } from './support/window.ts'

let stage: RendererUnderTest
beforeAll(async () => {
  stage = await openRenderer()
})
afterAll(() => stage.close())

const ago = (ms: number): string => new Date(Date.now() - ms).toISOString()
const notice = (id: string, part: Partial<NoticeView>): NoticeView => ({
  id,
  level: 'info',
  text: `notice ${id}`,
  profile: 'acme-prod',
  gateway: null,
  count: 1,
  firstAt: ago(60_000),
  lastAt: ago(60_000),
  isRead: false,
  ...part,
})

it('D2: Ctrl-K opens the palette over everything; what is typed is found, Enter does what it says, recent ones come first', async () => {
  await using window = await openWindow(stage, { state: appState() })
  const { page } = window
  await page.getByText('tenant-01').first().waitFor()
  const palette = page.getByRole('dialog', { name: 'Command palette' })
  await page.keyboard.press('Control+k')
  await palette.waitFor()
  await page.keyboard.type('orders migr')
  await palette
    .getByRole('option', { name: /^orders as migrator/ })
    .and(page.locator('[aria-selected=true]'))
    .waitFor()
  await palette.getByText('open a gateway').waitFor()
  await page.keyboard.press('Enter')
  expect(await window.called('gateway.open')).toEqual({
    profile: 'acme-prod',
    resource: 'orders',
    account: 'migrator',
    keep: 'detached',
  })
  await palette.waitFor({ state: 'detached' })
  await expect.poll(() => page.url()).toContain('#/gateways/')

  await page.keyboard.press('Control+k')
  await page.keyboard.type('copy billing')
  await palette.getByText('copy the address').waitFor()
  await page.keyboard.press('Escape')
  await page.keyboard.press('Control+k')
  await page.keyboard.type('notices')
  await page.keyboard.press('Enter')
  await expect.poll(() => page.url()).toContain('#/notices')
  await page.keyboard.press('Control+k')
  await palette.getByRole('group', { name: 'Recent' }).getByRole('option', { name: 'Notices' }).waitFor()
  await page.keyboard.press('Control+k')
  await palette.waitFor({ state: 'detached' })
  expect(window.complaints).toEqual([])
})

it('G19: closing a gateway from the palette asks first where something is connected', async () => {
  await using window = await openWindow(stage, { state: appState() })
  const { page } = window
  await page.keyboard.press('Control+k')
  await page.keyboard.type('close gateway orders')
  await page.keyboard.press('Enter')
  await page
    .getByRole('dialog', { name: /orders/ })
    .getByText('3 connections are cut at once')
    .waitFor()
  expect(window.callsOf('gateway.close')).toEqual([])
  await page.keyboard.press('Tab')
  await page.keyboard.press('Enter')
  expect(await window.called('gateway.close')).toEqual({ gateway: 'gw-orders-15432' })
})

it('D2: a palette without a match says so', async () => {
  await using window = await openWindow(stage, { state: appState() })
  await window.page.keyboard.press('Control+k')
  await window.page.keyboard.type('qqzzqq')
  await window.page.getByText('Nothing is called “qqzzqq”.').waitFor()
})

it('D2, G18: settings are saved at once, checked in place, and undone where the core refuses', async () => {
  let isRefusing = false
  await using window = await openWindow(stage, {
    state: appState(),
    answer: (method) => {
      if (method === 'settings.update' && isRefusing)
        throw new PosternError('misconfigured', 'settings.json was edited meanwhile')
      return undefined
    },
  })
  const { page, host } = window
  await window.go('#/settings')
  await page.getByRole('radiogroup', { name: 'Theme' }).getByRole('radio', { name: 'As the system' }).focus()
  await page.keyboard.press('ArrowRight')
  expect(await window.called('settings.update')).toEqual({ theme: 'light' })
  await expect.poll(() => page.locator('html').getAttribute('data-theme')).toBe('light')

  const wait = page.getByRole('textbox', { name: 'How long a connection waits' })
  await wait.fill('10m')
  await page.getByText('Longer than the limit below').waitFor()
  await wait.fill('soon')
  await page.getByText('Write a duration like 30s').waitFor()
  await page.keyboard.press('Escape')
  expect(await wait.inputValue()).toBe('1m')
  await wait.fill('1m 30s')
  await page.keyboard.press('Enter')
  await expect.poll(() => host.state.settings.loginWait).toBe(90_000)

  await page.getByRole('radio', { name: 'Only from a range' }).check({ force: true })
  await expect.poll(() => host.state.settings.portRange).toEqual({ from: 15_000, to: 15_999 })
  await page.getByRole('textbox', { name: 'To port' }).fill('99999')
  await page.getByText('A port is a whole number from 1024 to 65535.').waitFor()
  await page.getByRole('textbox', { name: 'To port' }).fill('14000')
  await page.getByText('The range ends before it begins.').waitFor()
  await page.getByRole('textbox', { name: 'To port' }).fill('15500')
  await page.keyboard.press('Enter')
  await expect.poll(() => host.state.settings.portRange).toEqual({ from: 15_000, to: 15_500 })

  const password = page.getByRole('switch', { name: 'Ask for a password at new gateways' })
  expect(await password.isChecked()).toBe(false)
  await password.focus()
  await page.keyboard.press('Space')
  await expect.poll(() => host.state.settings.gatewayPassword).toBe('on')

  isRefusing = true
  const background = page.getByRole('switch', { name: 'Keep gateways open' })
  const before = await background.isChecked()
  await background.focus()
  await page.keyboard.press('Space')
  await page.getByText('Not saved, the old value is back: settings.json was edited meanwhile').waitFor()
  expect(await background.isChecked()).toBe(before)
  expect(await page.getByRole('switch', { name: 'Start when I log in' }).isDisabled()).toBe(true)
})

it('D2: notices are filtered, read, cleared, and lead to their gateway', async () => {
  const notices = {
    a: notice('a', { level: 'error', gateway: 'gw-legacy-crm-13306', text: 'Port 13306 is taken' }),
    b: notice('b', { level: 'warning', count: 14, text: 'Nobody logged in' }),
    c: notice('c', { isRead: true, lastAt: ago(50 * 3_600_000), firstAt: ago(50 * 3_600_000), text: 'Logged in' }),
  }
  await using window = await openWindow(stage, { state: appState({ notices }) })
  const { page, host } = window
  await window.go('#/notices')
  await page.getByText('14 times since').waitFor()
  await page.getByRole('radio', { name: 'Problems' }).check({ force: true })
  await page.getByText('Logged in', { exact: true }).waitFor({ state: 'detached' })
  await page.getByRole('button', { name: 'Mark all read' }).focus()
  await page.keyboard.press('Enter')
  expect(await window.called('notice.read')).toEqual({ ids: ['a', 'b'] })
  host.patch([
    { path: ['notices', 'a'], value: { ...notices.a, isRead: true } },
    { path: ['notices', 'b'], value: { ...notices.b, isRead: true } },
  ])
  await page.getByRole('radio', { name: 'Unread' }).check({ force: true })
  await page.getByRole('heading', { name: 'All read' }).waitFor()
  await page.getByRole('button', { name: 'Show all' }).click()
  await page.getByRole('button', { name: 'Clear all' }).focus()
  await page.keyboard.press('Enter')
  await page.getByRole('dialog', { name: 'Clear all notices?' }).waitFor()
  await page.keyboard.press('Escape')
  expect(window.callsOf('notice.clear')).toEqual([])
  await page.getByRole('button', { name: 'Go to the gateway of legacy-crm' }).click()
  await expect.poll(() => page.url()).toContain('#/gateways/gw-legacy-crm-13306')
})

it('D2: about shows versions and makes a bundle whose id can be copied; a failure is said', async () => {
  let isFailing = true
  await using window = await openWindow(stage, {
    state: appState(),
    answer: (method) => {
      if (method === 'diagnostics.bundle' && isFailing) throw new PosternError('internal', 'no space left on the disk')
      return undefined
    },
  })
  const { page } = window
  await window.go('#/about')
  await page.getByText('A file that only you can read (0600).').waitFor()
  await page.getByText('/home/alice/.postern/core.log').waitFor()
  const make = page.getByRole('button', { name: 'Make a bundle' })
  await make.click()
  await page.getByRole('alert').filter({ hasText: 'no space left on the disk' }).waitFor()
  isFailing = false
  await make.click()
  await page.getByText('diag-4f1c', { exact: true }).waitFor()
  await page.getByRole('button', { name: 'Copy the id' }).waitFor()
})

it('G19: the menu of a cluster logs out, and removes only after asking; the focus returns to its button', async () => {
  await using window = await openWindow(stage, { state: appState() })
  const { page } = window
  const button = page.getByRole('navigation').getByRole('button', { name: /acme-prod/ })
  await button.focus()
  await page.keyboard.press('Enter')
  // A person presses the next key when the menu has the focus; a script has to wait for it.
  const focusedItem = () =>
    page.evaluate(
      () => document.activeElement?.getAttribute('role') === 'menuitem' && document.activeElement.textContent,
    )
  await expect.poll(focusedItem).toMatch(/Log in/)
  await page.keyboard.press('End')
  await expect.poll(focusedItem).toMatch(/Remove/)
  await page.keyboard.press('Enter')
  await page.getByRole('dialog', { name: 'Remove acme-prod?' }).getByText('closes 6 gateways').waitFor()
  await page.keyboard.press('Escape')
  await page.getByRole('dialog').waitFor({ state: 'detached' })
  await expect.poll(() => button.evaluate((element) => element === document.activeElement)).toBe(true)
  expect(window.callsOf('profile.remove')).toEqual([])
  await page.keyboard.press('Enter')
  await expect.poll(focusedItem).toMatch(/Log in/)
  await page.keyboard.press('ArrowDown')
  await expect.poll(focusedItem).toMatch(/Log out/)
  await page.keyboard.press('Enter')
  expect(await window.called('logout')).toMatchObject({ profile: 'acme-prod' })
})

it('G14: one click on the time left asks for a login ahead of time', async () => {
  const state = appState({ profiles: { 'acme-prod': profile('acme-prod', { state: 'expiring' }) } })
  await using window = await openWindow(stage, { state })
  await window.page.getByRole('button', { name: /left/ }).first().click()
  expect(await window.called('login.ask')).toEqual({ profile: 'acme-prod' })
})
