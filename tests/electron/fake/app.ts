// `app` and `powerMonitor` of the fake: readiness, places, the single-instance lock, and quitting in Electron's order
// (before-quit, windows close, will-quit, exit), each step preventable.
import { EventEmitter } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, rmSync, watch, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { note, preventable } from './record.ts'

/** Set by window.ts, which needs `app` itself. */
export const parts = {
  windows: (): { close(): void; gone: Promise<void> }[] => [],
  closeBrowser: (): Promise<void> => Promise.resolve(),
}

const SECOND = 'second-instance-'

class FakeApp extends EventEmitter {
  readonly isPackaged = process.env['FAKE_PACKAGED'] === '1'
  readonly #paths = new Map<string, string>()
  isQuitting = false

  whenReady(): Promise<void> {
    return Promise.resolve()
  }
  getVersion(): string {
    return '0.1.0'
  }
  enableSandbox(): void {
    note('app.enableSandbox')
  }
  setPath(name: string, path: string): void {
    this.#paths.set(name, path)
  }
  getPath(name: string): string {
    const path = this.#paths.get(name) ?? join(process.env['FAKE_DIR'] ?? tmpdir(), name)
    mkdirSync(path, { recursive: true })
    return path
  }
  setAsDefaultProtocolClient(scheme: string): boolean {
    note('app.setAsDefaultProtocolClient', scheme)
    return true
  }
  setLoginItemSettings(settings: unknown): void {
    note('app.setLoginItemSettings', settings)
  }

  /** A lock file in userData; the second one leaves its arguments there for the first, which hears of them once it is ready. */
  requestSingleInstanceLock(): boolean {
    const dir = this.getPath('userData')
    const lock = join(dir, 'SingletonLock')
    const holder = holderOf(lock)
    if (holder !== undefined && isAlive(holder)) {
      writeFileSync(join(dir, `${SECOND}${process.pid}.json`), JSON.stringify(process.argv))
      return false
    }
    writeFileSync(lock, String(process.pid))
    void this.whenReady().then(() => {
      watch(dir, () => this.#hearSecond(dir)).unref()
      this.#hearSecond(dir)
    })
    return true
  }
  #hearSecond(dir: string): void {
    for (const name of readdirSync(dir).filter((file) => file.startsWith(SECOND))) {
      const text = readFileSync(join(dir, name), 'utf8')
      // Written in two steps: the next change brings the rest.
      if (!text.endsWith(']')) continue
      rmSync(join(dir, name))
      this.emit('second-instance', {}, JSON.parse(text), dir)
    }
  }

  quit(): void {
    void this.#quit()
  }
  async #quit(): Promise<void> {
    const before = preventable({})
    this.emit('before-quit', before)
    if (before.defaultPrevented) return
    this.isQuitting = true
    const windows = parts.windows()
    for (const window of windows) window.close()
    await Promise.all(windows.map((window) => window.gone))
    const will = preventable({})
    this.emit('will-quit', will)
    if (!will.defaultPrevented) this.exit(0)
  }
  exit(code: number): void {
    this.emit('quit', {}, code)
    void parts.closeBrowser().finally(() => process.exit(code))
  }
}

function holderOf(lock: string): number | undefined {
  try {
    return Number(readFileSync(lock, 'utf8'))
  } catch {
    return undefined
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

export const app = new FakeApp()
export const powerMonitor = new EventEmitter()
