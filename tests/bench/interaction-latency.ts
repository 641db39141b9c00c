// How long the app takes from a click or a key to the next paint while 20 gateways carry traffic: the real access server,
// PostgreSQL, core and browser host, in Chromium. Run by hand: `node tests/bench/interaction-latency.ts [--rounds 30]`;
// prints one JSON object with p50, p95 and max in ms. Judges nothing: figures of a busy machine are no test.
import { once } from 'node:events'
import { loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import type { Page } from 'playwright-core'
import { startCluster, keepPsql, type TestCluster } from '../support/cluster.ts'
import { until, type Kept } from '../support/run.ts'
import { buildApp, startBrowserApp, startChromium } from '../e2e/support/browser-app.ts'

const RESOURCES = 10
const ACCOUNTS = ['reader', 'writer']
/** An interaction that has not painted by then is a failure, in ms. */
const DEADLINE_MS = 10_000
/** What each client asks over and over: twice 100 kB in 1000 rows, and a pause of 50 ms between. */
const TRAFFIC =
  "select repeat('x', 100) from generate_series(1, 1000);\nselect pg_sleep(0.05);\ncopy (select repeat('y', 100) from generate_series(1, 1000)) to stdout;\n"

const documents = (postgresPort: number): string => {
  const names = Array.from({ length: RESOURCES }, (_, at) => `shop-${String(at + 1).padStart(2, '0')}`)
  const resources = names.map(
    (name) => `kind: resource
name: ${name}
protocol: postgres
description: Shop of ${name}
address: 127.0.0.1:${postgresPort}
labels: { env: bench }
tls: { mode: disable }
defaultDatabase: postgres
accounts:
  - { name: reader, password: target-reader-secret }
  - { name: writer, password: target-writer-secret }`,
  )
  const role = `kind: role\nname: bench\nallow:\n  - { resources: [${names.join(', ')}], accounts: [reader, writer], databases: [postgres] }`
  return [...resources, role, '{ kind: grant, user: alice, role: bench }'].join('\n---\n')
}

/** Sends its queries again whenever the last round came back, until it is stopped. */
function keepBusy(url: string): { client: Kept; rounds: () => number; stop: () => Promise<void> } {
  const client = keepPsql(url)
  let rounds = 0
  let isOver = false
  const ask = (): void => client.write(`${TRAFFIC}\\echo done\n`)
  client.child.stdout?.on('data', (chunk: Buffer) => {
    client.stdout = client.output = ''
    if (isOver || !chunk.includes('done\n')) return
    rounds++
    ask()
  })
  ask()
  return {
    client,
    rounds: () => rounds,
    async stop() {
      isOver = true
      client.child.stdin?.end()
      await client.stop()
    },
  }
}

/** In the page: the time from the next event of that type (its own time stamp) to the paint after its effect is there. */
const MEASURE = `window.benchNext = (type, isThere) => {
  const effect = new Function('return ' + isThere)
  window.benchResult = new Promise((resolve) => {
    addEventListener(type, (event) => {
      const startedAt = event.timeStamp
      const look = () => {
        if (!effect()) return requestAnimationFrame(look)
        // A task that runs right after this frame was painted.
        const channel = new MessageChannel()
        channel.port1.onmessage = () => resolve(performance.now() - startedAt)
        channel.port2.postMessage(null)
      }
      requestAnimationFrame(look)
    }, { once: true, capture: true })
  })
}`

/** Does something to the page and takes the time until `isThere` (an expression in the page) holds and is painted, in ms. */
async function measure(page: Page, type: string, isThere: string, act: () => Promise<void>): Promise<number> {
  await page.evaluate(`window.benchNext(${JSON.stringify(type)}, ${JSON.stringify(isThere)})`)
  await act()
  const deadline = `new Promise((_, reject) => setTimeout(() => reject(new Error('no paint: ' + ${JSON.stringify(isThere)})), ${DEADLINE_MS}))`
  return page.evaluate<number>(`Promise.race([window.benchResult, ${deadline}])`)
}

async function measureAll(page: Page, rounds: number): Promise<Record<string, number[]>> {
  const times: Record<string, number[]> = {}
  const add = (what: string, ms: number): void => void (times[what] ??= []).push(ms)
  const link = (name: string) => page.getByRole('navigation').getByRole('link', { name: new RegExp(`^${name}`) })
  const titled = (title: string): string => `document.querySelector('main h1')?.textContent?.startsWith('${title}')`
  const palette = "document.querySelector('[role=dialog] input') !== null"
  /** Clicks with the mouse where the element is, without Playwright's own waiting between. */
  const clickAt = async (locator: ReturnType<typeof link>): Promise<() => Promise<void>> => {
    const box = await locator.boundingBox()
    if (!box) throw new Error('nothing to click there')
    return () => page.mouse.click(box.x + Math.min(30, box.width / 2), box.y + box.height / 2)
  }

  for (let round = 0; round < rounds; round++) {
    add('openPalette', await measure(page, 'keydown', palette, () => page.keyboard.press('Control+k')))
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'hidden' })

    for (const [name, title] of [
      ['Settings', 'Settings'],
      ['Resources', 'Resources'],
      ['Gateways', 'Gateways'],
    ] as const) {
      const click = await clickAt(link(name))
      add('switchScreen', await measure(page, 'click', titled(title), click))
    }

    const rows = page.getByRole('main').locator('[data-row]')
    const row = rows.nth(round % 2 === 0 ? 3 : 5)
    const id = (await row.getAttribute('data-row')) ?? ''
    const selected = `document.querySelector('[data-row="${id}"]')?.getAttribute('aria-current') === 'true' && location.hash.includes(${JSON.stringify(encodeURIComponent(id))})`
    add('selectGateway', await measure(page, 'click', selected, await clickAt(row)))

    await link('Resources').click()
    const filter = page.getByRole('textbox', { name: 'Filter by name or label' })
    await filter.focus()
    let typed = ''
    for (const key of 'shop-07') {
      typed += key
      // The letter is in its field and the list shows what matches.
      const shown = `document.activeElement.value === '${typed}' && [...document.querySelectorAll('main [data-row]')].every((row) => row.textContent.toLowerCase().includes('${typed}'))`
      add('typeInFilter', await measure(page, 'keydown', shown, () => page.keyboard.press(key)))
    }
    await filter.fill('')
  }
  return times
}

function summary(times: number[]): { n: number; p50: number; p95: number; max: number } {
  const sorted = times.toSorted((a, b) => a - b)
  const at = (share: number): number => {
    const ms = sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN
    return Math.round(ms * 10) / 10
  }
  return { n: sorted.length, p50: at(0.5), p95: at(0.95), max: at(1) }
}

async function openGateways(cluster: TestCluster, home: string): Promise<string[]> {
  const urls: string[] = []
  for (let at = 1; at <= RESOURCES; at++) {
    for (const account of ACCOUNTS) {
      const resource = `shop-${String(at).padStart(2, '0')}`
      const args = ['gateway', 'open', resource, '--account', account, '--detach', '--json']
      const opened = await cluster.postern(home, args)
      if (opened.code !== 0) throw new Error(opened.stderr)
      urls.push((JSON.parse(opened.stdout) as { url: string }).url)
    }
  }
  return urls
}

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '30' } } })
await using stack = new AsyncDisposableStack()
await buildApp()
const cluster = await startCluster()
stack.defer(() => cluster.close())
await cluster.apply(documents(cluster.postgres.port))
const home = await cluster.newHome()
await cluster.login(home)
const urls = await openGateways(cluster, home)
const browser = await startChromium()
stack.defer(() => browser.close())
const app = await startBrowserApp(browser, home)
stack.defer(() => app.close())
const { page, complaints } = await app.open({ reducedMotion: 'no-preference' })
await page.getByRole('button', { name: 'Reload resources' }).waitFor()
await page.evaluate(MEASURE)

const idle = await measureAll(page, Math.ceil(Number(values.rounds) / 3))
const busy = urls.map((url) => keepBusy(url))
stack.defer(async () => {
  await Promise.all(busy.map((client) => client.stop()))
})
await until(() => busy.every((client) => client.rounds() > 0), 'every gateway carries traffic')
const roundsBefore = busy.map((client) => client.rounds())
const startedAt = performance.now()
const carrying = await measureAll(page, Number(values.rounds))
const seconds = (performance.now() - startedAt) / 1000
const rates = busy.map((client, at) => (client.rounds() - (roundsBefore[at] ?? 0)) / seconds)
const summaries = (times: Record<string, number[]>) =>
  Object.fromEntries(Object.entries(times).map(([what, ms]) => [what, summary(ms)]))
const result = {
  unit: 'ms',
  gateways: urls.length,
  load1: Math.round((loadavg()[0] ?? 0) * 10) / 10,
  traffic: {
    seconds: Math.round(seconds),
    roundsPerSecond: Math.round(rates.reduce((sum, rate) => sum + rate, 0) * 10) / 10,
    slowestGatewayRoundsPerSecond: Math.round(Math.min(...rates) * 100) / 100,
  },
  idle: summaries(idle),
  carrying: summaries(carrying),
  complaints,
}
if (!process.stdout.write(`${JSON.stringify(result, null, 2)}\n`)) await once(process.stdout, 'drain')
