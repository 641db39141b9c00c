// Electron's own security checklist (electronjs.org/docs/latest/tutorial/security), each item as it shows in the built app. The numbers are
// the checklist's.
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { CONTENT_SECURITY_POLICY } from '../../electron/app-scheme.ts'
import { until } from '../support/run.ts'
import { builtApp, root } from './built.ts'
import { Desktop } from './desktop.ts'

let desktop: Desktop
beforeAll(async () => {
  desktop = await Desktop.start()
  await desktop.call('shell.describe')
})
afterAll(async () => {
  await desktop.close()
})

const preferences = async (): Promise<Record<string, unknown>> => {
  const { windows } = await desktop.inspect()
  return windows[0]!.options['webPreferences'] as Record<string, unknown>
}
const callsOf = async (what: string): Promise<unknown[]> =>
  (await desktop.inspect()).calls.filter((call) => call.what === what).map((call) => call.with)

describe("Electron's security checklist", () => {
  it('D1: 1 · only content of our own is loaded, and the page cannot fetch from anywhere else', async () => {
    const page = await desktop.page()
    const before = (await callsOf('request to the network')).length
    const fetched = await page.evaluate(() =>
      fetch('https://example.com/').then(
        () => 'fetched',
        () => 'refused',
      ),
    )
    expect(fetched).toBe('refused')
    // The policy stops it before it becomes a request.
    expect((await callsOf('request to the network')).length).toBe(before)
  })

  it('D1: 2–4 · no Node, an isolated context, a sandbox', async () => {
    expect(await preferences()).toMatchObject({
      nodeIntegration: false,
      nodeIntegrationInWorker: false,
      nodeIntegrationInSubFrames: false,
      contextIsolation: true,
      sandbox: true,
    })
    expect(await callsOf('app.enableSandbox')).toHaveLength(1)
    const page = await desktop.page()
    const seen = await page.evaluate(() =>
      ['require', 'process', 'module', 'ipcRenderer', 'electron', 'fakeIpc', 'fakeDeliver', 'Buffer'].filter(
        (name) => name in globalThis,
      ),
    )
    expect(seen).toEqual([])
  })

  it('D1: 5 · every permission is refused, asked or looked up', async () => {
    for (const permission of [
      'media',
      'geolocation',
      'notifications',
      'clipboard-read',
      'usb',
      'openExternal',
      'hid',
    ]) {
      expect(await desktop.ask('askPermission', { permission })).toEqual({
        asked: false,
        checked: false,
        device: false,
      })
    }
  })

  it('D1: 6, 8, 9, 10 · web security stays on, nothing insecure or experimental', async () => {
    const seen = await preferences()
    expect(seen).toMatchObject({ webSecurity: true, allowRunningInsecureContent: false, experimentalFeatures: false })
    expect(seen).not.toHaveProperty('enableBlinkFeatures')
  })

  it('D1: 7 · the policy starts from nothing, and inline script, eval and foreign images do not run', async () => {
    const page = await desktop.page()
    expect(CONTENT_SECURITY_POLICY).toMatch(/^default-src 'none'/)
    expect(CONTENT_SECURITY_POLICY).not.toMatch(/unsafe|https?:|\*/)
    const header = await page.evaluate(async () => (await fetch('./index.html')).headers.get('content-security-policy'))
    expect(header).toBe(CONTENT_SECURITY_POLICY)
    // As strings: these lines run in the page, whose globals are not the test's.
    const ran = await page.evaluate(`(async () => {
      const script = document.createElement('script')
      script.textContent = 'globalThis.inlineRan = true'
      document.body.append(script)
      let evaluated = false
      // A moment later: what DevTools evaluates directly is let through.
      await new Promise((resolve) => setTimeout(resolve))
      try { evaluated = new Function('return true')() } catch {}
      const image = new Image()
      const loaded = new Promise((resolve) => { image.onload = () => resolve(true); image.onerror = () => resolve(false) })
      image.src = 'https://example.com/pixel.png'
      return [globalThis.inlineRan === true, evaluated, await loaded]
    })()`)
    expect(ran).toEqual([false, false, false])
  })

  it('D1: 11, 12 · no webview, and attaching one is prevented', async () => {
    expect(await preferences()).toMatchObject({ webviewTag: false })
    expect(await desktop.ask('attachWebview')).toBe(true)
  })

  it('D1: 13 · the page cannot navigate away, by script, by link or by a frame', async () => {
    const page = await desktop.page()
    const url = page.url()
    await page.evaluate(`location.href = 'https://example.com/evil'`)
    await until(async () => (await callsOf('navigation prevented')).includes('https://example.com/evil'), 'prevented')
    await page.evaluate(`location.href = 'file:///etc/passwd'`).catch(() => undefined)
    await page.evaluate(
      `document.body.append(Object.assign(document.createElement('iframe'), { src: 'https://example.com/frame' }))`,
    )
    expect(page.url()).toBe(url)
    expect(await desktop.call('shell.describe')).toHaveProperty('result')
    expect(page.frames().some((frame) => frame.url().includes('example.com/frame'))).toBe(false)
  })

  it('D1: 14 · no new windows', async () => {
    for (const url of ['https://example.com/', 'app://postern/index.html', 'file:///etc/passwd', 'about:blank']) {
      expect(await desktop.ask('openPopup', { url })).toEqual({ action: 'deny' })
    }
    const page = await desktop.page()
    await page.evaluate(`void window.open('https://example.com/popup')`)
    expect((await desktop.inspect()).windows).toHaveLength(1)
  })

  it('D1: 15 · only plain https addresses reach the system browser', async () => {
    const refused = [
      'http://example.com/',
      'file:///etc/passwd',
      'javascript:alert(1)',
      'smb://server/share',
      'ms-msdt:/id',
      'postern://gateway/demo/orders',
      'https://user:secret@example.com/',
      'https://',
      `https://example.com/${'a'.repeat(3000)}`,
      42,
    ]
    for (const url of refused) {
      expect(await desktop.call('shell.openExternal', { url }), String(url)).toMatchObject({
        error: { code: 'bad_request' },
      })
    }
    expect(await desktop.call('shell.openExternal', { url: 'https://example.com/help' })).toMatchObject({ result: {} })
    expect((await desktop.inspect()).opened).toEqual(['https://example.com/help'])
  })

  it('D1: 16 · Electron is pinned exactly, so that raising it is a decision', async () => {
    const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
    expect(manifest.devDependencies.electron).toMatch(/^\d+\.\d+\.\d+$/)
  })

  it('D1: 17 · messages from other senders are ignored: other frames, other pages, no frame', async () => {
    expect(await desktop.ask('ipcChannels')).toEqual(['postern:from-page'])
    const before = (await desktop.inspect()).clipboard
    const copy = (text: string): string => JSON.stringify({ id: 900, method: 'shell.copy', params: { text } })
    const forged = [
      { frameUrl: 'https://example.com/', isSubFrame: false },
      { frameUrl: 'app://postern.evil/index.html', isSubFrame: false },
      { frameUrl: 'app://posternx/', isSubFrame: false },
      { frameUrl: 'file:///tmp/index.html', isSubFrame: false },
      { frameUrl: 'app://postern/index.html', isSubFrame: true },
      { frameUrl: null, isSubFrame: false },
    ]
    for (const from of forged) {
      await desktop.ask('forgeIpc', { channel: 'postern:from-page', args: [copy('forged')], ...from })
    }
    await desktop.call('shell.describe')
    expect((await desktop.inspect()).clipboard).toBe(before)
    // The same message from the right frame is taken: the check itself is what refused the others.
    const own = { frameUrl: 'app://postern/index.html', isSubFrame: false }
    await desktop.ask('forgeIpc', { channel: 'postern:from-page', args: [copy('own')], ...own })
    await desktop.untilSeen(({ clipboard }) => clipboard === 'own', 'the copy')
  })

  it('D1: 18 · a scheme of our own instead of file:, that serves the built page and nothing beside it', async () => {
    const { schemes } = await desktop.inspect()
    expect(schemes).toEqual([{ scheme: 'app', privileges: { standard: true, secure: true, supportFetchAPI: true } }])
    const page = await desktop.page()
    const status = (path: string): Promise<number> =>
      page.evaluate(async (address) => (await fetch(address)).status, path)
    expect(await status('/index.html')).toBe(200)
    for (const path of [
      '/../package.json',
      '/..%2fmain%2fmain.js',
      '/%2e%2e/main/main.js',
      '/.hidden',
      '/assets',
      '//x',
    ]) {
      expect([404, 405], path).toContain(await status(path).catch(() => 404))
    }
  })

  it('D1: 19 · the fuses are named', async () => {
    const config = parse(await readFile(join(root, 'electron-builder.yml'), 'utf8'))
    expect(config.electronFuses).toEqual({
      runAsNode: false,
      enableCookieEncryption: true,
      enableNodeOptionsEnvironmentVariable: false,
      enableNodeCliInspectArguments: false,
      enableEmbeddedAsarIntegrityValidation: true,
      onlyLoadAppFromAsar: true,
      loadBrowserProcessSpecificV8Snapshot: false,
      grantFileProtocolExtraPrivileges: false,
    })
  })

  it('D1: 20 · the page gets one frozen transport of three functions and nothing of Electron', async () => {
    const page = await desktop.page()
    const shape = await page.evaluate(`({
      names: Object.keys(postern).sort(),
      kinds: Object.values(postern).map((value) => typeof value),
      isFrozen: Object.isFrozen(postern),
    })`)
    expect(shape).toEqual({
      names: ['onMessage', 'onState', 'send'],
      kinds: ['function', 'function', 'function'],
      isFrozen: true,
    })
  })

  it('D1: the built renderer has no inline script or style and nothing from elsewhere', async () => {
    const folder = join(await builtApp('real'), 'renderer')
    const html = await readFile(join(folder, 'index.html'), 'utf8')
    expect(html).not.toMatch(/<script(?![^>]*\bsrc="\.\/)/)
    expect(html).not.toMatch(/<style|\sstyle=|\son[a-z]+=/)
    expect(html).not.toMatch(/(?:src|href)="(?!\.\/)/)
    const names = (await readdir(folder, { recursive: true })).filter((name) => /\.(js|css)$/.test(name))
    const foreign = await Promise.all(
      names.map(async (name) => {
        const text = await readFile(join(folder, name), 'utf8')
        return /(?:from|import)\s*\(?["'](?:node:|https?:)|url\(["']?https?:|sourceMappingURL/.test(text)
          ? name
          : undefined
      }),
    )
    expect(foreign.filter((name) => name !== undefined)).toEqual([])
  })
})
