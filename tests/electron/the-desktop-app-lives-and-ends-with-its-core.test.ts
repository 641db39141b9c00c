// The life of the desktop app around its core: one app a home, a core that is killed comes back, a terminal's core is used, links are
// confirmed, presence is told, quitting ends what was started.
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { connectToCore } from '../../client/connect.ts'
import { until } from '../support/run.ts'
import { Desktop, type DesktopOptions } from './desktop.ts'

const open: Desktop[] = []
const start = async (options?: DesktopOptions): Promise<Desktop> => {
  const desktop = await Desktop.start(options)
  open.push(desktop)
  return desktop
}
afterEach(async () => {
  await Promise.all(open.splice(0).map((desktop) => desktop.close()))
})

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** Whether the core went away and is there again, as the page was told. */
const isBack = async (desktop: Desktop): Promise<boolean> => {
  const states = (await desktop.events('shell.coreState')).map(({ state }) => state)
  return states.includes('restarting') && states.at(-1) === 'connected'
}

describe('the desktop app', () => {
  it('G17: starts one core as a child of its own and ends it when it quits, leaving its home private', async () => {
    const desktop = await (await start()).reachesCore()
    expect(await desktop.call('profile.list')).toMatchObject({ result: { profiles: [], current: null } })
    const { utilityPids, tray } = await desktop.untilSeen(
      ({ tray }) => tray[0]!.tooltip.includes('no cluster'),
      'the tray',
    )
    expect(utilityPids).toHaveLength(1)
    expect(tray[0]!.labels).toEqual(['Postern: no cluster yet', '-', 'Show Postern', 'Quit Postern'])
    expect((await stat(desktop.home)).mode & 0o777).toBe(0o700)
    await desktop.ask('clickTray', { label: 'Quit Postern' })
    expect(await desktop.ended).toBe(0)
    expect(isAlive(utilityPids[0]!)).toBe(false)
  })

  it('G17: a killed core is started again, the page is told, and calls work again', async () => {
    const desktop = await (await start()).reachesCore()
    await desktop.call('state.subscribe')
    const [first] = (await desktop.inspect()).utilityPids
    process.kill(first!, 'SIGKILL')
    await until(
      async () => (await desktop.events('shell.coreState')).some(({ state }) => state === 'restarting'),
      'told',
    )
    await until(() => isBack(desktop), 'connected again')
    const [second] = (await desktop.inspect()).utilityPids
    expect(second).not.toBe(first)
    expect(await desktop.call('profile.list')).toHaveProperty('result')
  })

  it('G17: a core that cannot start is a failure with its reason, in the page and the tray, and not a hang', async () => {
    const home = await mkdtemp(join(tmpdir(), 'postern-desktop-'))
    try {
      await writeFile(join(home, 'settings.json'), '{"loginWait": "soon"}', { mode: 0o600 })
      const desktop = await start({ home })
      await desktop.untilSeen(({ tray }) => tray[0]!.tooltip === 'Postern: not running', 'the tray says so')
      const answer = await desktop.call('profile.list')
      expect(answer.error?.code).toBe('core_unreachable')
      expect(await readFile(join(home, 'app.log'), 'utf8')).toMatch(/loginWait/)
      await desktop.close()
    } finally {
      await rm(home, { recursive: true, force: true })
    }
  })

  it("G17: a terminal's core is used while it runs, and the app starts one when it has gone", async () => {
    const home = await mkdtemp(join(tmpdir(), 'postern-desktop-'))
    try {
      const terminal = await connectToCore({ home, kind: 'terminal', canAsk: false, appVersion: '0.1.0' })
      const desktop = await (await start({ home })).reachesCore()
      await desktop.call('profile.list')
      expect((await desktop.inspect()).utilityPids).toEqual([])
      await terminal.call('core.stop', {})
      await terminal.closed
      await desktop.untilSeen(({ utilityPids }) => utilityPids.length === 1, 'a core of its own')
      await until(async () => 'result' in (await desktop.call('profile.list')), 'calls work')
      await desktop.close()
    } finally {
      await rm(home, { recursive: true, force: true })
    }
  })

  it('G17: a second start only shows the window of the first one and hands over its link', async () => {
    const desktop = await (await start()).reachesCore()
    await desktop.call('state.subscribe')
    await desktop.ask('windowDo', { verb: 'minimize' })
    const link = 'postern://gateway/demo/orders/app'
    const second = await start({ home: desktop.home, args: [link], window: false })
    expect(await second.ended).toBe(0)
    await desktop.untilSeen(({ windows }) => windows[0]!.isFocused && !windows[0]!.isMinimized, 'the window is shown')
    await until(async () => (await desktop.events('shell.confirmLink')).length > 0, 'the link')
    expect(await desktop.events('shell.confirmLink')).toEqual([{ profile: 'demo', resource: 'orders', account: 'app' }])
    expect(await desktop.call('state.subscribe')).toMatchObject({ result: { state: { gateways: {} } } })
  })

  it('G17: a second start while the first one is still starting hands over its link, too', async () => {
    const home = await mkdtemp(join(tmpdir(), 'postern-desktop-'))
    try {
      // What a second start has left by then.
      await mkdir(join(home, 'app'))
      await writeFile(join(home, 'app', 'second-instance-1.json'), '["postern://gateway/demo/orders/app"]')
      const desktop = await (await start({ home, args: ['postern://gateway/demo/stock'] })).reachesCore()
      await desktop.call('state.subscribe')
      const links = (): Promise<unknown[]> => desktop.events('shell.confirmLink')
      await until(async () => JSON.stringify(await links()).includes('orders'), 'the link')
      expect((await links()).at(-1)).toEqual({ profile: 'demo', resource: 'orders', account: 'app' })
      await desktop.close()
    } finally {
      await rm(home, { recursive: true, force: true })
    }
  })

  it('D1: a link at the start waits until the page can ask; anything else on the command line is nothing', async () => {
    const args = ['--flag', 'postern://evil/demo/orders', 'postern://gateway/demo/orders']
    const desktop = await (await start({ args })).reachesCore()
    expect(await desktop.events('shell.confirmLink')).toEqual([])
    await desktop.call('state.subscribe')
    await until(async () => (await desktop.events('shell.confirmLink')).length > 0, 'the link')
    expect(await desktop.events('shell.confirmLink')).toEqual([{ profile: 'demo', resource: 'orders', account: null }])
  })

  it('D1: answers to the page before a reload never reach the page after it', async () => {
    const desktop = await start()
    const page = await desktop.page()
    await desktop.call('shell.describe')
    // Calls on the wire when the page goes; the new page counts from one again.
    await page.evaluate(`for (let i = 0; i < 20; i++) void fixture.call('profile.list')`)
    await page.reload()
    await page.evaluate(`fixture.heardBefore = fixture.events.length`)
    expect(await desktop.call('shell.describe')).toMatchObject({ id: 1, result: { kind: 'electron' } })
  })

  it('D3: without background mode closing the window quits; with it the app lives on in the tray', async () => {
    const quitting = await (await start()).reachesCore()
    await quitting.call('state.subscribe')
    await quitting.ask('windowDo', { verb: 'close' })
    expect(await quitting.ended).toBe(0)

    const staying = await (await start()).reachesCore()
    await staying.call('state.subscribe')
    expect(await staying.call('settings.update', { backgroundMode: true })).toHaveProperty('result')
    await staying.ask('windowDo', { verb: 'close' })
    const closed = await staying.untilSeen(({ windows }) => windows.length === 0, 'the window has gone')
    expect(closed.utilityPids).toHaveLength(1)
    await staying.ask('clickTray', { label: 'Show Postern' })
    await staying.untilSeen(({ windows }) => windows.length === 1, 'the window is back')
    // Remembered, where it was.
    expect((await staying.inspect()).windows[0]!.options).toMatchObject({ x: 100, y: 80, width: 1000, height: 700 })
  })

  it('D3: the theme of the settings is the theme of the window, and menus and tray lead into the page', async () => {
    const desktop = await (await start()).reachesCore()
    await desktop.call('state.subscribe')
    expect(await desktop.call('settings.update', { theme: 'dark' })).toHaveProperty('result')
    await desktop.untilSeen(({ theme }) => theme === 'dark', 'the dark theme')
    expect((await desktop.inspect()).menuRoles).toEqual(['File', 'editMenu', 'View', 'windowMenu', 'help'])
    expect(await desktop.call('shell.copy', { text: 'postgresql://…' })).toHaveProperty('result')
    expect((await desktop.inspect()).clipboard).toBe('postgresql://…')
    expect(await desktop.call('shell.showLogs')).toMatchObject({ result: { shown: true } })
    const { calls } = await desktop.inspect()
    expect(calls).toContainEqual({ what: 'shell.showItemInFolder', with: join(desktop.home, 'core.log') })
    expect(await desktop.call('shell.describe')).toMatchObject({ result: { canStartAtLogin: false, canNotify: true } })
  })

  it('C1: nothing secret reaches the log of the shell', async () => {
    const desktop = await (await start()).reachesCore()
    const secret = randomBytes(12).toString('hex')
    await desktop.call('login.submit', { profile: 'demo', user: 'alice', password: secret })
    await desktop.call('login.submit', { password: { secret } })
    await desktop.call(`nonsense.${secret}`)
    let log = ''
    await until(async () => {
      log = await readFile(join(desktop.home, 'app.log'), 'utf8').catch(() => '')
      return log.includes('login.submit') && log.includes('not a call that a page may make')
    }, 'both refusals are logged')
    expect(log).not.toContain(secret)
  })
})
