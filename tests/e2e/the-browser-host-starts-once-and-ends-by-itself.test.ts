// G17: one browser host per home, found or started; it ends with its launcher or some time after its last page.
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { readDoor } from '../../client/app/door.ts'
import { findBrowserHost, launchBrowserHost, type AppHost } from '../../client/app/launch.ts'
import { tunnelLine } from '../../client/app/open-app.ts'
import { hasDisplay } from '../../client/app/open-window.ts'
import { Kept, until } from '../support/run.ts'
import { startFixtureHost } from './support/fixture-host.ts'
import { PageSocket } from './support/page-socket.ts'
import { rawRequest } from './support/raw-http.ts'

const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean()
})

async function newHome(): Promise<{ homeDir: string; appDir: string }> {
  const dir = await mkdtemp(join(tmpdir(), 'postern-launch-'))
  cleanups.push(() => rm(dir, { recursive: true, force: true, maxRetries: 5 }))
  const appDir = join(dir, 'app')
  await mkdir(appDir)
  await writeFile(join(appDir, 'index.html'), '<!doctype html><title>App</title>')
  return { homeDir: join(dir, 'home'), appDir }
}

async function launch(options: Parameters<typeof launchBrowserHost>[0]): Promise<AppHost> {
  const host = await launchBrowserHost(options)
  cleanups.push(() => host.close())
  return host
}

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

const openStatus = async (url: string): Promise<number> => {
  const { host, port, pathname } = new URL(url)
  return (await rawRequest(Number(port), `GET ${pathname}`, { host })).status
}

it('G17: a home has one browser host: who comes second, or at the same time, gets a way into the same one', async () => {
  const { homeDir, appDir } = await newHome()
  const [first, second] = await Promise.all([
    launch({ homeDir, appDir, withLauncher: true }),
    launch({ homeDir, appDir, withLauncher: true }),
  ])
  const third = await launch({ homeDir, appDir, withLauncher: true })
  expect(second.origin).toBe(first.origin)
  expect(third.origin).toBe(first.origin)
  const urls = [await first.freshUrl(), await second.freshUrl(), await third.freshUrl(), await third.freshUrl()]
  expect(new Set(urls).size).toBe(4)
  for (const url of urls) expect(await openStatus(url)).toBe(200)
  // A lost or used one is no dead end.
  for (const url of urls) expect(await openStatus(url)).toBe(403)
  expect(await openStatus(await third.freshUrl())).toBe(200)
  const log = await readFile(join(homeDir, 'browser-host.log'), 'utf8')
  for (const url of urls) expect(log).not.toContain(url.split('/').at(-1))
})

it('G17: it keeps its port over restarts, so that an ssh tunnel stays good, and takes another one if that is taken', async () => {
  const { homeDir, appDir } = await newHome()
  const first = await launch({ homeDir, appDir, withLauncher: true })
  await first.close()
  expect(await findBrowserHost(homeDir, AbortSignal.timeout(5000))).toBeUndefined()
  const second = await launch({ homeDir, appDir, withLauncher: true })
  expect(second.port).toBe(first.port)
  expect(second.origin).not.toBe(first.origin)
  await second.close()
  // Somebody else has the port now and would lead us astray.
  const asked: string[] = []
  const squatter = createServer((request, response) => {
    asked.push(request.url ?? '')
    response.end('{"url":"http://evil.example/"}')
  })
  await new Promise<void>((resolve) => squatter.listen(first.port, '127.0.0.1', resolve))
  cleanups.push(() => new Promise((resolve) => squatter.close(resolve)))
  const third = await launch({ homeDir, appDir, withLauncher: true })
  expect(third.port).not.toBe(first.port)
  expect(await openStatus(await third.freshUrl())).toBe(200)
  expect(asked).toEqual([])
})

it('G17: it ends with its launcher, even when that is killed', async () => {
  const { homeDir, appDir } = await newHome()
  const module = new URL('../../client/app/launch.ts', import.meta.url).href
  const launcher = new Kept(process.execPath, [
    '--input-type=module',
    '-e',
    `const { launchBrowserHost } = await import(${JSON.stringify(module)})
     const host = await launchBrowserHost(${JSON.stringify({ homeDir, appDir, withLauncher: true })})
     console.log('up ' + host.origin)
     setInterval(() => undefined, 1000)`,
  ])
  cleanups.push(() => launcher.stop('SIGKILL'))
  await launcher.waitFor(/^up http/m)
  const pid = (await readDoor(homeDir))?.pid ?? 0
  expect(isAlive(pid)).toBe(true)
  await launcher.stop('SIGKILL')
  await until(() => !isAlive(pid), 'the host ends with its launcher')
})

it('G17: without a launcher it outlives who started it and ends a grace time after its last page', async () => {
  const host = await startFixtureHost({ graceMs: 150, launchWaitMs: 60_000 })
  cleanups.push(() => host.close())
  const first = await PageSocket.open(host.freshUrl())
  const second = await PageSocket.open(host.freshUrl())
  await first.close()
  // A page is still open: longer than the grace time, and it lives.
  await new Promise((resolve) => setTimeout(resolve, 400))
  expect(host.idle()).toBe(0)
  await second.close()
  // A reload comes back within the grace time.
  const third = await PageSocket.open(host.freshUrl())
  await new Promise((resolve) => setTimeout(resolve, 400))
  expect(host.idle()).toBe(0)
  await third.close()
  await until(() => host.idle() === 1, 'the host finds that nobody needs it')
})

it('G17: nobody who comes within the time of a ticket finds it gone, and nobody who never comes keeps it', async () => {
  const host = await startFixtureHost({ graceMs: 10, launchWaitMs: 200 })
  cleanups.push(() => host.close())
  await until(() => host.idle() === 1, 'it ends when the first page never comes')
})

it('G17: a ticket that was given out while a page was open still holds when that page goes first', async () => {
  const host = await startFixtureHost({ graceMs: 10, launchWaitMs: 60_000 })
  cleanups.push(() => host.close())
  const first = await PageSocket.open(host.freshUrl())
  const ticket = host.freshUrl()
  await first.close()
  // Longer than the grace time.
  await new Promise((resolve) => setTimeout(resolve, 400))
  expect(host.idle()).toBe(0)
  const second = await PageSocket.open(ticket)
  await second.close()
  await until(() => host.idle() === 1, 'the host finds that nobody needs it')
})

it('E3: an app that is not built is named, with what to do', async () => {
  const { homeDir } = await newHome()
  await expect(
    launchBrowserHost({ homeDir, appDir: join(homeDir, 'nothing'), withLauncher: true }),
  ).rejects.toMatchObject({
    code: 'misconfigured',
    message: expect.stringContaining('npm run build'),
  })
})

it('E3: without a display the person gets the exact ssh line to the same port', () => {
  const who = { user: 'ana', hostname: 'box', sshConnection: undefined }
  expect(tunnelLine(4711, who)).toBe('ssh -N -L 4711:127.0.0.1:4711 ana@box')
  expect(tunnelLine(4711, { ...who, sshConnection: '10.0.0.9 5555 10.0.0.2 2222' })).toBe(
    'ssh -N -p 2222 -L 4711:127.0.0.1:4711 ana@10.0.0.2',
  )
  const linux = { platform: 'linux', uid: 1000 } as const
  expect(hasDisplay({ ...linux, env: {} })).toBe(false)
  expect(hasDisplay({ ...linux, env: { DISPLAY: '' } })).toBe(false)
  expect(hasDisplay({ ...linux, env: { DISPLAY: ':0' } })).toBe(true)
  expect(hasDisplay({ ...linux, env: { DISPLAY: '', WAYLAND_DISPLAY: 'wayland-0' } })).toBe(true)
})
