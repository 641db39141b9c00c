// Starts the built app on the fake of `electron` as a process of its own, and drives it: its window as a Playwright page, the system
// around it (tray, notifications, presence, second start) through the fake's control channel.
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium, type Browser, type Page } from 'playwright-core'
import { z } from 'zod'
import { freePort } from '../support/free-port.ts'
import { PATIENCE } from '../support/patience.ts'
import { until } from '../support/run.ts'
import { builtApp, type PageKind } from './built.ts'

const Inspection = z.object({
  calls: z.array(z.object({ what: z.string(), with: z.unknown() })),
  notifications: z.array(z.object({ title: z.string(), body: z.string(), open: z.boolean() })),
  clipboard: z.string(),
  theme: z.string(),
  opened: z.array(z.string()),
  pageErrors: z.array(z.string()),
  windows: z.array(
    z.object({
      isVisible: z.boolean(),
      isFocused: z.boolean(),
      isMinimized: z.boolean(),
      options: z.record(z.string(), z.unknown()),
    }),
  ),
  tray: z.array(z.object({ tooltip: z.string(), labels: z.array(z.string()) })),
  menuRoles: z.array(z.string()),
  schemes: z.array(z.object({ scheme: z.string(), privileges: z.record(z.string(), z.boolean()) })),
  utilityPids: z.array(z.number()),
})
export type Inspection = z.infer<typeof Inspection>

declare global {
  // What fixture-page/page.js puts there; these lines only run inside the page.
  var fixture: {
    call(method: string, params: unknown): Promise<unknown>
    events: { event: string; payload: Record<string, unknown> }[]
  }
}

export type DesktopOptions = {
  home?: string
  args?: readonly string[]
  env?: NodeJS.ProcessEnv
  /** false: it starts without one. */
  window?: boolean
  renderer?: PageKind
}

export class Desktop {
  readonly home: string
  readonly child: ChildProcess
  readonly ended: Promise<number | null>
  readonly #ownsHome: boolean
  readonly #cdpPort: number
  #browser: Browser | undefined
  #nextId = 1
  #output = ''

  private constructor(home: string, ownsHome: boolean, cdpPort: number, child: ChildProcess) {
    this.home = home
    this.#ownsHome = ownsHome
    this.#cdpPort = cdpPort
    this.child = child
    this.ended = once(child, 'exit').then(([code]) => code as number | null)
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk: Buffer) => (this.#output += chunk.toString()))
    }
  }

  /** Starts the app; resolves when its first window has its page (unless `window: false`). */
  static async start(options: DesktopOptions = {}): Promise<Desktop> {
    const built = await builtApp(options.renderer ?? 'fixture')
    const home = options.home ?? (await mkdtemp(join(tmpdir(), 'postern-desktop-')))
    const cdpPort = await freePort()
    const child = fork(join(built, 'main/main.js'), [...(options.args ?? [])], {
      execArgv: ['--import', join(import.meta.dirname, 'fake/register.mjs')],
      env: {
        ...process.env,
        POSTERN_HOME: home,
        FAKE_DIR: join(home, 'fake'),
        FAKE_CDP_PORT: String(cdpPort),
        ...options.env,
      },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    })
    const desktop = new Desktop(home, options.home === undefined, cdpPort, child)
    try {
      if (options.window !== false) await desktop.page()
    } catch (error) {
      await desktop.close()
      throw error
    }
    return desktop
  }

  /** The page of the one window. */
  async page(): Promise<Page> {
    let found: Page | undefined
    await until(
      async () => {
        if (this.child.exitCode !== null) throw new Error(`the app ended (${this.child.exitCode}):\n${this.#output}`)
        this.#browser ??= await chromium.connectOverCDP(`http://127.0.0.1:${this.#cdpPort}`).catch(() => undefined)
        found = this.#browser
          ?.contexts()
          .flatMap((context) => context.pages())
          .find((page) => page.url().includes('postern.app.invalid'))
        return found !== undefined
      },
      `the window has its page\n${this.#output}`,
      20_000,
    )
    return found!
  }

  /** What the app did to the system so far. */
  async inspect(): Promise<Inspection> {
    return Inspection.parse(await this.ask('inspect'))
  }

  /** One command of the fake's control channel; its answer. */
  async ask(what: string, params: Record<string, unknown> = {}): Promise<unknown> {
    const id = this.#nextId++
    const answer = new Promise<unknown>((resolve, reject) => {
      const onMessage = (message: { id: number; result?: unknown; error?: string }): void => {
        if (message.id !== id) return
        this.child.off('message', onMessage)
        if (message.error === undefined) resolve(message.result)
        else reject(new Error(message.error))
      }
      this.child.on('message', onMessage)
      this.child.send({ id, what, with: params }, (error) => error && reject(error))
    })
    const ended = this.ended.then(() => {
      throw new Error(`the app ended while it was asked: ${what}\n${this.#output}`)
    })
    return Promise.race([answer, ended])
  }

  /** Waits until what the app did satisfies a condition. */
  async untilSeen(condition: (seen: Inspection) => boolean, what: string, timeoutMs = 15_000): Promise<Inspection> {
    let seen = await this.inspect()
    await until(
      async () => {
        seen = await this.inspect()
        return condition(seen)
      },
      what,
      timeoutMs,
    ).catch((error: unknown) => {
      throw new Error(`${String(error)}; seen: ${JSON.stringify(seen, undefined, 1)}\n${this.#output}`)
    })
    return seen
  }

  /** Waits until the app has reached its core: a window is there before that, and its calls of the core are refused. */
  async reachesCore(): Promise<this> {
    await until(async () => 'result' in (await this.call('profile.list')), 'the app reaches its core', 30_000)
    return this
  }

  /** A call of the fixture page; the whole answer, an error included. */
  async call(
    method: string,
    params: unknown = {},
  ): Promise<{ result?: unknown; error?: { code: string; text: string } }> {
    const page = await this.page()
    await page.waitForFunction(() => 'fixture' in globalThis)
    return (await page.evaluate(([name, value]) => globalThis.fixture.call(name, value), [
      method,
      params,
    ] as const)) as {
      result?: unknown
    }
  }

  /** The events that the fixture page has heard, by name. */
  async events(name: string): Promise<Record<string, unknown>[]> {
    const page = await this.page()
    await page.waitForFunction(() => 'fixture' in globalThis)
    const heard = await page.evaluate(() => globalThis.fixture.events)
    return heard.filter(({ event }) => event === name).map(({ payload }) => payload)
  }

  get output(): string {
    return this.#output
  }

  /** Quits it as a person would, or kills it after a while; removes its home. */
  async close(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      await this.ask('answerDialog', { response: 1 }).catch(() => undefined)
      await this.ask('quit').catch(() => undefined)
      const timer = setTimeout(() => this.child.kill('SIGKILL'), PATIENCE * 10_000)
      await this.ended
      clearTimeout(timer)
    }
    await this.#browser?.close().catch(() => undefined)
    if (this.#ownsHome) await rm(this.home, { recursive: true, force: true })
  }
}
