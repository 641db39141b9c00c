// The desktop app, composed: core, window, page, tray, attention, presence, quitting. Called once by main.ts when Electron is ready.
// Promises to leave nothing behind when it quits: the core that it started ends first.
import { join } from 'node:path'
import { app, dialog, nativeTheme, Notification, powerMonitor, protocol, safeStorage, session } from 'electron'
import { connectToCore, type CoreConnection } from '../client/connect.ts'
import { prepareHome, type Home } from '../client/home.ts'
import type { AppState } from '../shared/app-state.ts'
import type { ShellEvent } from '../shared/shell.ts'
import { setAppMenu } from './app-menu.ts'
import { APP_SCHEME, serveRendererFrom } from './app-scheme.ts'
import { createAttention } from './attention.ts'
import { launchCore } from './core-launcher.ts'
import { superviseCore, type CoreState } from './core-supervisor.ts'
import { LINK_SCHEME, type GatewayLink } from './deep-link.ts'
import { denyPermissions, guardPages } from './guards.ts'
import { createKeyStore } from './key-protection.ts'
import { createLoginItem } from './login-item.ts'
import { createMainWindow } from './main-window.ts'
import { createMissed, type ShellEventPayload } from './missed-events.ts'
import { trayView } from './overall-state.ts'
import { PAGE_EVENTS } from './page-gate.ts'
import { linkPage, type PageLink } from './page-link.ts'
import { followPresence } from './presence.ts'
import { livingConnections, quitQuestion } from './quitting.ts'
import { createShellCalls, openLoginLink } from './shell-calls.ts'
import { openShellLog } from './shell-log.ts'
import { mirrorState, type StateMirror } from './state-mirror.ts'
import { createTray } from './tray.ts'

export type DesktopAppOptions = {
  home: Home
  /** The folder of the built main process, out/main. */
  built: string
  env: NodeJS.ProcessEnv
  platform: NodeJS.Platform
  /** What the system starts to start this app. */
  program: string
  startsHidden: boolean
  /** Monotonic, in ms. */
  now: () => number
  /** This machine's clock, in ms since the epoch. */
  wallNow: () => number
}

export type DesktopApp = {
  show(): void
  /** Puts a link before the person; nothing else happens. */
  confirmLink(link: GatewayLink): void
}

export async function runDesktopApp(options: DesktopAppOptions): Promise<DesktopApp> {
  const { built, platform } = options
  const home = await prepareHome(options.home.dir, process.getuid?.())
  const log = openShellLog(join(home.dir, 'app.log'))
  const icon = join(built, '../../build/icons/icon.png')

  protocol.handle(APP_SCHEME, serveRendererFrom(join(built, '../renderer')))
  denyPermissions(session.defaultSession)
  guardPages(app)
  if (app.isPackaged) app.setAsDefaultProtocolClient(LINK_SCHEME)

  let mirror: StateMirror | undefined
  let page: PageLink | undefined
  let isQuitting = false
  const missed = createMissed()
  const state = (): AppState | undefined => mirror?.state()

  const shellCalls = createShellCalls({
    logFile: home.logFile,
    canStartAtLogin: app.isPackaged,
    canNotify: Notification.isSupported(),
    keyProtection: () => state()?.core.keyProtection,
  })
  const loginItem = createLoginItem(app, platform, app.getPath('appData'), options.program)

  const window = createMainWindow({
    preload: join(built, '../preload/preload.cjs'),
    boundsFile: join(app.getPath('userData'), 'window.json'),
    icon,
    onProblem: log,
    keepsOpen: () => {
      if (isQuitting || state()?.settings.backgroundMode) return false
      // Closing the last window ends the app, so it asks the same question.
      const asks = livingConnections(state()) > 0
      if (asks) app.quit()
      return asks
    },
    onMade: (made) => {
      const link = linkPage({
        window: made,
        core: () => mirror,
        shell: shellCalls,
        openLoginLink,
        onReady: () => {
          missed.deliver(link)
          link.sendEvent('shell.coreState', core.state())
        },
        log,
      })
      page = link
      made.once('closed', () => {
        if (page === link) page = undefined
      })
    },
  })

  /** Now if the page can hear it, else as soon as it can. */
  const tellPage = <E extends ShellEvent>(event: E, payload: ShellEventPayload<E>): void => {
    if (page?.isReady()) page.sendEvent(event, payload)
    else missed.keep(event, payload)
  }
  const goTo = (to: ShellEventPayload<'shell.navigate'>['to'], gateway: string | null = null): void => {
    window.raise()
    tellPage('shell.navigate', { to, gateway })
  }
  const askLogin = (profile: string): void => {
    window.raise()
    mirror?.call('login.ask', { profile }).catch((error: unknown) => log('a login could not be asked for', error))
  }

  const tray = createTray(join(built, '../../build/icons', platform === 'darwin' ? 'trayTemplate.png' : 'tray.png'), {
    show: () => void window.raise(),
    goToGateway: (id) => goTo('gateways', id),
    logIn: askLogin,
    quit: () => app.quit(),
  })
  const attention = createAttention({
    window: () => window.current(),
    raise: () => void window.raise(),
    notify: (title, body, onClick) => {
      const shown = new Notification({ title, body, icon })
      shown.on('click', onClick)
      shown.show()
      return shown
    },
    onLoginClick: (prompt) => askLogin(prompt.profile),
  })

  let minute: NodeJS.Timeout | undefined
  /** Draws the tray, and again when a minute of its countdown is over: nothing is asked for that. */
  const drawTray = (): void => {
    clearTimeout(minute)
    const view = trayView(core.state().state, state(), options.wallNow())
    tray.update(view)
    if (view.changesInMs !== null) minute = setTimeout(drawTray, view.changesInMs)
  }
  let startsAtLogin: boolean | undefined
  const onStateChanged = (now: AppState): void => {
    drawTray()
    if (nativeTheme.themeSource !== now.settings.theme) nativeTheme.themeSource = now.settings.theme
    if (!app.isPackaged || startsAtLogin === now.settings.startAtLogin) return
    startsAtLogin = now.settings.startAtLogin
    loginItem.set(startsAtLogin).catch((error: unknown) => log('starting at login could not be set', error))
  }
  const onCoreState = (now: CoreState): void => {
    if (now.state !== 'connected') {
      mirror = undefined
      attention.reset()
      missed.reset()
      log(`the core is ${now.state}`, now.text ?? undefined)
    }
    drawTray()
    if (page?.isReady()) page.sendEvent('shell.coreState', now)
  }
  const onConnected = (connection: CoreConnection): void => {
    mirror = mirrorState(connection, onStateChanged)
    for (const event of PAGE_EVENTS) connection.on(event, (payload) => page?.sendEvent(event, payload))
    connection.on('login.requested', (prompt) => {
      missed.requested(prompt)
      attention.requested(prompt)
    })
    connection.on('login.updated', (prompt) => missed.updated(prompt))
    connection.on('login.needed', (prompt) => attention.needed(prompt))
    connection.on('login.closed', (closed) => {
      missed.closed(closed.requestId)
      attention.closed(closed)
    })
    mirror.start().catch((error: unknown) => log('the state of the core did not come', error))
    if (presence() !== 'present') tellPresence()
  }

  const appVersion = app.getVersion()
  const keyStore = createKeyStore(safeStorage, platform)
  const core = superviseCore({
    attach: (signal) =>
      connectToCore({ home: home.dir, start: false, kind: 'window', canAsk: true, appVersion, signal }),
    launch: () =>
      launchCore({ entry: join(built, 'core.js'), homeDir: home.dir, logFile: home.logFile, appVersion, keyStore }),
    onConnected,
    onState: onCoreState,
    now: options.now,
  })
  const tellPresence = (): void => {
    const now = presence()
    mirror?.call('presence.set', { presence: now }).catch((error: unknown) => log('presence was not told', error))
  }
  const presence = followPresence(powerMonitor, tellPresence)

  setAppMenu({
    isMac: platform === 'darwin',
    isDevelopment: !app.isPackaged,
    onSettings: () => goTo('settings'),
    onAbout: () => goTo('about'),
  })
  app.on('activate', () => void window.raise())
  app.on('window-all-closed', () => {
    if (!state()?.settings.backgroundMode) app.quit()
  })
  // A machine that shuts down is not asked anything.
  let mayAsk = true
  powerMonitor.on('shutdown', () => (mayAsk = false))
  app.on('before-quit', (event) => {
    const connections = livingConnections(state())
    if (isQuitting || !mayAsk || connections === 0) {
      isQuitting = true
      return
    }
    event.preventDefault()
    const question = quitQuestion(connections)
    dialog.showMessageBox(question.options).then(
      ({ response }) => {
        if (response !== question.quits) return
        isQuitting = true
        app.quit()
      },
      (error: unknown) => log('the question before quitting failed', error),
    )
  })
  let isOver = false
  app.on('will-quit', (event) => {
    if (isOver) return
    event.preventDefault()
    isOver = true
    void Promise.all([core.close(), window.saved()]).then(() => {
      clearTimeout(minute)
      tray.close()
      app.exit(0)
    })
  })

  drawTray()
  if (!options.startsHidden) window.raise()
  return {
    show: () => void window.raise(),
    confirmLink: (link) => {
      window.raise()
      tellPage('shell.confirmLink', link)
    },
  }
}
