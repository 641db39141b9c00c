// Entry of the desktop app: reads argv, environment and clock, does what must happen before Electron is ready (sandbox, scheme,
// places, single instance), then hands over to desktop-app.ts. A second start only shows the first one's window.
import { mkdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { app, protocol } from 'electron'
import { homeAt, homeDirFrom } from '../client/home.ts'
import { APP_SCHEME } from './app-scheme.ts'
import { linkAmong, parseDeepLink, type GatewayLink } from './deep-link.ts'
import { runDesktopApp, type DesktopApp } from './desktop-app.ts'
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
  let desktop: DesktopApp | undefined
  /** What was asked for before the app was there, in order. */
  const early: ((desktop: DesktopApp) => void)[] = []
  const whenThere = (what: (desktop: DesktopApp) => void): void => {
    if (desktop) what(desktop)
    else early.push(what)
  }
  const confirmLink = (link: GatewayLink | undefined): void => {
    if (link) whenThere((there) => there.confirmLink(link))
  }
  confirmLink(linkAmong(process.argv))
  // macOS hands over links by an event, possibly before the app is ready; elsewhere a second start brings them.
  app.on('open-url', (event, url) => {
    event.preventDefault()
    confirmLink(parseDeepLink(url))
  })
  app.on('second-instance', (_event, argv) => {
    whenThere((there) => there.show())
    confirmLink(linkAmong(argv))
  })
  const started = app.whenReady().then(async () => {
    const running = await runDesktopApp({
      home,
      built: import.meta.dirname,
      env: process.env,
      platform: process.platform,
      program: process.env['APPIMAGE'] ?? process.execPath,
      startsHidden: process.argv.includes(IN_BACKGROUND),
      now: () => performance.now(),
      wallNow: () => Date.now(),
    })
    desktop = running
    for (const what of early) what(running)
  })
  started.catch((error: unknown) => {
    process.stderr.write(`Postern could not start: ${String(error)}\n`)
    app.exit(1)
  })
}
