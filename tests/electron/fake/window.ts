// `BrowserWindow`, its `webContents`, and `ipcMain` of the fake: each window is a page of one headless Chromium, whose requests for
// app://postern/ are answered by the app's own protocol handler (under an https origin, since Chromium knows no such scheme here).
import { EventEmitter } from 'node:events'
import { readFileSync } from 'node:fs'
import { chromium, type Browser, type BrowserContext, type CDPSession, type Page, type Route } from 'playwright-core'
import { z } from 'zod'
import { app, parts } from './app.ts'
import { preloadWorld, PAGE_WORLD } from './page-worlds.ts'
import { note, preventable, record } from './record.ts'
import { system } from './system.ts'

/** What app://postern is mapped to; nothing of it goes to a network. */
export const STAND_IN = 'https://postern.app.invalid'
const toStandIn = (url: string): string => url.replace(/^app:\/\/postern(?=\/|$)/, STAND_IN)
const fromStandIn = (url: string): string =>
  url.startsWith(STAND_IN) ? `app://postern${url.slice(STAND_IN.length)}` : url

export const ipcMain = new EventEmitter()

let browser: Promise<Browser> | undefined
let context: Promise<BrowserContext> | undefined
const openContext = (): Promise<BrowserContext> =>
  (context ??= (browser ??= chromium.launch({
    executablePath: process.env['CHROME_PATH'] ?? '/usr/bin/chromium',
    args: ['--no-sandbox', `--remote-debugging-port=${process.env['FAKE_CDP_PORT'] ?? '0'}`],
  })).then((opened) => opened.newContext({ viewport: null })))
parts.closeBrowser = async () => {
  await (await browser)?.close()
}

const BINDING = 'fakeIpc'
const WORLD = 'preload'

export type Frame = { url: string; parent: Frame | null }

class WebContents extends EventEmitter {
  page: Page | undefined
  cdp: CDPSession | undefined
  world: number | undefined
  isGone = false
  openHandler: (details: { url: string }) => { action: string } = () => ({ action: 'allow' })

  isDestroyed(): boolean {
    return this.isGone
  }
  setWindowOpenHandler(handler: typeof this.openHandler): void {
    this.openHandler = handler
  }
  reload(): void {
    void this.page?.reload()
  }
  send(channel: string, ...args: unknown[]): void {
    if (this.isGone || this.world === undefined || !this.cdp) return
    const text = JSON.stringify({ channel, args: structuredClone(args) })
    const expression = `fakeDeliver(${JSON.stringify(text)})`
    this.cdp.send('Runtime.evaluate', { contextId: this.world, expression }).catch(() => undefined)
  }
}

type Preferences = { preload?: string } & Record<string, unknown>
type Options = { width?: number; height?: number; show?: boolean; webPreferences?: Preferences }

/** What Electron's checklist forbids throws here, so that it fails a test. */
function refuseInsecure(preferences: Preferences): void {
  const forbidden = {
    nodeIntegration: true,
    nodeIntegrationInWorker: true,
    nodeIntegrationInSubFrames: true,
    contextIsolation: false,
    sandbox: false,
    webSecurity: false,
    allowRunningInsecureContent: true,
    experimentalFeatures: true,
    webviewTag: true,
    enableBlinkFeatures: true,
  }
  for (const [name, value] of Object.entries(forbidden)) {
    if (preferences[name] === value) throw new Error(`fake electron: insecure webPreferences: ${name}`)
  }
}

export const windows: BrowserWindow[] = []
parts.windows = () => [...windows]

export class BrowserWindow extends EventEmitter {
  readonly webContents = new WebContents()
  readonly options: Options
  readonly gone: Promise<void>
  isShown: boolean
  hasFocus = false
  isSmall = false
  #isLarge = false
  readonly #page: Promise<Page>
  #setGone: () => void

  constructor(options: Options = {}) {
    super()
    refuseInsecure(options.webPreferences ?? {})
    this.options = options
    this.isShown = options.show !== false
    const { promise, resolve } = Promise.withResolvers<undefined>()
    this.gone = promise
    this.#setGone = () => resolve(undefined)
    windows.push(this)
    app.emit('web-contents-created', {}, this.webContents)
    this.#page = this.#open(options.webPreferences?.preload)
    this.#page.catch((error: unknown) => record.pageErrors.push(String(error)))
  }

  async #open(preload: string | undefined): Promise<Page> {
    const contents = this.webContents
    const page = await (await openContext()).newPage()
    contents.page = page
    await page.setViewportSize({ width: this.options.width ?? 800, height: this.options.height ?? 600 })
    page.on('pageerror', (error) => record.pageErrors.push(error.message))
    page.on('console', (message) => {
      if (message.type() === 'error') record.pageErrors.push(message.text())
    })
    page.on('popup', (popup) => {
      const { action } = contents.openHandler({ url: popup.url() })
      note('window.open', action)
      if (action === 'deny') void popup.close()
    })
    page.on('close', () => this.#closed())
    await page.route('**/*', (route) => this.#answer(route))

    const cdp = await page.context().newCDPSession(page)
    contents.cdp = cdp
    let mainFrameId: string | undefined
    cdp.on('Runtime.executionContextCreated', ({ context: created }) => {
      // Frames of their own also get a world of that name; the preload runs in the main frame only.
      const { frameId } = z.object({ frameId: z.string() }).parse(created.auxData)
      if (created.name === WORLD && frameId === mainFrameId) contents.world = created.id
    })
    cdp.on('Page.frameNavigated', ({ frame }) => {
      if (frame.parentId !== undefined) return
      mainFrameId = frame.id
      contents.emit('did-navigate', {}, fromStandIn(frame.url))
    })
    cdp.on('Runtime.bindingCalled', ({ name, payload, executionContextId }) => {
      if (name !== BINDING || executionContextId !== contents.world) return
      const { channel, args } = JSON.parse(payload) as { channel: string; args: unknown[] }
      ipcMain.emit(channel, { sender: contents, senderFrame: this.mainFrame() }, ...args)
    })
    await cdp.send('Page.enable')
    await cdp.send('Runtime.enable')
    await cdp.send('Runtime.addBinding', { name: BINDING, executionContextName: WORLD })
    await cdp.send('Page.addScriptToEvaluateOnNewDocument', { source: PAGE_WORLD })
    if (preload !== undefined) {
      const source = preloadWorld(readFileSync(preload, 'utf8'), BINDING)
      await cdp.send('Page.addScriptToEvaluateOnNewDocument', { source, worldName: WORLD })
    }
    return page
  }

  mainFrame(): Frame {
    return { url: fromStandIn(this.webContents.page?.url() ?? ''), parent: null }
  }

  /** Requests of the page: its own scheme is served by the app; navigation elsewhere has to pass the app's guards first. */
  async #answer(route: Route): Promise<void> {
    const request = route.request()
    const url = fromStandIn(request.url())
    if (request.isNavigationRequest() && this.#isStopped(url, request.frame() === this.webContents.page?.mainFrame())) {
      note('navigation prevented', url)
      // "No content" leaves the page where it is; an aborted request would show Chromium's error page.
      await route.fulfill({ status: 204 })
      return
    }
    if (!url.startsWith('app://') || !system.serve) {
      // There is no network in these tests.
      note('request to the network', url)
      await route.abort()
      return
    }
    const answer = await system.serve(new Request(url, { method: request.method() }))
    await route.fulfill({
      status: answer.status,
      headers: Object.fromEntries(answer.headers),
      body: Buffer.from(await answer.arrayBuffer()),
    })
  }
  #isStopped(url: string, isMain: boolean): boolean {
    const contents = this.webContents
    const everyFrame = preventable({ url, isMainFrame: isMain })
    contents.emit('will-frame-navigate', everyFrame)
    if (everyFrame.defaultPrevented) return true
    if (!isMain || this.#loads.delete(url)) return false
    const event = preventable({ url })
    contents.emit('will-navigate', event)
    return event.defaultPrevented
  }
  readonly #loads = new Set<string>()

  async loadURL(url: string): Promise<void> {
    const page = await this.#page
    // The app itself loads this one: no will-navigate.
    this.#loads.add(url)
    await page.goto(toStandIn(url))
    this.emit('ready-to-show')
    this.webContents.emit('did-finish-load')
  }
  #closed(): void {
    if (this.webContents.isGone) return
    this.webContents.isGone = true
    windows.splice(windows.indexOf(this), 1)
    this.emit('closed')
    this.#setGone()
    if (windows.length === 0 && !app.isQuitting) app.emit('window-all-closed')
  }
  close(): void {
    const event = preventable({})
    this.emit('close', event)
    if (!event.defaultPrevented) void this.#page.then((page) => page.close())
  }
  isDestroyed(): boolean {
    return this.webContents.isGone
  }
  show(): void {
    this.isShown = true
    this.hasFocus = true
  }
  hide(): void {
    this.isShown = false
    this.hasFocus = false
  }
  focus(): void {
    this.hasFocus = true
  }
  blur(): void {
    this.hasFocus = false
  }
  minimize(): void {
    this.isSmall = true
    this.hasFocus = false
  }
  restore(): void {
    this.isSmall = false
  }
  maximize(): void {
    this.#isLarge = true
  }
  isMaximized(): boolean {
    return this.#isLarge
  }
  isMinimized(): boolean {
    return this.isSmall
  }
  isVisible(): boolean {
    return this.isShown
  }
  isFocused(): boolean {
    return this.hasFocus
  }
  flashFrame(flag: boolean): void {
    note('flashFrame', flag)
  }
  getNormalBounds(): { x: number; y: number; width: number; height: number } {
    return { x: 100, y: 80, width: 1000, height: 700 }
  }
}
