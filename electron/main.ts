// Entry of the desktop app: reads argv, environment and clock, does what must happen before Electron is ready (sandbox, scheme,
// places, single instance), then hands over to desktop-app.ts. A second start only shows the first one's window.
import { mkdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { app, protocol } from 'electron'
import { homeAt, homeDirFrom } from '../client/home.ts'
import { APP_SCHEME } from './app-scheme.ts'
import { linkAmong, parseDeepLink, type GatewayLink } from './deep-link.ts'
import { runDesktopApp } from './desktop-app.ts'
import { IN_BACKGROUND } from './login-item.ts'

const home = homeAt(homeDirFrom(process.env, homedir()))
// Chromium's files go below the home, so that one home is one app (and no other user reads its cache).
mkdirSync(home.dir, { recursive: true, mode: 0o700 })
app.setPath('userData', join(home.dir, 'app'))
app.enableSandbox()
protocol.registerSchemesAsPrivileged([
  { scheme: APP_SCHEME, privileges: { standard: true, secure: true, supportFetchAPI: true } },
])

if (!app.requestSingleInstanceLock()) {
  app.quit()
} else {
  // macOS hands over links by an event, possibly before the app is ready.
  let early: GatewayLink | undefined
  let onLink = (link: GatewayLink): void => {
    early = link
  }
  app.on('open-url', (event, url) => {
    event.preventDefault()
    const link = parseDeepLink(url)
    if (link) onLink(link)
  })
  const started = app.whenReady().then(async () => {
    const desktop = await runDesktopApp({
      home,
      built: import.meta.dirname,
      env: process.env,
      platform: process.platform,
      program: process.env['APPIMAGE'] ?? process.execPath,
      startsHidden: process.argv.includes(IN_BACKGROUND),
      now: () => performance.now(),
      wallNow: () => Date.now(),
    })
    onLink = (link) => desktop.confirmLink(link)
    app.on('second-instance', (_event, argv) => {
      desktop.show()
      const link = linkAmong(argv)
      if (link) desktop.confirmLink(link)
    })
    const first = early ?? linkAmong(process.argv)
    if (first) desktop.confirmLink(first)
  })
  started.catch((error: unknown) => {
    process.stderr.write(`Postern could not start: ${String(error)}\n`)
    app.exit(1)
  })
}
