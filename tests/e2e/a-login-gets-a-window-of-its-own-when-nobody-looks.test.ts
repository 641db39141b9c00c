// The browser host's own window for a login (design, "Look"): a page cannot raise itself, so where Postern opened the window, the
// login comes in a small one of its own. Real Chromium on a display of its own, opened by `postern app`, and real psql.
import { mkdir, mkdtemp, readFile, readlink, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { readDoor } from '../../client/app/door.ts'
import { stopCore } from '../../client/connect.ts'
import { ALICE, keepPsql, startCluster, type TestCluster } from '../support/cluster.ts'
import { until } from '../support/run.ts'
import { buildApp } from './support/browser-app.ts'
import {
  lookElsewhere,
  pageOf,
  pagesOf,
  press,
  shows,
  startDisplay,
  type,
  watchedChromium,
  type Display,
  type Elsewhere,
  type WatchedPage,
} from './support/own-window.ts'

const MAIN = /localhost:\d+\/(#\/(?!login).*)?$/
const LOGIN = /#\/login$/

let cluster: TestCluster
let display: Display | undefined
let env: Record<string, string | undefined> = {}
let dir = ''
beforeAll(async () => {
  await buildApp()
  dir = await mkdtemp(join(tmpdir(), 'postern-window-'))
  ;[cluster, display] = await Promise.all([startCluster(), startDisplay()])
  env = { ...display?.env, PATH: await watchedChromium(join(dir, 'bin')) }
})
afterAll(async () => {
  await display?.stop()
  await cluster.close()
  await rm(dir, { recursive: true, force: true, maxRetries: 5 })
})

let home = ''
let url = ''
let elsewhere: Elsewhere | undefined
beforeEach(async (context) => {
  if (!display) context.skip('needs Xvfb')
  home = await cluster.newHome()
  await cluster.login(home)
  const gateway = await cluster.postern(home, ['gateway', 'open', 'orders', '--detach', '--json'])
  url = (JSON.parse(gateway.stdout) as { url: string }).url
})
afterEach(async () => {
  await elsewhere?.stop()
  elsewhere = undefined
  const pid = (await readDoor(home))?.pid
  if (pid !== undefined) process.kill(pid, 'SIGTERM')
  // The windows are the host's, and go with it.
  await until(async () => (await pagesOf(home)).length === 0, 'the windows are gone', 20_000)
  await stopCore(home)
})

async function openApp(): Promise<WatchedPage> {
  const opened = await cluster.postern(home, ['app', '--json'], { env })
  expect(JSON.parse(opened.stdout)).toEqual({ opened: true, url: null })
  const main = await pageOf(home, MAIN)
  await shows(main, 'orders')
  return main
}

async function expire(main: WatchedPage): Promise<void> {
  const flags = ['login', '--user', 'alice', '--ttl', '2s', '--password-stdin']
  expect(await cluster.postern(home, flags, { input: `${ALICE.password}\n` })).toMatchObject({ code: 0 })
  await shows(main, 'Login expired')
}

const hasLogin = (page: WatchedPage): Promise<unknown> => page.ask(`document.title.includes('Log in to')`)
const loginWindows = async (): Promise<WatchedPage[]> => (await pagesOf(home)).filter((page) => LOGIN.test(page.url))
const isGone = (): Promise<void> =>
  until(async () => (await loginWindows()).length === 0, 'the small window is gone', 20_000)

/** The small window, as soon as it asks. One that is about to close asks nothing any more. */
async function loginWindow(main: WatchedPage): Promise<WatchedPage> {
  let asking: WatchedPage | undefined
  try {
    await until(
      async () => {
        for (const page of await loginWindows()) if ((await hasLogin(page).catch(() => false)) === true) asking = page
        return asking !== undefined
      },
      'the small window asks',
      40_000,
    )
  } catch (cause) {
    const [isFocused, title] = [await main.ask('document.hasFocus()'), await main.ask('document.title')]
    const log = await readFile(join(home, 'browser-host.log'), 'utf8').catch(String)
    throw new Error(`no small window; the page: focus ${String(isFocused)}, ${String(title)}; the host: ${log}`, {
      cause,
    })
  }
  return asking as WatchedPage
}

async function answer(page: WatchedPage): Promise<void> {
  await until(async () => (await page.ask('document.activeElement?.name')) === 'password', 'the password has the focus')
  await type(page, ALICE.password)
  await press(page, 'Enter')
}

it('G10 G11 G12: nobody looks at the page, so one small window asks, and goes when it was answered', async () => {
  const main = await openApp()
  await expire(main)

  // The person looks at the app: its own dialog is enough.
  const seen = keepPsql(url, ['-c', 'select 1'])
  await until(async () => (await hasLogin(main)) === true, 'the page asks')
  await answer(main)
  expect(await seen.ended).toMatchObject({ code: 0 })
  expect(await loginWindows()).toEqual([])

  elsewhere = await lookElsewhere(display as Display, join(dir, 'elsewhere-1'), main)
  await expire(main)
  await elsewhere.look()
  const held = [keepPsql(url, ['-c', 'select 5']), keepPsql(url, ['-c', 'select 6'])]
  const small = await loginWindow(main)
  await shows(small, 'psql wants to connect to orders as reader')
  await shows(small, '2 connections are waiting')
  expect(await small.ask('[outerWidth, outerHeight].join()')).toBe('440,500')
  await picture(small)
  // One of the two asks, never both.
  await until(async () => (await hasLogin(main)) === false, 'the page asks no more')
  expect(await loginWindows()).toHaveLength(1)
  await answer(small)
  const [five, six] = await Promise.all(held.map((psql) => psql.ended))
  expect(five).toMatchObject({ code: 0, stdout: '5\n' })
  expect(six).toMatchObject({ code: 0, stdout: '6\n' })
  await isGone()

  // Escape is the answer no, as in the dialog.
  await expire(main)
  await elsewhere.look()
  const refused = keepPsql(url, ['-c', 'select 7'])
  await press(await loginWindow(main), 'Escape')
  expect((await refused.ended).stderr).toMatch(/FATAL: .*session.*expired/i)
  await isGone()
})

it('G5 G8 G11: the small window closes when nobody waits or another terminal logs in; closed by hand, the page asks', async () => {
  const main = await openApp()
  elsewhere = await lookElsewhere(display as Display, join(dir, 'elsewhere-2'), main)
  await expire(main)
  await elsewhere.look()
  const leaves = keepPsql(url, ['-c', 'select 1'])
  await loginWindow(main)
  // Untouched: that the window took the request over is no sign of a person.
  await leaves.stop('SIGKILL')
  await isGone()

  await elsewhere.look()
  const first = keepPsql(url, ['-c', 'select 2'])
  await loginWindow(main)
  await cluster.login(home)
  expect(await first.ended).toMatchObject({ code: 0, stdout: '2\n' })
  await isGone()

  await expire(main)
  await elsewhere.look()
  const second = keepPsql(url, ['-c', 'select 3'])
  await (await loginWindow(main)).call('Page.close', {}).catch(() => undefined)
  await isGone()
  await until(async () => (await hasLogin(main)) === true, 'the page asks now')
  expect(second.isRunning).toBe(true)
  expect(await loginWindows()).toEqual([])
  await answer(main)
  expect(await second.ended).toMatchObject({ code: 0, stdout: '3\n' })
})

it('G5 G17: Chromium killed while it asks: psql goes on waiting, and a new window asks', async () => {
  const main = await openApp()
  await expire(main)
  const held = keepPsql(url, ['-c', 'select 8'])
  await until(async () => (await hasLogin(main)) === true, 'the page asks')
  const lock = join(home, 'browser-profile', 'DevToolsActivePort')
  process.kill(await browserPid(), 'SIGKILL')
  await until(async () => (await pagesOf(home)).length === 0, 'Chromium is dead')
  await rm(lock)
  expect(held.isRunning).toBe(true)
  const again = await openApp()
  await until(async () => (await hasLogin(again)) === true, 'the new window asks')
  expect(held.isRunning).toBe(true)
  await answer(again)
  expect(await held.ended).toMatchObject({ code: 0, stdout: '8\n' })
})

/** D2: axe-core finds nothing in the small window, light or dark; its picture where pictures are wanted. */
async function picture(page: WatchedPage): Promise<void> {
  const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
  await page.ask(`${axe}; undefined`)
  const folder = process.env['POSTERN_PICTURES']
  if (folder !== undefined) await mkdir(folder, { recursive: true })
  for (const value of ['light', 'dark']) {
    await page.withMedia({ features: [{ name: 'prefers-color-scheme', value }] }, async (call) => {
      const found = await page.ask('axe.run(document).then((r) => r.violations.map(({ id }) => id).join())')
      expect(found, value).toBe('')
      if (folder === undefined) return
      const { data } = await call('Page.captureScreenshot', {})
      await writeFile(join(folder, `login-window-${value}-440.png`), Buffer.from(String(data), 'base64'))
    })
  }
}

/** The browser process of the home: the one that holds its profile's lock (HOST-PID). */
async function browserPid(): Promise<number> {
  const target = await readlink(join(home, 'browser-profile', 'SingletonLock'))
  const pid = Number(target.split('-').at(-1))
  expect(await readFile(`/proc/${pid}/cmdline`, 'utf8')).toContain(home)
  return pid
}
