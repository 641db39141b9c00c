// How long it takes from a psql that connects until another person sees its session, and from its end until they see that: in the
// terminal (`postern sessions watch --all --json`) and in the app's page (Chromium). Real processes: PostgreSQL, access server, two
// cores, gateway, psql, watch, browser host. Run by hand: `node tests/bench/how-soon-others-see-a-session.ts [--rounds 20] [--no-page]`;
// prints one JSON object with p50, p95 and max in ms. Judges nothing.
import { parseArgs } from 'node:util'
import { setTimeout as delay } from 'node:timers/promises'
import type { Page } from 'playwright-core'
import { connectToCore } from '../../client/connect.ts'
import { startBrowserApp, startChromium, buildApp } from '../e2e/support/browser-app.ts'
import { ADMIN, keepPsql, startCluster } from '../support/cluster.ts'
import { percentile } from '../support/interface-probe.ts'
import { until, type Kept } from '../support/run.ts'

/** News of the server come at most once a second (server/control/hub.ts); a round waits so that its own come at once. In ms. */
const PAUSE_MS = 1200
const DEADLINE_MS = 30_000

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '20' }, 'no-page': { type: 'boolean', default: false } },
})
const rounds = Number(values.rounds)

/** When something was first seen, by Date.now() of this machine: the page's clock is the same. */
type Seen = { began: Map<string, number>; ended: Map<string, number> }

/** Notes when the watch prints each session, and its end. */
function readWatch(watch: Kept): Seen {
  const seen: Seen = { began: new Map(), ended: new Map() }
  let rest = ''
  watch.child.stdout?.on('data', (chunk: Buffer) => {
    const at = Date.now()
    const lines = (rest + chunk.toString()).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      const { session } = JSON.parse(line) as { session?: { id: string; state: string } }
      const map = session?.state === 'ended' ? seen.ended : seen.began
      if (session && !map.has(session.id)) map.set(session.id, at)
    }
  })
  return seen
}

/** In the page: when the list first has so many rows, and so many that are over. */
const OBSERVE = `(() => {
  window.seenRows = { began: [], ended: [] }
  const look = () => {
    const rows = [...document.querySelectorAll('[aria-label="Sessions"] li')]
    const ended = rows.filter((row) => /cancelled/.test(row.textContent))
    while (window.seenRows.began.length < rows.length) window.seenRows.began.push(Date.now())
    while (window.seenRows.ended.length < ended.length) window.seenRows.ended.push(Date.now())
  }
  new MutationObserver(look).observe(document.body, { childList: true, subtree: true, characterData: true })
})()`
type Rows = { began: number[]; ended: number[] }
const rowsOf = (page: Page): Promise<Rows> => page.evaluate('window.seenRows')

async function measure(): Promise<Record<string, number[]>> {
  const found: Record<string, number[]> = {}
  const add = (name: string, ms: number): void => void (found[name] ??= []).push(ms)
  await using resources = new AsyncDisposableStack()
  const cluster = await startCluster()
  resources.defer(() => cluster.close())
  const [home, root] = [await cluster.newHome(), await cluster.newHome()]
  await cluster.login(home)
  await cluster.login(root, ADMIN)
  const gateway = await cluster.open(home, 'orders')
  const core = await connectToCore({ home, kind: 'terminal', canAsk: false, appVersion: 'bench', start: false })
  resources.defer(() => core.close())
  const watch = cluster.keep(root, ['sessions', 'watch', '--all', '--json'])
  await watch.waitFor(/"event":"listed"/, { timeoutMs: DEADLINE_MS })
  const seen = readWatch(watch)

  let page: Page | undefined
  if (!values['no-page']) {
    await buildApp()
    const browser = await startChromium()
    resources.defer(() => browser.close())
    const app = await startBrowserApp(browser, root)
    resources.defer(() => app.close())
    // Tall enough for a row of each round.
    ;({ page } = await app.open({ viewport: { width: 1280, height: 200 + 56 * (rounds + 2) } }))
    await page.getByRole('link', { name: /^Sessions/ }).click()
    await page.getByText('Everyone’s').click()
    await page.evaluate(OBSERVE)
  }

  for (let round = 1; round <= rounds; round++) {
    // Connected elsewhere first: what is measured begins with its connecting, not with the start of its process.
    const direct = `postgresql://reader:target-reader-secret@127.0.0.1:${cluster.postgres.port}/postgres?sslmode=disable`
    const client = keepPsql(direct)
    client.write("select 're' || 'ady';\n")
    await client.waitFor(/ready/, { timeoutMs: DEADLINE_MS })
    await delay(PAUSE_MS)

    const connectsAt = Date.now()
    client.write(`\\connect "${gateway.url}"\nselect 'con' || 'nected';\n`)
    client.child.stdout?.once('data', () => add('psql is connected', Date.now() - connectsAt))
    await until(() => Promise.resolve(seen.began.size >= round), 'the watch shows it', DEADLINE_MS)
    const id = [...seen.began.keys()].at(-1) ?? ''
    add('begun, in the terminal', (seen.began.get(id) ?? 0) - connectsAt)
    if (page) {
      const shown = page
      await until(async () => (await rowsOf(shown)).began.length >= round, 'the page shows it', DEADLINE_MS)
      add('begun, in the page', ((await rowsOf(shown)).began[round - 1] ?? 0) - connectsAt)
    }
    await delay(PAUSE_MS)

    const endsAt = Date.now()
    await core.call('sessions.end', { session: id })
    add('the end is acknowledged', Date.now() - endsAt)
    await until(() => Promise.resolve(seen.ended.has(id)), 'the watch shows its end', DEADLINE_MS)
    add('ended, in the terminal', (seen.ended.get(id) ?? 0) - endsAt)
    if (page) {
      const shown = page
      await until(async () => (await rowsOf(shown)).ended.length >= round, 'the page shows its end', DEADLINE_MS)
      add('ended, in the page', ((await rowsOf(shown)).ended[round - 1] ?? 0) - endsAt)
    }
    await client.stop('SIGKILL')
  }
  return found
}

const found = await measure()
const figures = Object.entries(found).map(([name, times]) => [
  name,
  { p50: percentile(times, 0.5), p95: percentile(times, 0.95), max: percentile(times, 1) },
])
console.log(JSON.stringify({ rounds, ...Object.fromEntries(figures) }, null, 2))
