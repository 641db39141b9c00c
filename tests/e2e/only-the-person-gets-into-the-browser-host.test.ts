// D1, G18: every check at the browser host's door, each with a request that differs from a good one in that alone.
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { run } from '../support/run.ts'
import { startFixtureHost, type FixtureHost } from './support/fixture-host.ts'
import { rawRequest, rawUpgrade } from './support/raw-http.ts'

let host: FixtureHost
let cookie = ''
let origin = ''

beforeAll(async () => {
  host = await startFixtureHost()
  cookie = await host.cookie()
  origin = `http://${host.authority}`
})
afterAll(() => host.close())

const get = (path: string, headers: Record<string, string | string[]> = {}) =>
  rawRequest(host.port, `GET ${path}`, { host: host.authority, cookie, ...headers })
const upgrade = (headers: Record<string, string> = {}, path = '/ws') =>
  rawUpgrade(host.port, path, { host: host.authority, origin, cookie, ...headers })

describe('D1: the browser host answers the person and nobody else', () => {
  it('D1: a page with its cookie, Host and Origin is let in, over HTTP and WebSocket', async () => {
    expect(await get('/')).toMatchObject({ status: 200, body: expect.stringContaining('fixture') })
    expect((await get('/assets/app.js', { origin, 'sec-fetch-site': 'same-origin' })).status).toBe(200)
    expect((await upgrade()).status).toBe(101)
  })

  it('D1: another Host is refused, however it is written (DNS rebinding)', async () => {
    const others = [
      `127.0.0.1:${host.port}`,
      `localhost:${host.port}`,
      `evil.example:${host.port}`,
      `x.${host.authority}`,
      host.authority.split(':')[0] ?? '',
      '',
    ]
    for (const other of others) {
      expect((await get('/', { host: other })).status, other).toBe(421)
      expect((await upgrade({ host: other })).status, other).toBe(421)
    }
    expect((await get('/', { host: [host.authority, 'evil.example'] })).status).toBeGreaterThanOrEqual(400)
    expect((await get('http://evil.example/')).status).toBe(404)
  })

  it('D1: another Origin is refused, and a WebSocket without one', async () => {
    const others = ['http://evil.example', 'null', `http://127.0.0.1:${host.port}`, `https://${host.authority}`]
    for (const other of others) {
      expect((await get('/', { origin: other })).status, other).toBe(403)
      expect((await upgrade({ origin: other })).status, other).toBe(403)
    }
    const none = await rawUpgrade(host.port, '/ws', { host: host.authority, cookie })
    expect(none.status).toBe(403)
  })

  it('D1: a request that another site caused is refused, another port of the same name included', async () => {
    for (const site of ['cross-site', 'same-site']) {
      expect((await get('/', { 'sec-fetch-site': site })).status, site).toBe(403)
      expect((await upgrade({ 'sec-fetch-site': site })).status, site).toBe(403)
    }
  })

  it('D1: without a cookie, or with one that is not ours, there is no page and no WebSocket', async () => {
    for (const wrong of ['', 'postern=', `postern=${'0'.repeat(64)}`, `other=${cookie.slice(8)}`]) {
      expect((await get('/', { cookie: wrong })).status, wrong).toBe(401)
      expect((await get('/assets/app.js', { cookie: wrong })).status, wrong).toBe(401)
      expect((await upgrade({ cookie: wrong })).status, wrong).toBe(401)
    }
    // A cookie that somebody planted beside ours locks nobody out.
    expect((await get('/', { cookie: `postern=planted; ${cookie}` })).status).toBe(200)
  })

  it("D1: another port's cookie is worth nothing here: hosts have names of their own", async () => {
    const other = await startFixtureHost()
    try {
      const theirs = await other.cookie()
      expect((await get('/', { cookie: theirs })).status).toBe(401)
      expect((await upgrade({ cookie: theirs })).status).toBe(401)
      expect(other.authority.split('.')[0]).not.toBe(host.authority.split('.')[0])
    } finally {
      await other.close()
    }
  })

  it('D1: a token opens the app once; a used one and a guessed one do not, and a HEAD uses none up', async () => {
    const { pathname } = new URL(host.freshUrl())
    const plain = { host: host.authority }
    expect((await rawRequest(host.port, `HEAD ${pathname}`, plain)).status).toBe(401)
    const first = await rawRequest(host.port, `GET ${pathname}`, { ...plain, 'sec-fetch-site': 'cross-site' })
    expect(first.status).toBe(200)
    expect(first.headers.get('set-cookie')).toMatch(/^postern=[0-9a-f]{64}; HttpOnly; SameSite=Strict; Path=\/$/)
    const second = await rawRequest(host.port, `GET ${pathname}`, plain)
    expect(second).toMatchObject({ status: 403, body: expect.stringContaining('postern app url') })
    expect(second.headers.has('set-cookie')).toBe(false)
    expect((await rawRequest(host.port, `GET /launch/${'0'.repeat(64)}`, plain)).status).toBe(403)
    expect((await rawRequest(host.port, 'GET /launch/', plain)).status).toBe(403)
    expect(host.logged()).not.toContain(pathname.split('/')[2])
  })

  it('D1: only files of the built app are given out, whatever the path says', async () => {
    const paths = [
      '/../secret.json',
      '/..%2fsecret.json',
      '/%2e%2e/secret.json',
      '/assets/../../secret.json',
      '/assets/..\\..\\secret.json',
      '//secret.json',
      '/./index.html',
      '/assets',
      '/assets/',
      '/index.html%00.js',
      '/constructor',
      '/__proto__',
    ]
    for (const path of paths) expect((await get(path)).status, path).toBe(404)
    expect((await get('*')).status).toBeGreaterThanOrEqual(400)
  })

  it('D1: nothing but reading is possible', async () => {
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'TRACE'])
      expect(
        (await rawRequest(host.port, `${method} /`, { host: host.authority, cookie, 'content-length': '0' })).status,
        method,
      ).toBe(405)
    expect((await upgrade({}, '/')).status).toBe(404)
    expect((await upgrade({}, '/ws/../ws')).status).toBe(404)
  })

  it('D1: every answer carries the security headers, refusals too', async () => {
    for (const answer of [await get('/'), await get('/nothing'), await get('/', { host: 'evil' })]) {
      const { headers } = answer
      expect(headers.get('content-security-policy')).toMatch(/^default-src 'none';/)
      expect(headers.get('content-security-policy')).not.toMatch(/unsafe|\*/)
      expect(headers.get('content-security-policy')).toContain("frame-ancestors 'none'")
      expect(headers.get('x-content-type-options')).toBe('nosniff')
      expect(headers.get('cache-control')).toBe('no-store')
      expect(headers.get('referrer-policy')).toBe('no-referrer')
      expect(headers.get('cross-origin-opener-policy')).toBe('same-origin')
      expect(headers.get('cross-origin-resource-policy')).toBe('same-origin')
      expect(headers.has('access-control-allow-origin')).toBe(false)
    }
    expect((await get('/')).headers.get('content-security-policy')).toBe(
      `default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' data:; connect-src 'self' ws://${host.authority}; form-action 'none'; frame-ancestors 'none'; base-uri 'none'`,
    )
  })

  it('D1: a way in is given only to whoever can read the door file, and never to a page', async () => {
    const ask = (headers: Record<string, string>, line = 'POST /ticket/url') =>
      rawRequest(host.port, line, { host: host.authority, 'content-length': '0', ...headers })
    const authorization = `Bearer ${host.door.secret}`
    expect((await ask({})).status).toBe(403)
    expect((await ask({ cookie })).status).toBe(403)
    expect((await ask({ authorization: 'Bearer ' })).status).toBe(403)
    expect((await ask({ authorization, origin })).status).toBe(403)
    expect((await ask({ authorization, host: 'evil' })).status).toBe(421)
    expect((await ask({ authorization }, 'GET /ticket/url')).status).toBe(405)
    const given = await ask({ authorization })
    expect(given.status).toBe(200)
    expect(JSON.parse(given.body)).toEqual({ url: expect.stringContaining(`${origin}/launch/`) })
    expect((await stat(join(host.home, 'browser-host.json'))).mode & 0o777).toBe(0o600)
  })

  it('D1: a window gets its token by a 0600 file in a 0700 folder that goes when it was used, and ends with the host', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'postern-window-'))
    // Stands for Chromium: says how it was called and where its display is, and stays.
    const said = join(dir, 'said')
    const script = `#!/bin/sh\nprintf '%s\\n' $$ "$DISPLAY" "$@" > ${said}.new\nmv ${said}.new ${said}\nexec sleep 600\n`
    await writeFile(join(dir, 'chromium'), script, { mode: 0o755 })
    const own = await startFixtureHost({ env: { PATH: `${dir}:/usr/bin:/bin` } })
    try {
      const body = '{"display":{"DISPLAY":":42"}}'
      const ask = (secret: string) => {
        const headers = { host: own.authority, authorization: `Bearer ${secret}`, 'content-length': `${body.length}` }
        return rawRequest(own.port, 'POST /ticket/window', headers, body)
      }
      expect((await ask('wrong')).status).toBe(403)
      expect(JSON.parse((await ask(own.door.secret)).body)).toEqual({ opened: true })
      const [pid, display, app = '', ...flags] = (await readFile(said, 'utf8')).split('\n')
      expect(display).toBe(':42')
      expect(flags).toContain(`--user-data-dir=${join(own.home, 'browser-profile')}`)
      const file = fileURLToPath(app.replace('--app=', ''))
      expect((await stat(file)).mode & 0o777).toBe(0o600)
      expect((await stat(join(file, '..'))).mode & 0o777).toBe(0o700)
      const [path = ''] = /\/launch\/[0-9a-f]+/.exec(await readFile(file, 'utf8')) ?? []
      expect((await rawRequest(own.port, `GET ${path}`, { host: own.authority })).status).toBe(200)
      await expect.poll(() => stat(file).catch(() => 'gone')).toBe('gone')
      await own.close()
      expect(() => process.kill(Number(pid), 0)).toThrow()
    } finally {
      await own.close()
      await rm(dir, { recursive: true, force: true })
    }
  })

  it('G18: another user of the machine is refused, with cookie and all', async (context) => {
    if (process.platform !== 'linux' || process.getuid?.() !== 0) context.skip('needs root on Linux to become nobody')
    const script = `
      const request = require('node:http').request({ host: '127.0.0.1', port: ${host.port}, path: '/',
        headers: { host: ${JSON.stringify(host.authority)}, cookie: ${JSON.stringify(cookie)} } })
      request.on('response', (response) => { console.log(response.statusCode); response.resume() })
      request.end()`
    const theirs = await run(process.execPath, ['-e', script], { uid: 65534, gid: 65534, cwd: '/' })
    expect(theirs.stdout.trim(), theirs.stderr).toBe('403')
    const ours = await run(process.execPath, ['-e', script], { cwd: '/' })
    expect(ours.stdout.trim(), ours.stderr).toBe('200')
  })
})
