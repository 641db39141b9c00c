// The scenario that must always be beautiful, in the built desktop app: psql waits, the window comes up with one dialog, one login, psql
// prints its rows; its cancel; and what the desktop adds: tray, notification, focus, a window that is closed, a core that dies.
import type { Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { stopCore } from '../../client/connect.ts'
import { logIn, loginOf } from '../e2e/support/browser-app.ts'
import { ALICE, keepPsql, psql, startCluster, type TestCluster } from '../support/cluster.ts'
import { until } from '../support/run.ts'
import { PATIENCE } from '../support/patience.ts'
import { builtApp } from './built.ts'
import { Desktop } from './desktop.ts'

const SAYS_WHERE_TO_LOG_IN = /FATAL: .*session.*expired[\s\S]*postern login/i

let cluster: TestCluster
beforeAll(async () => {
  ;[cluster] = await Promise.all([startCluster(), builtApp('real')])
})
afterAll(() => cluster.close())

let home = ''
let desktop: Desktop
beforeEach(async () => {
  home = await cluster.newHome()
  await cluster.login(home)
  // The terminal's core would live on for a moment, and the app would rightly use it.
  await stopCore(home)
  desktop = await Desktop.start({ home, renderer: 'real' })
  ;(await desktop.page()).setDefaultTimeout(PATIENCE * 10_000)
})
afterEach(() => desktop.close())

/** Opens the gateway of `orders` with clicks; its URL as the person copies it. */
async function openOrders(page: Page): Promise<string> {
  await page
    .getByRole('navigation')
    .getByRole('link', { name: /^Resources/ })
    .click()
  await page.getByRole('button', { name: 'Open orders as reader' }).first().click()
  await page.getByRole('tab', { name: 'URL' }).click()
  await page.getByRole('button', { name: 'Copy for URL' }).click()
  const { clipboard } = await desktop.untilSeen((seen) => seen.clipboard.startsWith('postgresql://'), 'the copied URL')
  return clipboard
}

async function expire(page: Page): Promise<void> {
  const short = await cluster.postern(home, ['login', '--user', 'alice', '--ttl', '2s', '--password-stdin'], {
    input: `${ALICE.password}\n`,
  })
  expect(short).toMatchObject({ code: 0 })
  await page.getByRole('banner').getByText('Login expired').waitFor()
}

describe('the desktop app', () => {
  it('G2 G5 G11: psql waits, the window comes up, one login, rows; the focus goes back', async () => {
    const page = await desktop.page()
    const url = await openOrders(page)
    expect(await psql(url, ['-c', 'select count(*) from orders'])).toMatchObject({ code: 0, stdout: '100\n' })
    await desktop.untilSeen(
      ({ tray }) =>
        /^Postern: ready, 1 gateway open · test: 7 h \d+ min left$/.test(tray[0]!.tooltip) &&
        tray[0]!.labels.some((label) => /^orders as reader {2}127/.test(label)),
      'the tray lists the gateway',
    )
    await expire(page)
    await desktop.untilSeen(({ tray }) => tray[0]!.tooltip === 'Postern: login expired', 'the tray says so')
    // The person is in a terminal: the window is behind it.
    await desktop.ask('windowDo', { verb: 'blur' })
    const held = [keepPsql(url, ['-c', 'select 1']), keepPsql(url, ['-c', 'select 2'])]
    await loginOf(page).getByText('2 connections are waiting').waitFor()
    const asking = await desktop.untilSeen(({ windows }) => windows[0]!.isFocused, 'the window comes up')
    expect(asking.notifications).toEqual([])
    await desktop.untilSeen(({ tray }) => tray[0]!.tooltip === 'Postern: a login is asked for', 'the tray says so')
    await logIn(page, ALICE)
    expect(await Promise.all(held.map((one) => one.ended))).toMatchObject([
      { code: 0, stdout: '1\n', stderr: '' },
      { code: 0, stdout: '2\n', stderr: '' },
    ])
    await desktop.untilSeen(({ windows }) => !windows[0]!.isFocused, 'the focus goes back')
    expect((await desktop.inspect()).pageErrors).toEqual([])
  })

  it('G7: a cancelled login gives psql its error, and the next one gets it at once', async () => {
    const page = await desktop.page()
    const url = await openOrders(page)
    await expire(page)
    const held = keepPsql(url, ['-c', 'select 1'])
    await loginOf(page).waitFor()
    await page.keyboard.press('Escape')
    await loginOf(page).waitFor({ state: 'hidden' })
    const ended = await held.ended
    expect(ended.code).toBe(2)
    expect(ended.stderr).toMatch(SAYS_WHERE_TO_LOG_IN)
    expect((await psql(url, ['-c', 'select 2'])).stderr).toMatch(SAYS_WHERE_TO_LOG_IN)
    // From the tray: one click, the window with its dialog.
    await desktop.ask('windowDo', { verb: 'hide' })
    const [label] = (await desktop.inspect()).tray[0]!.labels.filter((one) => one.startsWith('Log in to'))
    await desktop.ask('clickTray', { label })
    await loginOf(page).waitFor()
    await desktop.untilSeen(({ windows }) => windows[0]!.isVisible, 'the window is shown')
    await logIn(page, ALICE)
    expect(await psql(url, ['-c', 'select 3'])).toMatchObject({ code: 0, stdout: '3\n' })
  })

  it('G5 G14 G17: a page that is killed while it asks comes back with the dialog; the tray logs in ahead of time', async () => {
    const page = await desktop.page()
    const url = await openOrders(page)
    await expire(page)
    const held = keepPsql(url, ['-c', 'select 1'])
    await loginOf(page).waitFor()
    await loginOf(page).getByLabel('Password').fill('typed before')
    await desktop.ask('losePage', { reason: 'killed' })
    await until(
      async () => (await loginOf(page).isVisible()) && (await loginOf(page).getByLabel('Password').inputValue()) === '',
      'the page is new, and asks',
    )
    expect(held.isRunning).toBe(true)
    await logIn(page, ALICE)
    expect(await held.ended).toMatchObject({ code: 0, stdout: '1\n' })
    const { tray } = await desktop.untilSeen(
      (seen) => seen.tray[0]!.labels.some((label) => /min left, log in again…$/.test(label)),
      'the tray counts down',
    )
    await desktop.ask('clickTray', { label: tray[0]!.labels.find((label) => label.endsWith('log in again…')) })
    await loginOf(page)
      .getByText(/Your login is good for another/)
      .waitFor()
    await logIn(page, ALICE)
  })

  it('G9 G17: a window closed while a login is asked answers nobody; opened again it asks again', async () => {
    const page = await desktop.page()
    const url = await openOrders(page)
    await page.evaluate(`new Promise((resolve) => {
      const stop = postern.onMessage(({ id, result }) => { if (id === 1e9) { stop(); resolve(result) } })
      postern.send({ id: 1e9, method: 'settings.update', params: { backgroundMode: true } })
    })`)
    await expire(page)
    const held = keepPsql(url, ['-c', 'select 1'])
    await loginOf(page).waitFor()
    await desktop.ask('windowDo', { verb: 'close' })
    await desktop.untilSeen(({ windows }) => windows.length === 0, 'the window has gone')
    await until(() => page.isClosed(), 'and its page')
    expect(held.isRunning).toBe(true)
    await desktop.untilSeen(({ tray }) => tray[0]!.tooltip === 'Postern: a login is asked for', 'the tray says so')
    await desktop.ask('clickTray', { label: 'Show Postern' })
    await logIn(await desktop.page(), ALICE)
    expect(await held.ended).toMatchObject({ code: 0, stdout: '1\n' })
  })

  it('G10: while the screen is locked nothing opens: one notification; unlocked, the dialog is there', async () => {
    const page = await desktop.page()
    const url = await openOrders(page)
    await expire(page)
    await desktop.ask('emitPower', { event: 'lock-screen' })
    // A core that comes later must be told too.
    const [pid] = (await desktop.inspect()).utilityPids
    process.kill(pid!, 'SIGKILL')
    await desktop.untilSeen(({ utilityPids }) => utilityPids.length === 1 && utilityPids[0] !== pid, 'a new core')
    await desktop.untilSeen(({ tray }) => tray[0]!.tooltip === 'Postern: login expired', 'it is connected')
    await desktop.ask('windowDo', { verb: 'blur' })
    const held = [keepPsql(url, ['-c', 'select 1']), keepPsql(url, ['-c', 'select 2'])]
    const locked = await desktop.untilSeen(({ notifications }) => notifications.length > 0, 'a notification')
    expect(locked.notifications).toHaveLength(1)
    expect(locked.notifications[0]).toMatchObject({ open: true, title: expect.stringMatching(/login is needed/) })
    expect(locked.windows[0]!.isFocused).toBe(false)
    expect(await loginOf(page).isVisible()).toBe(false)
    await desktop.ask('emitPower', { event: 'unlock-screen' })
    await logIn(page, ALICE)
    for (const one of held) expect(await one.ended).toMatchObject({ code: 0 })
    expect((await desktop.inspect()).notifications.map(({ open }) => open)).toEqual([false])
  })

  it('G15 G17: a core that is killed comes back with the gateway on its port, and the window goes on', async () => {
    const page = await desktop.page()
    const url = await openOrders(page)
    const [pid] = (await desktop.inspect()).utilityPids
    process.kill(pid!, 'SIGKILL')
    await desktop.untilSeen(({ utilityPids }) => utilityPids.length === 1 && utilityPids[0] !== pid, 'a new core')
    await until(async () => (await psql(url, ['-c', 'select 1'])).code === 0, 'the gateway works on its port', 20_000)
    await page.getByRole('button', { name: 'Test connection' }).click()
    await page.getByText(/^Works, in/).waitFor()
  })

  it('D3: quitting with living connections asks first, and quits when told to', async () => {
    const page = await desktop.page()
    const url = await openOrders(page)
    const living = keepPsql(url)
    living.write('select 1;\n')
    await living.waitFor(/^1$/m)
    await desktop.untilSeen(({ tray }) => tray[0]!.tooltip.includes('1 gateway open'), 'open')
    await page.getByRole('table', { name: 'Connected now' }).getByText('psql').waitFor()
    await desktop.ask('windowDo', { verb: 'close' })
    const asked = await desktop.untilSeen(({ calls }) => calls.some(({ what }) => what === 'dialog'), 'the question')
    expect(asked.calls.find(({ what }) => what === 'dialog')?.with).toBe('One connection is open.')
    expect(asked.windows).toHaveLength(1)
    expect(living.isRunning).toBe(true)
    await desktop.ask('answerDialog', { response: 1 })
    await desktop.ask('quit')
    expect(await desktop.ended).toBe(0)
    await living.stop()
  })
})
