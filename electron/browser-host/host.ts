// The browser host of one home, composed: its door, the ways in, its pages, and how long it lives. Started by
// ../browser-host.ts; tests start it in their own process.
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { hostPlacesOf, readDoor, WindowRequest, type BrowserDoor } from '../../client/app/door.ts'
import type { Machine } from '../../client/app/open-window.ts'
import { writeFileAtomically } from '../../client/atomic-file.ts'
import type { CoreConnection } from '../../client/connect.ts'
import type { CheckLocalUser } from '../../client/gateways/local-user.ts'
import { redirectFile } from './answers.ts'
import type { AppFiles } from './app-files.ts'
import { createLaunches } from './launches.ts'
import { createLoginWindow } from './login-window.ts'
import { servePage, type CommonShell } from './page.ts'
import { LAUNCH_PATH, openDoor } from './serve.ts'
import { createWindows } from './windows.ts'

export type BrowserHostOptions = {
  homeDir: string
  files: AppFiles
  shell: CommonShell
  /** Connects to the core as a host of kind `page`. */
  connect: (signal: AbortSignal) => Promise<CoreConnection>
  checkLocalUser: CheckLocalUser
  /** For windows of its own; its environment without a display, which the person who asks for a window names. */
  machine: Machine
  /** `bytes` random bytes as lower-case hexadecimal digits. */
  randomHex: (bytes: number) => string
  /** How long it lives on without a page, in ms; undefined: until it is closed, because it has a launcher to live with. */
  graceMs: number | undefined
  /** How long it waits for the page of a ticket that it gave out, in ms. */
  launchWaitMs: number
  onIdle: () => void
  log: Logger
}

export type BrowserHost = {
  /** http://RANDOM.localhost:PORT */
  readonly origin: string
  readonly port: number
  /** A way in, good for one use. */
  freshUrl(): string
  /** Ends the pages, the server and what lies in the home. Idempotent. */
  close(): Promise<void>
}

/** Starts it: when this resolves, it listens and the door file lies in the home. The caller holds the host's lock. */
export async function startBrowserHost(options: BrowserHostOptions): Promise<BrowserHost> {
  const { homeDir, log, randomHex } = options
  const places = hostPlacesOf(homeDir)
  const launches = createLaunches(() => randomHex(32))
  const redirectFiles = new Map<string, string>()
  const served = new Set<Promise<void>>()
  const secret = randomHex(32)

  const life = createHostLife(options)
  const forget = (token: string): void => {
    const file = redirectFiles.get(token)
    redirectFiles.delete(token)
    if (file !== undefined) void rm(file, { force: true }).catch((error: unknown) => log.warn({ err: error }, 'rm'))
  }
  const urlOf = (token: string): string => `http://${door.authority}${LAUNCH_PATH}${token}`

  const windows = createWindows({
    machine: options.machine,
    profileDir: places.browserProfileDir,
    async redirectFile(path) {
      const token = launches.issue(path)
      const file = join(places.launchDir, `${randomHex(8)}.html`)
      await writeFile(file, redirectFile(urlOf(token)), { mode: 0o600, flag: 'wx' })
      redirectFiles.set(token, file)
      return file
    },
  })
  const loginWindow = createLoginWindow({ open: () => windows.openLogin() })

  // Whatever a killed host left there leads nowhere.
  await rm(places.launchDir, { recursive: true, force: true })
  await mkdir(places.launchDir, { mode: 0o700 })
  const door = await openDoor({
    label: `postern-${randomHex(8)}`,
    preferredPort: (await readDoor(homeDir))?.port,
    files: options.files,
    launches,
    secret,
    async ticket(kind, body) {
      life.expectPage()
      if (kind === 'url') return { url: urlOf(launches.issue()) }
      return { opened: await windows.openApp(WindowRequest.parse(JSON.parse(body)).display) }
    },
    onRedeemed: forget,
    onPage(socket) {
      life.pageCame()
      const { connect, shell } = options
      const page = servePage(socket, { connect, shell, loginWindow, log }).finally(() => {
        served.delete(page)
        life.pageLeft()
      })
      served.add(page)
    },
    checkLocalUser: options.checkLocalUser,
    randomText: () => randomHex(32),
  })
  const file: BrowserDoor = { pid: process.pid, authority: door.authority, port: door.port, secret }
  await writeFileAtomically(places.doorFile, JSON.stringify(file))
  log.info({ origin: `http://${door.authority}` }, 'browser host listens')

  let closing: Promise<void> | undefined
  return {
    origin: `http://${door.authority}`,
    port: door.port,
    freshUrl() {
      life.expectPage()
      return urlOf(launches.issue())
    },
    close() {
      closing ??= (async () => {
        life.close()
        loginWindow.close()
        await Promise.all([door.close(), windows.close()])
        await Promise.all(served)
        for (const name of await readdir(places.launchDir).catch(() => []))
          await rm(join(places.launchDir, name), { force: true })
        log.info('browser host ends')
      })()
      return closing
    },
  }
}

type HostLife = { expectPage(): void; pageCame(): void; pageLeft(): void; close(): void }

/**
 * Ends a host that nobody looks at: the last page went longer than the grace time ago, and no ticket waits for its page, even
 * one that was given out while there was a page.
 */
function createHostLife({ graceMs, launchWaitMs, onIdle }: BrowserHostOptions): HostLife {
  let pages = 0
  let grace: NodeJS.Timeout | undefined
  /** One for each ticket whose page has not come, the oldest first. */
  const expected = new Set<NodeJS.Timeout>()

  const lookAgain = (): void => {
    if (pages === 0 && expected.size === 0 && grace === undefined) onIdle()
  }
  const stop = (): void => {
    clearTimeout(grace)
    grace = undefined
  }
  const forget = (late: NodeJS.Timeout | undefined): void => {
    clearTimeout(late)
    if (late !== undefined) expected.delete(late)
  }
  const expectPage = (): NodeJS.Timeout | undefined => {
    if (graceMs === undefined) return undefined
    const late = setTimeout(() => {
      expected.delete(late)
      lookAgain()
    }, launchWaitMs)
    expected.add(late)
    return late
  }
  // Whoever started it asks for a way in.
  let start = expectPage()
  return {
    expectPage() {
      forget(start)
      start = undefined
      expectPage()
    },
    pageCame() {
      pages++
      stop()
      const [oldest] = expected
      forget(oldest)
    },
    pageLeft() {
      pages--
      if (graceMs === undefined || pages > 0) return
      grace = setTimeout(() => {
        grace = undefined
        lookAgain()
      }, graceMs)
    },
    close() {
      stop()
      for (const late of expected) clearTimeout(late)
    },
  }
}
