// D2: every screen, in light and dark, wide and narrow: axe-core finds nothing, nothing is wider than the window, and a picture
// of each is taken (POSTERN_PICTURES names the folder; otherwise they go with the test's own).
import { readFile } from 'node:fs/promises'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startCluster, type TestCluster } from '../support/cluster.ts'
import { buildApp, startBrowserApp, startChromium, type AppPage, type BrowserApp } from './support/browser-app.ts'
import { MANY_RESOURCES, SCREENS, type Stage } from './support/screens.ts'

const LOOKS = [
  { colorScheme: 'light', viewport: { width: 1280, height: 800 } },
  { colorScheme: 'light', viewport: { width: 900, height: 600 } },
  { colorScheme: 'dark', viewport: { width: 1280, height: 800 } },
  { colorScheme: 'dark', viewport: { width: 900, height: 600 } },
] as const

let cluster: TestCluster
let browser: Browser
let axe = ''
let pictures = ''
beforeAll(async () => {
  axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
  const wanted = process.env['POSTERN_PICTURES']
  pictures = wanted ?? (await mkdtemp(join(tmpdir(), 'postern-pictures-')))
  await mkdir(pictures, { recursive: true })
  await buildApp()
  ;[cluster, browser] = await Promise.all([startCluster(), startChromium()])
  await cluster.apply(MANY_RESOURCES(cluster.postgres.port))
})
afterAll(async () => {
  await browser.close()
  await cluster.close()
  if (process.env['POSTERN_PICTURES'] === undefined) await rm(pictures, { recursive: true, force: true })
})

type Finding = { id: string; help: string; nodes: { html: string; failureSummary?: string }[] }

/** What axe-core finds on the page as it is now. The page's policy allows no script of ours: it is run from outside. */
async function findingsOf(page: Page, isMenu = false): Promise<string[]> {
  await page.evaluate(axe)
  const options = { resultTypes: ['violations'], rules: { region: { enabled: !isMenu } } }
  const result = await page.evaluate<{ violations: Finding[] }>(`axe.run(document, ${JSON.stringify(options)})`)
  return result.violations.flatMap(({ id, help, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${help}\n  ${html}\n  ${failureSummary ?? ''}`),
  )
}

/** Nothing is scrolled away in a window of this height. */
const TALL = 2000

const isTooWide = (page: Page): Promise<boolean> =>
  page.evaluate<boolean>('document.documentElement.scrollWidth > document.documentElement.clientWidth')

describe.each(LOOKS)('the app, $colorScheme at $viewport.width × $viewport.height', ({ colorScheme, viewport }) => {
  let app: BrowserApp
  let opened: AppPage
  let stage: Stage
  beforeAll(async () => {
    const home = await cluster.newHome()
    app = await startBrowserApp(browser, home)
    opened = await app.open({ colorScheme, viewport })
    stage = { cluster, home, page: opened.page, kept: [], url: '' }
  })
  afterAll(async () => {
    await Promise.all(stage.kept.map((child) => child.stop('SIGKILL')))
    await app.close()
  })

  it.each(SCREENS)('D2: $name', async ({ name, show, isMenu }) => {
    const { page } = stage
    try {
      await show(stage)
    } catch (cause) {
      throw new Error(`${name} did not come up; the page complained: ${opened.complaints.join('; ')}`, { cause })
    } finally {
      const file = `${name}-${colorScheme}-${viewport.width}.png`
      await page.screenshot({ path: join(pictures, file), animations: 'disabled' })
    }
    expect(await isTooWide(page)).toBe(false)
    // As high as it takes: a label that is scrolled out of sight counts as none.
    await page.setViewportSize({ ...viewport, height: TALL })
    expect(await findingsOf(page, isMenu)).toEqual([])
    await page.setViewportSize(viewport)
    expect(opened.complaints.join()).toBe('')
  })
})
