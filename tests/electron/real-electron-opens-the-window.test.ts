// The built app on the real Electron, where its binary is installed and there is a display: what the fake cannot prove (its own scheme, the
// sandboxed preload, a utility process as the core, BoringSSL under the core's TLS).
import { access, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { _electron } from 'playwright-core'
import { describe, expect, it } from 'vitest'
import { builtApp, root } from './built.ts'

const BINARY = join(root, 'node_modules/electron/dist', process.platform === 'win32' ? 'electron.exe' : 'electron')

describe('the desktop app on Electron itself', () => {
  it('D1 G17: opens its window from its own scheme, with a core as a utility process', async (context) => {
    const isThere = await access(BINARY).then(
      () => true,
      () => false,
    )
    if (!isThere)
      context.skip(`Electron's binary isn't installed (${BINARY}); run node node_modules/electron/install.js`)
    if (process.platform === 'linux' && !process.env['DISPLAY']) context.skip('no display; run it under xvfb-run')
    const home = await mkdtemp(join(tmpdir(), 'postern-electron-'))
    const app = await _electron.launch({
      executablePath: BINARY,
      args: [await builtApp('real'), ...(process.getuid?.() === 0 ? ['--no-sandbox'] : [])],
      env: { ...process.env, POSTERN_HOME: home },
    })
    try {
      const page = await app.firstWindow()
      expect(page.url()).toMatch(/^app:\/\/postern\//)
      await page.getByRole('textbox', { name: 'Address of the access server' }).waitFor()
      expect(await page.evaluate(`[typeof require, typeof process, Object.keys(postern).length]`)).toEqual([
        'undefined',
        'undefined',
        3,
      ])
    } finally {
      await app.close()
      await rm(home, { recursive: true, force: true })
    }
  })
})
