// The Chromium windows of a browser host: the app's own, asked for by `postern app` or the demo with the display of that person,
// and the small ones for logins, on the display of the last. Their programs end with the host. Composed by host.ts.
import {
  APP_WINDOW,
  findChromium,
  LOGIN_WINDOW,
  openChromium,
  type Machine,
  type Window,
} from '../../client/app/open-window.ts'

export type WindowsOptions = {
  machine: Machine
  /** Where Chromium keeps its things. */
  profileDir: string
  /** A 0600 file that leads a browser once to `path` of the app. */
  redirectFile: (path: string) => Promise<string>
}

export type Windows = {
  /** Opens the app on that display; whether a window came up. */
  openApp(display: Record<string, string>): Promise<boolean>
  /** Opens the small window beside the app's; undefined where no window of ours is open. */
  openLogin(): Promise<boolean> | undefined
  /** Ends what was opened. Idempotent. */
  close(): Promise<void>
}

export function createWindows({ machine, profileDir, redirectFile }: WindowsOptions): Windows {
  const opened = new Set<Window>()
  let display: Record<string, string> | undefined
  let isClosed = false

  const open = async (path: string, size: { width: number; height: number }): Promise<boolean> => {
    const env = { ...machine.env, ...display }
    const chromium = findChromium({ ...machine, env })
    if (chromium === undefined) return false
    const file = await redirectFile(path)
    if (isClosed) return false
    const window = openChromium(chromium, { redirectFile: file, profileDir, size }, { ...machine, env })
    opened.add(window)
    void window.ended.then(() => opened.delete(window))
    return window.opened
  }

  return {
    openApp(on) {
      display = on
      return open('/', APP_WINDOW)
    },
    openLogin: () => (opened.size === 0 ? undefined : open('/#/login', LOGIN_WINDOW).catch(() => false)),
    async close() {
      isClosed = true
      await Promise.all([...opened].map((window) => window.end()))
    },
  }
}
