import { chromium } from 'playwright-core'
import { buildRenderer, startFixtureHost } from '/work/app/tests/renderer/fixture-host.ts'
import { appState, respond, profile, gateway, demoGateways } from '/work/app/tests/renderer/fixture-state.ts'
import { PosternError } from '/work/app/shared/errors.ts'
const iso = (ms: number) => new Date(Date.now() + ms).toISOString()
const only = process.argv.slice(2)
const renderer = await buildRenderer('/tmp/flows/renderer')
const FP = 'sha256:9f2b6c41d07ae8535be10c94f7a2d3160e88b4c5a917f36d20cb5e4f71a8d93c'
const prompt = { requestId: 'r1', profile: 'acme-prod', user: 'alice', reason: { kind: 'connection', gateway: 'gw-orders-15432', resource: 'orders', account: 'app_rw', client: 'psql' }, waiting: 3, totp: false }
const notices = Object.fromEntries([
  { id: 'a', level: 'error', text: 'Port 13306 is taken by mysqld (pid 812), so legacy-crm is not listening. Close that program or pick another port.', profile: 'acme-prod', gateway: 'gw-legacy-crm-13306', count: 1, firstAt: iso(-6e5), lastAt: iso(-6e5), isRead: false },
  { id: 'b', level: 'warning', text: 'Nobody logged in to acme-prod in time; 2 connections of billing-replica got an error.', profile: 'acme-prod', gateway: 'gw-billing-replica-15433', count: 14, firstAt: iso(-50 * 6e4), lastAt: iso(-4 * 6e4), isRead: false },
  { id: 'c', level: 'info', text: 'Logged in to acme-prod as alice.', profile: 'acme-prod', gateway: null, count: 1, firstAt: iso(-36e5), lastAt: iso(-36e5), isRead: true },
  { id: 'd', level: 'warning', text: 'The profile file of acme-staging could not be read and was kept aside as acme-staging.json.broken.', profile: null, gateway: null, count: 1, firstAt: iso(-30 * 36e5), lastAt: iso(-30 * 36e5), isRead: true },
].map((n) => [n.id, n]))
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] })
const responder = (method: string, params: any, host: any) => {
  if (method === 'profile.add') {
    if (params.address.startsWith('un')) throw new PosternError('server_unreachable', 'un.example.com:3443 does not answer: connection refused')
    if (params.caPin) throw new PosternError('server_untrusted', 'x', { detail: { fingerprint: FP } })
    throw new PosternError('server_untrusted', 'x', { detail: { fingerprint: FP } })
  }
  if (method === 'login.submit') throw new PosternError(params.totp === undefined ? 'totp_required' : 'bad_credentials', 'wrong user name or password')
  if (method === 'diagnostics.bundle') return { id: 'diag-4f1c-92ab', file: '/home/alice/.postern/diagnostics/diag-4f1c-92ab.txt', text: 'postern 0.1.0\n'.repeat(40) }
  return respond(method, params, host)
}
const console_: string[] = []
async function shot(name: string, state: any, go: (page: any, host: any) => Promise<void>) {
  if (only.length && !only.some((o) => name.includes(o))) return
  for (const [w, h] of [[1280, 800], [900, 600]] as const) {
    const host = await startFixtureHost({ renderer, state, responder })
    for (const scheme of ['light', 'dark'] as const) {
      const page = await browser.newPage({ viewport: { width: w, height: h }, colorScheme: scheme })
      page.on('console', (m: any) => ['error', 'warning'].includes(m.type()) && console_.push(`${name}: ${m.text()}`))
      page.on('pageerror', (e: any) => console_.push(`${name}: ${e}`))
      await page.goto(host.url)
      await page.getByRole('main').waitFor()
      await page.getByText('Connecting to').waitFor({ state: 'hidden' })
      try { await go(page, host) } catch (e) { console_.push(`${name}: ${e}`) }
      await page.waitForTimeout(150)
      await page.screenshot({ path: `/tmp/flows/${name}-${scheme}-${w}.png` })
      await page.close()
    }
    await host.close()
  }
}
const open = (hash: string) => async (page: any) => { await page.evaluate((h: string) => { location.hash = h }, hash) }
await shot('first-run', appState({ profiles: {}, currentProfile: null, gateways: {} }), async () => {})
await shot('compare', appState({ profiles: {}, currentProfile: null, gateways: {} }), async (p) => { await p.getByLabel('Address of').fill('access.acme.example'); await p.keyboard.press('Enter'); await p.getByText('right server').waitFor(); await p.getByLabel('Paste').fill(FP) })
await shot('mismatch', appState(), async (p) => { await open('#/first-run')(p); await p.getByLabel('Address of').fill('access.acme.example'); await p.getByLabel('CA fing').fill(FP.replace('9f', 'a0')); await p.keyboard.press('Enter'); await p.getByRole('alert').first().waitFor() })
await shot('unreachable', appState(), async (p) => { await open('#/first-run')(p); await p.getByLabel('Address of').fill('un.example.com'); await p.keyboard.press('Enter'); await p.getByText('No answer').waitFor() })
const expired = profile('acme-prod', { state: 'expired', expiresAt: iso(-130000), remainingMs: 0 })
const loginState = () => appState({ profiles: { 'acme-prod': expired, 'acme-staging': profile('acme-staging') }, logins: { r1: { ...prompt, requestedAt: iso(0), deadlineAt: iso(48000) } as any } })
await shot('login', loginState(), async (p, host) => { await open('#/gateways')(p); host.event('login.requested', prompt); await p.getByRole('dialog').waitFor() })
await shot('login-totp', loginState(), async (p, host) => { await open('#/gateways')(p); host.event('login.requested', prompt); host.event('login.requested', { ...prompt, requestId: 'r2', profile: 'acme-staging' }); await p.getByLabel('Password').fill('x'); await p.keyboard.press('Enter'); await p.getByLabel('Code from').fill('123 456'); await p.keyboard.press('Enter'); await p.getByText('Wrong user').waitFor() })
await shot('palette', appState(), async (p) => { await p.getByText('tenant-01').waitFor(); await p.keyboard.press('Control+k'); await p.keyboard.press('ArrowDown') })
await shot('palette-search', appState(), async (p) => { await p.getByText('tenant-01').waitFor(); await p.keyboard.press('Control+k'); await p.keyboard.type('ord') })
await shot('palette-empty', appState(), async (p) => { await p.getByText('tenant-01').waitFor(); await p.keyboard.press('Control+k'); await p.keyboard.type('qqzz') })
await shot('notices', appState({ notices: notices as any }), open('#/notices'))
await shot('notices-empty', appState({ notices: {} }), open('#/notices'))
await shot('settings', appState({ settings: { ...appState().settings, portRange: { from: 15000, to: 15999 } } }), async (p) => { await open('#/settings')(p); await p.getByLabel('How long a connection').fill('10m'); })
await shot('about', appState(), async (p) => { await open('#/about')(p); await p.getByRole('button', { name: 'Make a bundle' }).click(); await p.getByText('diag-4f1c-92ab').first().waitFor(); await p.mouse.move(700,400); await p.mouse.wheel(0, 2000) })
await shot('about-top', appState(), async (p) => { await open('#/about')(p) })
await shot('menu', appState(), async (p) => { await p.getByRole('button', { name: /acme-prod/ }).first().click(); await p.getByRole('menu').waitFor() })
await browser.close()
console.log([...new Set(console_)].join('\n'))
