// Which program can show the app on this machine, and starting it: Electron, else a Chromium in a window of its own, else
// nobody. Electron is started by `postern app` and the demo, Chromium by the browser host, whose window it is. Environment and
// platform are passed in.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** Looked for in PATH, the first one wins; all of them know `--app`. */
const CHROMIUMS = [
  'chromium',
  'chromium-browser',
  'google-chrome',
  'google-chrome-stable',
  'microsoft-edge',
  'brave-browser',
  'chrome',
]
const MAC_CHROMIUMS = ['Google Chrome', 'Chromium', 'Microsoft Edge'].map(
  (name) => `/Applications/${name}.app/Contents/MacOS/${name}`,
)
/** A program that ends with an error within this time did not open a window, in ms. */
const SETTLE_MS = 1500

export type Machine = { platform: NodeJS.Platform; env: NodeJS.ProcessEnv; uid: number | undefined }

/** Whether a window could be seen by the person who runs this. */
export function hasDisplay({ platform, env }: Machine): boolean {
  if (platform === 'linux') return Boolean(env['DISPLAY'] || env['WAYLAND_DISPLAY'])
  return !env['SSH_CONNECTION']
}

/** Path of Electron's binary if it was downloaded and the app is built for it. Electron never runs as root. */
export async function findElectron({ platform, uid }: Machine): Promise<string | undefined> {
  if (uid === 0 || !existsSync(join(ROOT, 'out', 'main', 'main.js'))) return undefined
  const dir = join(ROOT, 'node_modules', 'electron')
  const name = await readFile(join(dir, 'path.txt'), 'utf8').catch(() =>
    platform === 'win32' ? 'electron.exe' : 'electron',
  )
  const binary = join(dir, 'dist', name)
  return existsSync(binary) ? binary : undefined
}

/** A window program that does not end when it is asked to is killed after this time, in ms. */
const END_DEADLINE_MS = 3000

/** A program that was started to show the app. */
export type Window = {
  /** Whether it still runs, or ended well, after a moment: then a window came up. */
  readonly opened: Promise<boolean>
  /** Resolves when it is over, however; never rejects. */
  readonly ended: Promise<void>
  /** Ends it, if it still runs; resolves when it is gone. Idempotent. */
  end(): Promise<void>
}

/** The part of an environment that leads to the person's display. */
const DISPLAY_VARIABLES = [
  'DISPLAY',
  'WAYLAND_DISPLAY',
  'XAUTHORITY',
  'XDG_RUNTIME_DIR',
  'XDG_SESSION_TYPE',
  'XDG_CURRENT_DESKTOP',
  'DBUS_SESSION_BUS_ADDRESS',
] as const

export const displayOf = (env: NodeJS.ProcessEnv): Record<string, string> =>
  Object.fromEntries(
    DISPLAY_VARIABLES.flatMap((name) => {
      const value = env[name]
      return value === undefined ? [] : [[name, value]]
    }),
  )

/** Starts the Electron app for a home. */
export const openElectron = (binary: string, homeDir: string, { env }: Machine): Window =>
  startDetached(binary, [ROOT], { ...env, POSTERN_HOME: homeDir })

export function findChromium({ platform, env }: Machine): string | undefined {
  if (platform === 'darwin') return MAC_CHROMIUMS.find((file) => existsSync(file))
  const names = platform === 'win32' ? ['chrome.exe', 'msedge.exe'] : CHROMIUMS
  const dirs = (env['PATH'] ?? '').split(delimiter).filter(Boolean)
  const windowsDirs = [env['PROGRAMFILES'], env['PROGRAMFILES(X86)']].flatMap((base) =>
    base === undefined
      ? []
      : [join(base, 'Google', 'Chrome', 'Application'), join(base, 'Microsoft', 'Edge', 'Application')],
  )
  return names
    .flatMap((name) => [...dirs, ...windowsDirs].map((dir) => join(dir, name)))
    .find((file) => existsSync(file))
}

export const APP_WINDOW = { width: 1280, height: 800 }
/** The small window of a login; its page brings itself to this size where the browser runs already. */
export const LOGIN_WINDOW = { width: 440, height: 500 }

/**
 * Opens a redirect file in a window without tabs. The browser keeps its things in `profileDir`,
 * apart from the person's own browsing. Chromium refuses to run as root with its sandbox: there it runs without one, and
 * shows nothing but our own page, which loads nothing from elsewhere.
 */
export const openChromium = (
  binary: string,
  options: { redirectFile: string; profileDir: string; size: { width: number; height: number } },
  { env, uid }: Machine,
): Window =>
  startDetached(
    binary,
    [
      `--app=${pathToFileURL(options.redirectFile).href}`,
      `--user-data-dir=${options.profileDir}`,
      `--window-size=${options.size.width},${options.size.height}`,
      '--no-first-run',
      '--no-default-browser-check',
      // Nothing of the app is kept there that would be worth a question about the system's key store.
      '--password-store=basic',
      ...(uid === 0 ? ['--no-sandbox', '--test-type'] : []),
    ],
    env,
  )

/** Starts a program that does not end with us by itself. */
function startDetached(command: string, args: string[], env: NodeJS.ProcessEnv): Window {
  const child = spawn(command, args, { cwd: ROOT, env, detached: true, stdio: 'ignore' })
  child.unref()
  const opened = new Promise<boolean>((resolve) => {
    const settled = setTimeout(() => resolve(true), SETTLE_MS)
    const settle = (isGood: boolean): void => {
      clearTimeout(settled)
      resolve(isGood)
    }
    child.once('error', () => settle(false))
    child.once('exit', (code) => settle(code === 0))
  })
  const ended = new Promise<void>((resolve) => {
    child.once('error', () => resolve())
    child.once('exit', () => resolve())
  })
  return {
    opened,
    ended,
    async end() {
      if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
      child.kill('SIGTERM')
      const deadline = setTimeout(() => child.kill('SIGKILL'), END_DEADLINE_MS)
      await ended
      clearTimeout(deadline)
    },
  }
}
