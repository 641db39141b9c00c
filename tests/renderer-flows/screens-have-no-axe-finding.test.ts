// Every screen and dialog of the flows, in both themes, under axe.
import { afterAll, beforeAll, expect, it } from 'vitest'
import { PosternError } from '../../shared/errors.ts'
import type { AppState } from '../../shared/app-state.ts'
import { openRenderer, type RendererUnderTest } from '../renderer/browser.ts'
import { appState, profile } from '../renderer/fixture-state.ts'
import type { Responder } from '../renderer/fixture-host.ts'
import { axeFindings, openWindow, type TestWindow } from './support/window.ts'

let stage: RendererUnderTest
beforeAll(async () => {
  stage = await openRenderer()
})
afterAll(() => stage.close())

const FINGERPRINT = `sha256:${'5f0c9a31'.repeat(8)}`
const untrusted: Responder = (method) => {
  if (method === 'profile.add')
    throw new PosternError('server_untrusted', 'no', { detail: { fingerprint: FINGERPRINT } })
  if (method === 'login.submit') throw new PosternError('totp_required', 'a code, please')
  return undefined
}
const PROMPT = {
  requestId: 'r1',
  profile: 'acme-prod',
  user: 'alice',
  reason: { kind: 'connection', gateway: 'g', resource: 'orders', account: 'app_rw', client: 'psql' },
  waiting: 3,
  totp: false,
}

type Scene = { name: string; state?: AppState; enter: (window: TestWindow) => Promise<void> }
const nothing = appState({ profiles: {}, currentProfile: null, notices: {} }, [])
const SCENES: Scene[] = [
  { name: 'first run', state: nothing, enter: ({ page }) => page.getByLabel('Address').waitFor() },
  {
    name: 'comparing fingerprints',
    state: nothing,
    async enter({ page }) {
      await page.getByLabel('Address').fill('access.acme.example')
      await page.keyboard.press('Enter')
      await page.getByLabel('Paste it here').fill('aa')
      await page.getByText('Not the same').waitFor()
    },
  },
  {
    name: 'login',
    state: appState({ profiles: { 'acme-prod': profile('acme-prod', { state: 'expired', remainingMs: 0 }) } }),
    async enter({ page, host }) {
      host.event('login.requested', PROMPT)
      await page.getByLabel('Password').fill('x')
      await page.keyboard.press('Enter')
      await page.getByText('Your account also needs a code').waitFor()
    },
  },
  {
    name: 'palette',
    async enter({ page }) {
      await page.keyboard.press('Control+k')
      await page.getByRole('option').first().waitFor()
    },
  },
  {
    name: 'palette without a match',
    async enter({ page }) {
      await page.keyboard.press('Control+k')
      await page.keyboard.type('qqzzqq')
      await page.getByText('Nothing is called').waitFor()
    },
  },
  { name: 'notices', enter: (window) => window.go('#/notices') },
  { name: 'no notices', state: appState({ notices: {} }), enter: (window) => window.go('#/notices') },
  {
    name: 'settings',
    state: appState({ settings: { ...appState().settings, portRange: { from: 15_000, to: 15_999 } } }),
    async enter(window) {
      await window.go('#/settings')
      await window.page.getByRole('textbox', { name: 'How long a connection waits' }).fill('never')
    },
  },
  {
    name: 'about',
    async enter(window) {
      await window.go('#/about')
      await window.page.getByRole('button', { name: 'Make a bundle' }).click()
      await window.page.getByText('diag-4f1c', { exact: true }).waitFor()
    },
  },
  {
    name: 'the menu of a cluster',
    async enter({ page }) {
      await page
        .getByRole('navigation')
        .getByRole('button', { name: /acme-prod/ })
        .click()
      await page.getByRole('menu').waitFor()
    },
  },
]

for (const theme of ['light', 'dark'] as const) {
  it.each(SCENES)(`D2: $name has no axe finding (${theme})`, async ({ state = appState(), enter }) => {
    await using window = await openWindow(stage, { state, answer: untrusted, theme })
    await enter(window)
    expect(await axeFindings(window.page)).toEqual([])
    expect(window.complaints).toEqual([])
  })
}
