// The rest of the fake's system: tray, menus, notifications, dialogs, clipboard, shell, theme, screen, session, scheme, and utility
// processes, which are plain Node processes here with a `process.parentPort` (parent-port.mjs). All of it writes down what the app did (record.ts).
import { spawn, type ChildProcess, type Serializable } from 'node:child_process'
import { EventEmitter } from 'node:events'
import { note, record } from './record.ts'

type MenuItem = { label?: string; role?: string; enabled?: boolean; click?: () => void; submenu?: MenuItem[] }
type BuiltMenu = { items: MenuItem[] }

export const Menu = {
  buildFromTemplate: (items: MenuItem[]): BuiltMenu => ({ items }),
  setApplicationMenu(menu: BuiltMenu) {
    system.menu = menu
  },
}

export class Tray extends EventEmitter {
  tooltip = ''
  menu: BuiltMenu = { items: [] }
  readonly icon: unknown
  constructor(icon: unknown) {
    super()
    this.icon = icon
    system.trays.push(this)
  }
  setToolTip(text: string): void {
    this.tooltip = text
  }
  setContextMenu(menu: BuiltMenu): void {
    this.menu = menu
  }
  destroy(): void {
    system.trays.splice(system.trays.indexOf(this), 1)
  }
}

export class Notification extends EventEmitter {
  readonly #entry: { title: string; body: string; open: boolean }
  static isSupported(): boolean {
    return true
  }
  constructor({ title, body }: { title: string; body: string }) {
    super()
    this.#entry = { title, body, open: false }
  }
  show(): void {
    this.#entry.open = true
    record.notifications.push(this.#entry)
    system.notifications.push(this)
  }
  close(): void {
    this.#entry.open = false
  }
}

export const system = {
  trays: [] as Tray[],
  notifications: [] as Notification[],
  menu: undefined as BuiltMenu | undefined,
  schemes: [] as { scheme: string; privileges: unknown }[],
  serve: undefined as ((request: Request) => Promise<Response>) | undefined,
  askPermission: undefined as
    ((contents: unknown, permission: string, answer: (may: boolean) => void) => void) | undefined,
  checkPermission: undefined as ((contents: unknown, permission: string) => boolean) | undefined,
  checkDevice: undefined as (() => boolean) | undefined,
  utilities: [] as ChildProcess[],
}

class FakeSession extends EventEmitter {
  setPermissionRequestHandler(handler: typeof system.askPermission): void {
    system.askPermission = handler
  }
  setPermissionCheckHandler(handler: typeof system.checkPermission): void {
    system.checkPermission = handler
  }
  setDevicePermissionHandler(handler: typeof system.checkDevice): void {
    system.checkDevice = handler
  }
}
export const session = { defaultSession: new FakeSession() }

export const protocol = {
  registerSchemesAsPrivileged: (schemes: typeof system.schemes) => void system.schemes.push(...schemes),
  handle(scheme: string, serve: typeof system.serve) {
    if (scheme !== 'app') throw new Error(`fake electron: the app has one scheme, not ${scheme}`)
    system.serve = serve
  },
}

export const dialog = {
  showMessageBox(options: { message: string; cancelId: number }): Promise<{ response: number }> {
    note('dialog', options.message)
    return Promise.resolve({ response: record.dialogAnswers.shift() ?? options.cancelId })
  },
}
export const clipboard = {
  writeText(text: string): Promise<void> {
    record.clipboard = text
    return Promise.resolve()
  },
}
export const shell = {
  openExternal(url: string): Promise<void> {
    record.opened.push(url)
    return Promise.resolve()
  },
  showItemInFolder: (path: string) => note('shell.showItemInFolder', path),
}
export const nativeImage = { createFromPath: (path: string) => ({ path, isEmpty: () => false }) }
export const nativeTheme = { shouldUseDarkColors: false, themeSource: 'system' }
export const screen = { getAllDisplays: () => [{ workArea: { x: 0, y: 0, width: 1920, height: 1040 } }] }

const PARENT_PORT = new URL('./parent-port.mjs', import.meta.url).href

class FakeUtility extends EventEmitter {
  readonly pid: number | undefined
  readonly stdout: ChildProcess['stdout']
  readonly stderr: ChildProcess['stderr']
  readonly #child: ChildProcess
  constructor(entry: string, args: readonly string[]) {
    super()
    this.#child = spawn(process.execPath, ['--import', PARENT_PORT, entry, ...args], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    })
    this.pid = this.#child.pid
    this.stdout = this.#child.stdout
    this.stderr = this.#child.stderr
    system.utilities.push(this.#child)
    this.#child.on('message', (message) => this.emit('message', message))
    this.#child.once('exit', (code, signal) => {
      system.utilities.splice(system.utilities.indexOf(this.#child), 1)
      this.emit('exit', code ?? (signal === null ? 0 : 1))
    })
  }
  postMessage(message: unknown): void {
    if (this.#child.connected) this.#child.send(message as Serializable)
  }
  kill(): boolean {
    return this.#child.kill('SIGTERM')
  }
}
export const utilityProcess = { fork: (entry: string, args: readonly string[]) => new FakeUtility(entry, args) }
// A utility process dies with the app, however that ends.
process.on('exit', () => {
  for (const child of system.utilities) child.kill('SIGKILL')
})
