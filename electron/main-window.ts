// The one window: made when it is wanted, remembered where it was, gone when it is closed (the app may live on in the tray).
// Called by main.ts. Promises secure preferences; what the page may do besides is page-link.ts and guards.ts.
import { BrowserWindow, nativeTheme, screen } from 'electron'
import { START_URL } from './app-scheme.ts'
import { FIRST_SIZE, readBounds, SMALLEST, visibleBounds, writeBounds, type KeptBounds } from './window-bounds.ts'

export type MainWindowOptions = {
  preload: string
  boundsFile: string
  icon: string
  /** A new window, before its page loads. */
  onMade: (window: BrowserWindow) => void
  /** The person closes it; true: it stays open, the app asks first. */
  keepsOpen: () => boolean
  onProblem: (text: string, cause: unknown) => void
}

export type MainWindow = {
  current(): BrowserWindow | undefined
  /** Brings it before the person, made anew if it was closed. */
  raise(): BrowserWindow
  /** Resolves when the place of a closed window is kept; never rejects. */
  saved(): Promise<void>
}

/** What a window shows before its page does; as the tokens of the renderer have it. */
const BACKGROUND = { dark: '#121518', light: '#f5f6f7' }
/** A page that crashed is loaded again, but not again and again; in ms. */
const RELOAD_PAUSE_MS = 10_000

export function createMainWindow(options: MainWindowOptions): MainWindow {
  let window: BrowserWindow | undefined
  // The file is behind by a moment: a window that is opened right again must not miss it.
  let last: KeptBounds | undefined
  let saving = Promise.resolve()

  const make = (): BrowserWindow => {
    const workAreas = screen.getAllDisplays().map((display) => display.workArea)
    const kept = visibleBounds(last ?? readBounds(options.boundsFile), workAreas)
    const made = new BrowserWindow({
      ...(kept?.bounds ?? FIRST_SIZE),
      minWidth: SMALLEST.width,
      minHeight: SMALLEST.height,
      title: 'Postern',
      icon: options.icon,
      show: false,
      backgroundColor: nativeTheme.shouldUseDarkColors ? BACKGROUND.dark : BACKGROUND.light,
      webPreferences: {
        preload: options.preload,
        contextIsolation: true,
        sandbox: true,
        nodeIntegration: false,
        nodeIntegrationInWorker: false,
        nodeIntegrationInSubFrames: false,
        webSecurity: true,
        allowRunningInsecureContent: false,
        experimentalFeatures: false,
        webviewTag: false,
        navigateOnDragDrop: false,
        spellcheck: false,
        // Timers of a hidden page rest; patches of the state still come in as messages, and countdowns are computed from the clock.
        backgroundThrottling: true,
      },
    })
    window = made
    if (kept?.maximized) made.maximize()
    made.once('ready-to-show', () => made.show())
    made.on('close', (event) => {
      if (options.keepsOpen()) {
        event.preventDefault()
        return
      }
      last = { bounds: made.getNormalBounds(), maximized: made.isMaximized() }
      saving = writeBounds(options.boundsFile, last).catch((error: unknown) =>
        options.onProblem('the place of the window could not be kept', error),
      )
    })
    made.once('closed', () => {
      if (window === made) window = undefined
    })
    reloadAfterCrash(made, options.onProblem)
    options.onMade(made)
    made.loadURL(START_URL).catch((error: unknown) => {
      if (!made.isDestroyed()) options.onProblem('the page could not be loaded', error)
    })
    return made
  }

  return {
    current: () => window,
    saved: () => saving,
    raise() {
      if (!window) return make()
      if (window.isMinimized()) window.restore()
      window.show()
      window.focus()
      return window
    },
  }
}

function reloadAfterCrash(window: BrowserWindow, onProblem: MainWindowOptions['onProblem']): void {
  let lastReload = -Infinity
  window.webContents.on('render-process-gone', (_event, details) => {
    onProblem(`the page ended: ${details.reason}`, undefined)
    const now = performance.now()
    if (details.reason === 'clean-exit' || now - lastReload < RELOAD_PAUSE_MS) return
    lastReload = now
    window.webContents.reload()
  })
}
