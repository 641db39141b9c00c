// `postern app`, `postern app url` and the demo: from a command to the open app, with a display and without.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { readDoor } from '../../client/app/door.ts'
import { stopCore } from '../../client/connect.ts'
import { Ready } from '../../demo/ready.ts'
import { Kept, run, until } from '../support/run.ts'
import { buildApp, startChromium } from './support/browser-app.ts'

const ROOT = new URL('../..', import.meta.url).pathname
const POSTERN = join(ROOT, 'bin', 'postern')
const NO_DISPLAY = { DISPLAY: undefined, WAYLAND_DISPLAY: undefined }

let dir = ''
let browser: Browser
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'postern-app-'))
  await buildApp()
  browser = await startChromium()
})
afterAll(async () => {
  await browser.close()
  await rm(dir, { recursive: true, force: true, maxRetries: 5 })
})

async function endHost(home: string): Promise<void> {
  const pid = (await readDoor(home))?.pid
  if (pid !== undefined) process.kill(pid, 'SIGTERM')
  await stopCore(home)
}

async function showsTheApp(url: string): Promise<void> {
  const page = await browser.newPage()
  try {
    await page.goto(url)
    await page.getByRole('banner').getByText('Postern').waitFor()
    expect(new URL(page.url()).pathname).toBe('/')
    expect(await page.title()).toContain('Postern')
  } finally {
    await page.close()
  }
}

it('G17: postern app without a display prints a URL that opens the app once, and postern app url another one', async () => {
  const home = join(dir, 'home-1')
  const env = { POSTERN_HOME: home, ...NO_DISPLAY }
  try {
    const first = await run(process.execPath, [POSTERN, 'app'], { env })
    expect(first).toMatchObject({ code: 0, stderr: '' })
    const [url = ''] = /http:\/\/postern-[0-9a-f]+\.localhost:\d+\/launch\/[0-9a-f]{64}/.exec(first.stdout) ?? []
    expect(first.stdout).toContain(`ssh -N -L ${new URL(url).port}:127.0.0.1:${new URL(url).port} `)
    await showsTheApp(url)
    const second = await run(process.execPath, [POSTERN, 'app', 'url', '--json'], { env })
    const fresh = JSON.parse(second.stdout) as { opened: boolean; url: string }
    expect(fresh.opened).toBe(false)
    expect(fresh.url).not.toBe(url)
    expect(new URL(fresh.url).host).toBe(new URL(url).host)
    await showsTheApp(fresh.url)
  } finally {
    await endHost(home)
  }
})

it('G17: postern app with a display opens a window, and no token stands on a command line', async (context) => {
  const xvfb = new Kept('Xvfb', ['-displayfd', '1', '-screen', '0', '1280x800x24', '-nolisten', 'tcp'])
  const home = join(dir, 'home-2')
  try {
    const number = await xvfb.waitFor(/^(\d+)$/m).catch(() => undefined)
    if (!number) context.skip('needs Xvfb')
    const env = { POSTERN_HOME: home, WAYLAND_DISPLAY: undefined, DISPLAY: `:${number?.[1] ?? ''}` }
    const opened = await run(process.execPath, [POSTERN, 'app', '--json'], { env })
    expect(JSON.parse(opened.stdout)).toEqual({ opened: true, url: null })
    // The window reaches the core: its page says hello.
    await until(
      async () => {
        const status = await run(process.execPath, [POSTERN, 'status', '--json'], { env })
        return status.code === 0
      },
      'the core runs',
      20_000,
    )
    const { readFile } = await import('node:fs/promises')
    await until(
      async () => (await readFile(join(home, 'core.log'), 'utf8')).includes('"kind":"page"'),
      'the window is a host of the core',
      20_000,
    )
    const ours = await run('pgrep', ['-af', home])
    expect(ours.stdout).toContain('--app=file:///')
    expect(ours.stdout).not.toMatch(/launch\/[0-9a-f]{64}/)
  } finally {
    const ours = await run('pgrep', ['-f', `user-data-dir=${home}`])
    for (const pid of ours.stdout.split('\n').filter(Boolean).map(Number)) {
      try {
        process.kill(pid, 'SIGTERM')
      } catch {
        // it ended with its parent
      }
    }
    await endHost(home).catch(() => undefined)
    await xvfb.stop()
  }
})

it('G17: a demo that is killed takes the window that it opened with it', async (context) => {
  const xvfb = new Kept('Xvfb', ['-displayfd', '1', '-screen', '0', '1280x800x24', '-nolisten', 'tcp'])
  const data = join(dir, 'demo-killed')
  let demo: Kept | undefined
  try {
    const number = await xvfb.waitFor(/^(\d+)$/m).catch(() => undefined)
    if (!number) context.skip('needs Xvfb')
    const env = { WAYLAND_DISPLAY: undefined, DISPLAY: `:${number?.[1] ?? ''}` }
    demo = new Kept(process.execPath, [join(ROOT, 'demo', 'main.ts'), '--json', '--data', data], { env })
    await demo.waitFor(/^\{.*\}$/m, { timeoutMs: 60_000 })
    const windows = async () => (await run('pgrep', ['-f', `user-data-dir=${data}`])).stdout
    await until(async () => (await windows()) !== '', 'a window is open', 30_000)
    demo.child.kill('SIGKILL')
    await until(async () => (await windows()) === '', 'the window is gone', 30_000)
  } finally {
    await demo?.stop('SIGKILL')
    await xvfb.stop()
    const { readFile } = await import('node:fs/promises')
    const { postgresDir } = JSON.parse(await readFile(join(data, 'demo.json'), 'utf8')) as { postgresDir: string }
    await until(async () => (await run('pgrep', ['-f', postgresDir])).stdout === '', 'PostgreSQL is gone', 30_000)
    await rm(postgresDir, { recursive: true, force: true })
  }
})

it('G17: the demo says the one-time URL in its ready line, a second start another one, and both open the app', async () => {
  const data = join(dir, 'demo')
  const flags = [join(ROOT, 'demo', 'main.ts'), '--json', '--data', data]
  const demo = new Kept(process.execPath, flags, { env: NO_DISPLAY })
  try {
    const [line] = await demo.waitFor(/^\{.*\}$/m, { timeoutMs: 60_000 })
    const ready = Ready.parse(JSON.parse(line))
    const second = await run(process.execPath, flags, { env: NO_DISPLAY })
    const again = Ready.parse(JSON.parse(second.stdout))
    expect(again.appUrl).not.toBe(ready.appUrl)
    expect({ ...again, appUrl: null }).toEqual({ ...ready, appUrl: null })
    for (const url of [ready.appUrl, again.appUrl]) await showsTheApp(url ?? 'none')
    const pid = (await readDoor(ready.home))?.pid ?? 0
    await demo.stop()
    expect(() => process.kill(pid, 0)).toThrow()
  } finally {
    await demo.stop()
    const { readFile } = await import('node:fs/promises')
    const { postgresDir } = JSON.parse(await readFile(join(data, 'demo.json'), 'utf8')) as { postgresDir: string }
    await rm(postgresDir, { recursive: true, force: true })
  }
})
