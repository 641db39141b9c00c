// A window on the fixture host for the tests of the flows: Chromium, the built renderer, a scripted core, axe inside the page.
// Whoever opens one closes it; everything that the page complains about is kept.
import axeCore from 'axe-core'
import type { Page } from 'playwright-core'
import type { AppState } from '../../../shared/app-state.ts'
import type { RendererUnderTest } from '../../renderer/browser.ts'
import { startFixtureHost, type FixtureHost, type Responder } from '../../renderer/fixture-host.ts'
import { profile, respond } from '../../renderer/fixture-state.ts'

export type TestWindow = AsyncDisposable & {
  page: Page
  host: FixtureHost
  /** What the console and the page's own errors said. */
  complaints: string[]
  /** Parameters of the calls of a method so far. */
  callsOf(method: string): unknown[]
  /** Resolves when the page has made that call; with its parameters. */
  called(method: string): Promise<unknown>
  go(hash: string): Promise<void>
}

type WindowOptions = {
  state: AppState
  /** Answers a call; undefined leaves it to the friendly core. */
  answer?: Responder
  theme?: 'light' | 'dark'
}

export async function openWindow(
  stage: RendererUnderTest,
  { state, answer, theme = 'light' }: WindowOptions,
): Promise<TestWindow> {
  const waiting: { method: string; resolve: (params: unknown) => void }[] = []
  const responder: Responder = (method, params, host) => {
    for (const waiter of waiting.filter((one) => one.method === method)) waiter.resolve(params)
    const answered = answer?.(method, params, host)
    if (answered !== undefined) return answered
    // A login that nobody refuses succeeds.
    if (method === 'login.submit') return profile(String(Object(params).profile))
    if (method === 'logout') return { profile: Object(params).profile }
    return respond(method, params, host)
  }
  const host = await startFixtureHost({ renderer: stage.renderer, state, responder })
  const page = await stage.browser.newPage({ viewport: { width: 1280, height: 800 }, colorScheme: theme })
  page.setDefaultTimeout(20_000)
  const complaints: string[] = []
  page.on('pageerror', (error) => complaints.push(String(error)))
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text())
  })
  // As an init script: the content security policy lets no test eval inside the page either.
  await page.addInitScript({ content: axeCore.source })
  await page.goto(host.url)
  await page.getByRole('banner').waitFor()
  await page.getByText('Connecting to Postern').waitFor({ state: 'hidden' })
  const callsOf = (method: string): unknown[] =>
    host.calls.filter((call) => call.method === method).map((call) => call.params)
  return {
    page,
    host,
    complaints,
    callsOf,
    async called(method) {
      const before = callsOf(method).at(-1)
      if (before !== undefined) return before
      return new Promise((resolve) => waiting.push({ method, resolve }))
    },
    async go(hash) {
      await page.evaluate((to) => {
        location.hash = to
      }, hash)
    },
    async [Symbol.asyncDispose]() {
      await page.close()
      await host.close()
    },
  }
}

/** What axe finds in the page as it is now: one line for each rule and element. */
export async function axeFindings(page: Page): Promise<string[]> {
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }))
  return violations.flatMap((rule) =>
    rule.nodes.map((node) => `${rule.id}: ${node.target.join(' ')} (${node.failureSummary})`),
  )
}

declare global {
  // The page's own global; a `var` because that is what a global needs.
  var axe: Pick<typeof axeCore, 'run'>
}
