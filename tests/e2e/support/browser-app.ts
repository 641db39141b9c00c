// The app as a person has it in a browser: the built renderer, the browser host of a home, and Chromium driven by Playwright.
// Waits for what the person sees, never for time.
import { chromium, type Browser, type BrowserContextOptions, type Locator, type Page } from 'playwright-core'
import { buildAppIfNeeded } from '../../../build/build-app.mjs'
import { launchBrowserHost, type AppHost } from '../../../client/app/launch.ts'
import { PATIENCE } from '../../support/patience.ts'

const CHROMIUM = '/usr/bin/chromium'
const ROOT = new URL('../../..', import.meta.url).pathname

/** Builds the app where its sources have changed. */
export const buildApp = (): Promise<void> => buildAppIfNeeded({ root: ROOT, node: process.execPath })

export const startChromium = (args: string[] = []): Promise<Browser> =>
  chromium.launch({
    executablePath: CHROMIUM,
    args: [...(process.getuid?.() === 0 ? ['--no-sandbox'] : []), '--disable-dev-shm-usage', ...args],
  })

export type AppPage = {
  page: Page
  /** What the page complained about: exceptions, console errors, refused loads. A test ends with none of them. */
  complaints: string[]
  close: () => Promise<void>
}

export type BrowserApp = {
  host: AppHost
  /** Opens a window of its own (a context of its own: other cookies, theme, zone) by a fresh one-time URL. */
  open: (options?: BrowserContextOptions) => Promise<AppPage>
  close: () => Promise<void>
}

/** Complaints of the browser that a lost connection brings along; the page says it in its own words. */
const EXPECTED = /WebSocket connection to .* failed|net::ERR_CONNECTION_REFUSED/

/** Starts the browser host of a home. */
export async function startBrowserApp(browser: Browser, homeDir: string): Promise<BrowserApp> {
  const host = await launchBrowserHost({ homeDir, withLauncher: true })
  const pages: AppPage[] = []
  return {
    host,
    async open(options = {}) {
      const context = await browser.newContext({
        viewport: { width: 1280, height: 800 },
        reducedMotion: 'reduce',
        ...options,
      })
      await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: host.origin })
      const page = await context.newPage()
      page.setDefaultTimeout(PATIENCE * 10_000)
      const complaints: string[] = []
      page.on('pageerror', (error) => complaints.push(`exception: ${error.message}`))
      page.on('console', (message) => {
        if (message.type() === 'error' && !EXPECTED.test(message.text())) complaints.push(`console: ${message.text()}`)
      })
      page.on('requestfailed', (request) => {
        // The launch page leaves for the app while it loads.
        if (!request.url().includes('/launch/')) complaints.push(`request: ${request.url()}`)
      })
      await page.goto(await host.freshUrl())
      await page.waitForURL((url) => !url.pathname.startsWith('/launch/'))
      const opened = { page, complaints, close: () => context.close() }
      pages.push(opened)
      return opened
    },
    async close() {
      await Promise.all(pages.map((page) => page.close().catch(() => undefined)))
      await host.close()
    },
  }
}

export const dialogOf = (page: Page): Locator => page.getByRole('dialog')

/** The login dialog. */
export const loginOf = (page: Page): Locator => page.getByRole('dialog', { name: /^Log in to / })

/** Fills in the login dialog and sends it. */
export async function logIn(page: Page, person: { name: string; password: string }): Promise<void> {
  const dialog = loginOf(page)
  const user = dialog.getByRole('textbox', { name: 'User' })
  if ((await user.inputValue()) !== person.name) await user.fill(person.name)
  await dialog.getByLabel('Password').fill(person.password)
  await dialog.getByRole('button', { name: 'Log in', exact: true }).click()
  await dialog.waitFor({ state: 'hidden' })
}
