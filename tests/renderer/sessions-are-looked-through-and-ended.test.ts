// The page of sessions on a scripted core: the list lives, is filtered and walked by keyboard, what a session ran is searched, ending
// one is asked for first, and what cannot be asked for just now says so and shows what it had.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Page } from 'playwright-core'
import { PosternError } from '../../shared/errors.ts'
import type { SessionView } from '../../shared/session-api.ts'
import { findAxeViolations, openPage, openRenderer, type RendererUnderTest } from './browser.ts'
import { startFixtureHost, type FixtureHost, type Responder } from './fixture-host.ts'
import { demoSessions, endedSession, newestWatch, respondSessions, session, tellSessions } from './fixture-sessions.ts'
import { appState, gateway, profile, respond } from './fixture-state.ts'

let under: RendererUnderTest
beforeAll(async () => {
  under = await openRenderer()
})
afterAll(() => under.close())

type Stage = { page: Page; host: FixtureHost; complaints: string[]; close: () => Promise<void> }

async function open(
  sessions: () => readonly SessionView[],
  {
    state = appState(),
    answer,
    hash = '#/sessions',
  }: { state?: ReturnType<typeof appState>; answer?: Responder; hash?: string } = {},
): Promise<Stage> {
  const ofSessions = respondSessions(sessions)
  const host = await startFixtureHost({
    renderer: under.renderer,
    state,
    responder: (method, params, self) =>
      answer?.(method, params, self) ?? ofSessions(method, params, self) ?? respond(method, params, self),
  })
  const { page, complaints } = await openPage(under.browser, `${host.url}${hash}`)
  page.setDefaultTimeout(20_000)
  return {
    page,
    host,
    complaints,
    async close() {
      await page.close()
      await host.close()
    },
  }
}

const list = (page: Page) => page.getByRole('list', { name: 'Sessions' })
const panel = (page: Page) => page.locator('#session-page')
const callsOf = (host: FixtureHost, method: string) =>
  host.calls.filter((call) => call.method === method).map((call) => Object(call.params) as Record<string, unknown>)

describe('the page of sessions', () => {
  it('D2: mine, then everyone’s; filtered by words; the first is shown and stays when others come', async () => {
    const { page, host, complaints, close } = await open(demoSessions)
    await list(page).getByText('billing-replica').waitFor()
    expect(await list(page).getByText('build-cache').count()).toBe(0)
    await panel(page).getByRole('heading', { name: 'orders as app_rw' }).waitFor()
    await page.getByText('Everyone’s').click()
    await list(page).getByText('build-cache').waitFor()
    expect(callsOf(host, 'sessions.watch').at(-1)).toMatchObject({ scope: 'all', state: 'live' })
    const watch = newestWatch(host)
    tellSessions(host, { watch, sessions: [session(-1, { resource: 'brand-new' })] })
    await list(page).getByText('brand-new').waitFor()
    await panel(page).getByRole('heading', { name: 'orders as app_rw' }).waitFor()
    await page.getByRole('textbox', { name: 'Filter sessions' }).fill('bob tcp')
    await page.getByText('1 of 8').waitFor()
    expect(await findAxeViolations(page)).toEqual([])
    await page.getByRole('textbox', { name: 'Filter sessions' }).fill('nobody')
    await page.getByText('No session matches').waitFor()
    await page.getByRole('button', { name: 'Clear filter' }).last().click()
    await list(page).getByText('brand-new').waitFor()
    expect(complaints).toEqual([])
    await close()
  })

  it('I3: one whose core does not answer is inactive, since when, and what becomes of it; then it is live again', async () => {
    const { page, host, complaints, close } = await open(() => [session(0)])
    await panel(page).getByText('Live', { exact: true }).waitFor()
    const inactiveSince = new Date(Date.now() - 3 * 60_000).toISOString()
    const watch = newestWatch(host)
    tellSessions(host, { watch, sessions: [session(0, { inactiveSince })] })
    await list(page)
      .getByText(/^inactive 3\s?m/)
      .waitFor()
    await panel(page).getByText('Inactive', { exact: true }).waitFor()
    await panel(page)
      .getByText(/^Inactive since/)
      .waitFor()
    expect(await findAxeViolations(page)).toEqual([])
    tellSessions(host, { watch, sessions: [session(0)] })
    await panel(page).getByText('Live', { exact: true }).waitFor()
    expect(
      await panel(page)
        .getByText(/^Inactive/)
        .count(),
    ).toBe(0)
    expect(complaints).toEqual([])
    await close()
  })

  it('S1: ending one is asked for with what will happen, and its page says why it ended', async () => {
    let sessions = demoSessions()
    const { page, host, close } = await open(() => sessions)
    await page.getByRole('button', { name: 'End session' }).focus()
    await page.keyboard.press('Enter')
    const dialog = page.getByRole('dialog', { name: 'End this session?' })
    await dialog.getByText(/3 connections to orders as app_rw are cut at once/).waitFor()
    expect(await findAxeViolations(page)).toEqual([])
    await page.keyboard.press('Escape')
    await dialog.waitFor({ state: 'hidden' })
    expect(callsOf(host, 'sessions.end')).toEqual([])
    await page.getByRole('button', { name: 'End session' }).click()
    await dialog.getByRole('button', { name: 'End session' }).click()
    await page.getByText('The session has ended.').waitFor()
    const { id } = sessions[0]!
    expect(callsOf(host, 'sessions.end')).toEqual([{ profile: 'acme-prod', session: id }])
    sessions = [endedSession(0, 'cancelled', 'alice'), ...sessions.slice(1)]
    tellSessions(host, { watch: newestWatch(host), sessions: [sessions[0]!] })
    await panel(page).getByText('You ended it.').waitFor()
    expect(await page.getByRole('button', { name: 'End session' }).count()).toBe(0)
    // It leaves the list after a while; its page stays, watched on its own.
    tellSessions(host, { watch: newestWatch(host), removed: [id] })
    await list(page).getByText('orders', { exact: true }).waitFor({ state: 'hidden' })
    await panel(page).getByText('You ended it.').waitFor()
    await expect.poll(() => callsOf(host, 'sessions.watch').at(-1)).toMatchObject({ session: id })
    await close()
  })

  it('S8: a logout is told as one, not as access that somebody took away', async () => {
    const sessions = [
      endedSession(0, 'revoked', 'alice'),
      endedSession(1, 'revoked', 'root', { resource: 'hr', account: 'hr_ro' }),
      endedSession(2, 'revoked', 'bob', { user: 'bob', resource: 'analytics', account: 'etl' }),
    ]
    const { page, close } = await open(() => sessions)
    await panel(page).getByText('You logged out, or gave up access to it.').waitFor()
    await list(page).getByText('gave up access', { exact: true }).first().waitFor()
    await list(page).getByText('access revoked by root').click()
    await panel(page).getByText('root took away access to it.').waitFor()
    await page.getByText('Everyone’s').click()
    await list(page).getByText('analytics').click()
    await panel(page).getByText('bob logged out, or gave up access to it.').waitFor()
    await close()
  })

  it('S7, I2: a limit that ended one is named, with whose it is', async () => {
    const idle = 'nothing has moved on it for 15m, the longest idle time, set by the role readers (idleTimeout)'
    const grant = 'the grant that allowed it has run out'
    const sessions = [
      endedSession(0, 'idle', null, { endWhy: idle }),
      endedSession(1, 'expired', null, { resource: 'hr', account: 'hr_ro', endWhy: grant }),
      endedSession(2, 'expired', null, { resource: 'stock' }),
    ]
    const { page, close } = await open(() => sessions)
    await panel(page)
      .getByText('Nothing has moved on it for 15m, the longest idle time, set by the role readers (idleTimeout).')
      .waitFor()
    await list(page).getByText('hr', { exact: true }).click()
    await panel(page).getByText('The grant that allowed it has run out.').waitFor()
    // As an older server says it.
    await list(page).getByText('stock').click()
    await panel(page).getByText('Its time was up.').waitFor()
    await close()
  })

  it('W1: who has no level sees their own only; viewers and editors cannot end others’', async () => {
    const alone = appState({ profiles: { 'acme-prod': profile('acme-prod', { level: 'none' }) } })
    const none = await open(demoSessions, { state: alone })
    await list(none.page).getByText('billing-replica').waitFor()
    expect(await none.page.getByText('Everyone’s').count()).toBe(0)
    await none.close()

    const { page, close } = await open(demoSessions)
    await page.getByText('Everyone’s').click()
    await list(page)
      .getByRole('button', { name: /build-cache/ })
      .click()
    await panel(page).getByText('Only administrators end the sessions of others.').waitFor()
    expect(await page.getByRole('button', { name: 'End session' }).count()).toBe(0)
    await panel(page).getByText('is passed on as it is, and not read').waitFor()
    await close()
  })

  it('R5: what it ran, newest first: text, outcome, duration; long ones whole on demand; searched at the server', async () => {
    const { page, host, close } = await open(demoSessions)
    const rows = page.getByRole('list', { name: 'Statements' }).getByRole('listitem')
    await rows.first().getByText('50 rows').waitFor()
    await rows.nth(2).getByText('error 42501 (insufficient privilege)').waitFor()
    await rows.nth(2).getByText('0.4 ms').waitFor()
    expect(await rows.nth(3).textContent()).not.toContain('limit 100')
    await page.getByRole('button', { name: 'Show all of it' }).click()
    await rows.nth(3).getByText('limit 100').waitFor()
    await page.getByRole('textbox', { name: 'Search in statements' }).fill('ARCHIVE')
    await page.locator('mark', { hasText: 'archive' }).waitFor()
    expect(await rows.count()).toBe(1)
    expect(callsOf(host, 'sessions.statements').at(-1)).toMatchObject({ search: 'ARCHIVE' })
    await page.keyboard.press('Escape')
    await rows.nth(4).waitFor()
    await page.getByRole('textbox', { name: 'Search in statements' }).fill('nowhere')
    await page.getByText('No statement has that in its text.').waitFor()
    // New ones come by themselves while it lives.
    await page.keyboard.press('Escape')
    const before = callsOf(host, 'sessions.statements').length
    tellSessions(host, { watch: newestWatch(host), sessions: [session(0, { statements: 43 })] })
    await expect.poll(() => callsOf(host, 'sessions.statements').length).toBeGreaterThan(before)
    await close()
  })

  it('D2: empty, failed, offline, logged out: each says what to do, and what was shown stays', async () => {
    const empty = await open(() => [])
    await empty.page.getByText('No live session').waitFor()
    await empty.page.getByRole('button', { name: 'Show ended ones' }).click()
    await empty.page.getByText('No ended session').waitFor()
    await empty.close()

    const failing = await open(() => [], {
      answer: (method) => {
        if (method === 'sessions.watch') throw new PosternError('forbidden', 'seeing it needs the level viewer')
        return undefined
      },
    })
    await failing.page.getByText('The sessions could not be loaded').waitFor()
    await failing.page.getByText('seeing it needs the level viewer').waitFor()
    await failing.close()

    // What fails at the server is asked for again by itself, and says so.
    const away = await open(() => [])
    await away.page.getByText('No live session').waitFor()
    tellSessions(away.host, {
      ...{ watch: newestWatch(away.host), status: 'failed' },
      error: { code: 'server_unreachable', text: 'the access server cannot be reached' },
    })
    await away.page.getByText('The access server cannot be reached. It is tried again by itself.').waitFor()
    await away.close()

    const { page, host, close } = await open(demoSessions)
    await list(page).getByText('billing-replica').waitFor()
    const failed = {
      status: 'failed' as const,
      error: { code: 'server_unreachable', text: 'acme-prod cannot be reached' },
    }
    tellSessions(host, { watch: newestWatch(host), ...failed })
    await page.getByText(/cannot be reached\. This is how it was at/).waitFor()
    await list(page).getByText('billing-replica').waitFor()
    expect(await findAxeViolations(page)).toEqual([])
    tellSessions(host, { watch: newestWatch(host), sessions: [] })
    await page.getByText(/This is how it was at/).waitFor({ state: 'hidden' })
    host.patch([{ path: ['profiles', 'acme-prod'], value: profile('acme-prod', { state: 'signed out', user: null }) }])
    await page.getByText('Log in to see your sessions').waitFor()
    expect(await list(page).count()).toBe(0)
    await close()
  })

  it('D2: it is watched while it is looked at, and no longer; after a lost connection it is watched anew', async () => {
    const { page, host, close } = await open(demoSessions)
    await list(page).getByText('billing-replica').waitFor()
    const watch = newestWatch(host)
    await page.getByRole('link', { name: /^Notices/ }).click()
    await expect.poll(() => callsOf(host, 'sessions.unwatch')).toContainEqual({ watch })
    await page.getByRole('link', { name: /^Sessions/ }).click()
    await list(page).getByText('billing-replica').waitFor()
    const before = callsOf(host, 'sessions.watch').length
    host.drop()
    await expect.poll(() => callsOf(host, 'sessions.watch').length).toBeGreaterThan(before)
    await list(page).getByText('billing-replica').waitFor()
    await close()
  })

  it('G16: the page of a gateway leads to its session; the palette leads to everyone’s', async () => {
    const one = gateway('orders', 15432, 'listening', { connections: 1 })
    const { page, close } = await open(demoSessions, { state: appState({}, [one]), hash: '#/gateways' })
    await page.getByRole('button', { name: 'Show session' }).click()
    await page.getByRole('button', { name: 'Only orders as app_rw: show all again' }).waitFor()
    await expect.poll(() => list(page).getByRole('listitem').count()).toBe(1)
    await page.getByRole('button', { name: 'Only orders as app_rw: show all again' }).click()
    await list(page).getByText('billing-replica').waitFor()
    await page.keyboard.press('Control+k')
    await page.keyboard.type('sessions of every')
    await page.keyboard.press('Enter')
    await list(page).getByText('build-cache').waitFor()
    await close()
  })

  it('D2: in a narrow window the page stands under the list, and nothing is squeezed', async () => {
    const { page, complaints, close } = await open(demoSessions)
    await page.setViewportSize({ width: 640, height: 800 })
    const boxOf = async (found: ReturnType<Page['locator']>) =>
      (await found.boundingBox()) ?? { x: 0, y: 0, width: 0, height: 0 }
    await expect.poll(async () => (await boxOf(panel(page))).width).toBeGreaterThan(400)
    const [above, below] = [await boxOf(list(page)), await boxOf(panel(page))]
    expect(above.y + above.height).toBeLessThanOrEqual(below.y + 1)
    expect((await boxOf(page.getByRole('heading', { name: 'orders as app_rw' }))).height).toBeLessThan(40)
    expect(await findAxeViolations(page)).toEqual([])
    expect(complaints).toEqual([])
    await close()
  })

  it('D2: 2,000 sessions keep a few rows in the page and are walked by keyboard; more are asked for', async () => {
    const many = Array.from({ length: 2000 }, (_, index) => session(index, { account: `a${index}` }))
    const { page, host, complaints, close } = await open(() => many)
    const rows = list(page).getByRole('listitem')
    await page.getByText('2000 sessions').waitFor()
    expect(await rows.count()).toBeLessThan(40)
    await list(page).getByRole('button', { name: /a0\b/ }).focus()
    await page.keyboard.press('End')
    await list(page)
      .getByRole('button', { name: /a1999\b/ })
      .and(page.locator(':focus'))
      .waitFor()
    await panel(page).getByRole('heading', { name: 'orders as a1999' }).waitFor()
    expect(await rows.count()).toBeLessThan(40)
    tellSessions(host, { watch: newestWatch(host), hasMore: true })
    await page.getByRole('button', { name: 'Show more' }).click()
    await expect.poll(() => callsOf(host, 'sessions.watch').at(-1)).toMatchObject({ limit: 800 })
    expect(complaints).toEqual([])
    await close()
  })
})
