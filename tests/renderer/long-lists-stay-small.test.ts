// 1,000 resources and 100 gateways: only what is visible is in the page, whatever one does with the lists.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openPage, openRenderer, type RendererUnderTest } from './browser.ts'
import { startFixtureHost, type FixtureHost } from './fixture-host.ts'
import { appState, gateway, resource, respond } from './fixture-state.ts'

/** Visible rows at 800 px, twice the overscan, and some air. */
const MOST_ROWS = 40

let under: RendererUnderTest
let host: FixtureHost

beforeAll(async () => {
  under = await openRenderer()
  const gateways = Array.from({ length: 100 }, (_, index) =>
    gateway(`gateway-${String(index).padStart(3, '0')}`, 20_000 + index, 'listening'),
  )
  const resources = Array.from({ length: 1000 }, (_, index) => resource(`database-${String(index).padStart(4, '0')}`))
  host = await startFixtureHost({
    renderer: under.renderer,
    state: appState({}, gateways),
    responder: (method, params, self) =>
      method === 'resource.list' ? { profile: 'acme-prod', resources } : respond(method, params, self),
  })
})

afterAll(async () => {
  await host.close()
  await under.close()
})

describe('long lists', () => {
  it('D2: 1,000 resources are searched and walked through by keyboard with a few rows in the page', async () => {
    const { page, complaints } = await openPage(under.browser, host.url)
    const rows = page.getByRole('list', { name: 'Resources' }).getByRole('listitem')
    await page.getByText('1000 resources').waitFor()
    expect(await rows.count()).toBeLessThan(MOST_ROWS)
    await page.getByRole('button', { name: /^database-0000/ }).focus()
    await page.keyboard.press('End')
    await page
      .getByRole('button', { name: /^database-0999/ })
      .and(page.locator(':focus'))
      .waitFor()
    expect(await rows.count()).toBeLessThan(MOST_ROWS)
    await page.keyboard.press('ArrowUp')
    await page
      .getByRole('button', { name: /^database-0998/ })
      .and(page.locator(':focus'))
      .waitFor()
    await page.keyboard.press('Home')
    await page
      .getByRole('button', { name: /^database-0000/ })
      .and(page.locator(':focus'))
      .waitFor()
    await page.getByPlaceholder('Filter by name or label').fill('0777')
    await page.getByText('1 of 1000').waitFor()
    expect(await rows.count()).toBe(1)
    expect(complaints).toEqual([])
    await page.close()
  })

  it('D2: 100 gateways that all carry traffic keep a few rows in the page, and it still answers', async () => {
    const { page, complaints } = await openPage(under.browser, `${host.url}#/gateways`)
    const rows = page.getByRole('list', { name: 'Open gateways' }).getByRole('listitem')
    await rows.first().waitFor()
    for (let round = 0; round < 20; round += 1) {
      host.patch(
        Object.values(host.state.gateways).map((view) => ({
          path: ['gateways', view.id],
          value: { ...view, rateOut: 1000 * (round + 1), bytesOut: view.bytesOut + 1000 },
        })),
      )
    }
    await rows.first().getByText('20.0 kB/s').waitFor()
    expect(await rows.count()).toBeLessThan(MOST_ROWS)
    await page.getByPlaceholder('Filter gateways').fill(':20077')
    await page.getByRole('heading', { name: /127\.0\.0\.1:20077/ }).waitFor()
    expect(await rows.count()).toBe(1)
    await page.getByRole('button', { name: 'Clear filter' }).click()
    await rows.nth(1).waitFor()
    expect(complaints).toEqual([])
    await page.close()
  })
})
