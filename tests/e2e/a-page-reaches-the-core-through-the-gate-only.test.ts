// D1: what a page of the browser host can do: the calls of the app, checked one by one, on a core that may come and go.
import fc from 'fast-check'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { launchBrowserHost, type AppHost } from '../../client/app/launch.ts'
import { stopCore } from '../../client/connect.ts'
import { CALLS } from '../../shared/rpc.ts'
import { PAGE_MESSAGE_MAX_BYTES, PAGE_METHODS } from '../../shared/shell.ts'
import { PageSocket } from './support/page-socket.ts'

let dir = ''
let home = ''
let host: AppHost

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'postern-gate-'))
  home = join(dir, 'home')
  await mkdir(join(dir, 'app'))
  await writeFile(join(dir, 'app', 'index.html'), '<!doctype html><title>App</title>')
  host = await launchBrowserHost({ homeDir: home, appDir: join(dir, 'app'), withLauncher: true })
})
afterAll(async () => {
  await host.close()
  await stopCore(home)
  await rm(dir, { recursive: true, force: true, maxRetries: 5 })
})

const openPage = async (): Promise<PageSocket> => PageSocket.open(await host.freshUrl())
const corePid = async (): Promise<number> =>
  (JSON.parse(await readFile(join(home, 'core.json'), 'utf8')) as { pid: number }).pid

it('G17: a page is a host of the core, which it starts, and two pages see the same', async () => {
  const [one, other] = await Promise.all([openPage(), openPage()])
  expect((await one.call('profile.list', {})).result).toEqual({ profiles: [], current: null })
  expect((await other.call('profile.list', {})).result).toEqual({ profiles: [], current: null })
  await one.event('shell.coreState', ({ state }) => state === 'connected')
  const first = (await one.call('state.subscribe', {})).result as { state: unknown }
  const second = (await other.call('state.subscribe', {})).result as { state: unknown }
  expect(first.state).toEqual(second.state)
  await Promise.all([one.close(), other.close()])
})

it('D1: the shell says what it is, and leaves copying and opening to the page', async () => {
  const page = await openPage()
  expect((await page.call('shell.describe', {})).result).toMatchObject({ kind: 'browser', canStartAtLogin: false })
  expect((await page.call('shell.copy', { text: 'x' })).error?.code).toBe('unsupported')
  expect((await page.call('shell.openExternal', { url: 'https://example.com/' })).error?.code).toBe('unsupported')
  expect((await page.call('shell.openExternal', { url: 'file:///etc/passwd' })).error?.code).toBe('bad_request')
  await page.close()
})

it('D1: calls of the core that no page may make are refused, and the core goes on', async () => {
  const page = await openPage()
  const forbidden = Object.keys(CALLS).filter((method) => !(PAGE_METHODS as readonly string[]).includes(method))
  expect(forbidden).toContain('core.stop')
  expect(forbidden).toContain('core.retire')
  for (const method of [...forbidden, 'hello', 'constructor', '__proto__', 'toString'])
    expect((await page.call(method, {})).error?.code, method).toBe('bad_request')
  const audit = { method: 'GET', path: '/v1/audit' }
  expect((await page.call('api.call', audit)).error?.code).toBe('bad_request')
  expect((await page.call('profile.list', {})).result).toBeDefined()
  await page.close()
})

it('D1: nonsense of a page is answered or ignored and harms nobody', async () => {
  const page = await openPage()
  const message = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 200 }),
    fc.json({ maxDepth: 4 }),
    fc
      .record({
        id: fc.oneof(fc.nat(), fc.anything()),
        method: fc.oneof(fc.constantFrom(...PAGE_METHODS, ...Object.keys(CALLS)), fc.string()),
        params: fc.anything(),
        more: fc.anything(),
      })
      .map((value) => {
        try {
          return JSON.stringify(value, (_key, inner: unknown) => (typeof inner === 'bigint' ? String(inner) : inner))
        } catch {
          return '{'
        }
      }),
  )
  fc.assert(
    fc.property(message, (text) => page.sendRaw(text)),
    { numRuns: 500 },
  )
  page.sendRaw(Buffer.from([0, 1, 2, 255]))
  // As soon as what was let through is answered (so many calls at once are refused for a moment).
  await expect.poll(async () => (await page.call('profile.list', {})).result, { timeout: 20_000 }).toBeDefined()
  expect(page.replies.filter((reply) => reply.error?.code === 'internal')).toEqual([])
  await page.close()
})

it('D1: a message beyond the limit ends that page and no other', async () => {
  const [page, other] = await Promise.all([openPage(), openPage()])
  page.sendRaw('x'.repeat(PAGE_MESSAGE_MAX_BYTES + 1))
  expect(await page.closed).toBe(1009)
  expect((await other.call('profile.list', {})).result).toBeDefined()
  await other.close()
})

it('G17: a core that was killed is started again; the page hears of it and goes on', async () => {
  const page = await openPage()
  await page.event('shell.coreState', ({ state }) => state === 'connected')
  const before = await corePid()
  page.replies.length = 0
  process.kill(before, 'SIGKILL')
  await page.event('shell.coreState', ({ state }) => state === 'restarting')
  await page.event('shell.coreState', ({ state }) => state === 'connected')
  expect((await page.call('profile.list', {})).result).toBeDefined()
  expect(await corePid()).not.toBe(before)
  await page.close()
})

it('E3: a core that cannot start says why in the page, which tries again by itself', async () => {
  const page = await openPage()
  await page.event('shell.coreState', ({ state }) => state === 'connected')
  await writeFile(join(home, 'settings.json'), '{ "loginWait": "soon" }')
  page.replies.length = 0
  process.kill(await corePid(), 'SIGKILL')
  const failed = await page.event('shell.coreState', ({ state }) => state === 'failed')
  expect((failed.payload as { text: string }).text).toContain('loginWait')
  expect((await page.call('profile.list', {})).error?.text).toContain('loginWait')
  await rm(join(home, 'settings.json'))
  await page.event('shell.coreState', ({ state }) => state === 'connected')
  expect((await page.call('profile.list', {})).result).toBeDefined()
  await page.close()
})
