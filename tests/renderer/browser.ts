// Chromium for the renderer's tests: one browser and one build a file, a page that collects what the console complains about.
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium, type Browser, type Page } from 'playwright-core'
import { buildRenderer } from './fixture-host.ts'

export type RendererUnderTest = {
  browser: Browser
  /** The folder of the built renderer. */
  renderer: string
  close(): Promise<void>
}

export async function openRenderer(): Promise<RendererUnderTest> {
  const directory = await mkdtemp(join(tmpdir(), 'postern-renderer-'))
  const renderer = await buildRenderer(join(directory, 'renderer'))
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] })
  return {
    browser,
    renderer,
    async close() {
      await browser.close()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** A page at `url`; `complaints` gets console errors and warnings, violations of the policy and uncaught errors. */
export async function openPage(
  browser: Browser,
  url: string,
  { width = 1280, height = 800, scheme = 'light' }: { width?: number; height?: number; scheme?: 'light' | 'dark' } = {},
): Promise<{ page: Page; complaints: string[] }> {
  const page = await browser.newPage({ viewport: { width, height }, colorScheme: scheme })
  const complaints: string[] = []
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text())
  })
  page.on('pageerror', (error) => complaints.push(error.message))
  await page.goto(url)
  await page.getByRole('navigation').waitFor()
  return { page, complaints }
}

const axeSource = readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** What axe-core finds on the page, as `rule: element` lines. */
export async function findAxeViolations(page: Page): Promise<string[]> {
  await page.evaluate(await axeSource)
  const found = await page.evaluate(`axe.run(document, { resultTypes: ['violations'] }).then((result) =>
    result.violations.flatMap((violation) => violation.nodes.map((node) => violation.id + ': ' + node.html.slice(0, 160))))`)
  if (!Array.isArray(found)) throw new Error('axe-core did not run')
  return found.map(String)
}
