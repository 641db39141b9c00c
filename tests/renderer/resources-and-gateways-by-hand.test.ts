// The two places people live in, used as a person would: open, copy, test, change, close; by keyboard; every state named by
// a word; nothing that axe-core or the content security policy complains about, in both themes and sizes.
import { afterAll, beforeAll, beforeEach, afterEach, describe, expect, it } from 'vitest'
import { findAxeViolations, openPage, openRenderer, type RendererUnderTest } from './browser.ts'
import { startFixtureHost, type FixtureHost } from './fixture-host.ts'
import { appState, profile, respond } from './fixture-state.ts'
import { PosternError } from '../../shared/errors.ts'

let under: RendererUnderTest
let host: FixtureHost

beforeAll(async () => {
  under = await openRenderer()
})
afterAll(async () => {
  await under.close()
})
beforeEach(async () => {
  host = await startFixtureHost({ renderer: under.renderer, state: appState() })
})
afterEach(async () => {
  await host.close()
})

const lastCall = (method: string) => host.calls.findLast((call) => call.method === method)?.params

describe('resources', () => {
  it('D2, G16: by keyboard alone one finds a resource, opens it with its default account and lands on its page', async () => {
    const { page, complaints } = await openPage(under.browser, host.url)
    await page.getByPlaceholder('Filter by name or label').focus()
    await page.keyboard.type('tenant 07')
    await page.getByText('1 of 32').waitFor()
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: /127\.0\.0\.1:15500/ }).waitFor()
    expect(lastCall('gateway.open')).toEqual({
      profile: 'acme-prod',
      resource: 'tenant-07',
      account: 'app_ro',
      keep: 'detached',
    })
    expect(complaints).toEqual([])
    await page.close()
  })

  it('G16: account and database are chosen before opening; an open one is gone to, not opened twice', async () => {
    const { page } = await openPage(under.browser, host.url)
    await page.getByRole('button', { name: /^orders/ }).click()
    await page.getByRole('button', { name: 'Go to gateway' }).waitFor()
    await page.getByLabel('Account', { exact: true }).selectOption('migrator')
    await page.getByLabel('Database', { exact: true }).selectOption('orders_archive')
    await page.getByRole('button', { name: 'Open gateway' }).click()
    await page.getByRole('heading', { name: /127\.0\.0\.1:15500/ }).waitFor()
    expect(lastCall('gateway.open')).toMatchObject({ account: 'migrator', database: 'orders_archive' })
    await page.close()
  })

  it('D3: an expired login never looks connected: the list and the top bar ask for a login', async () => {
    await host.close()
    host = await startFixtureHost({
      renderer: under.renderer,
      state: appState({ profiles: { 'acme-prod': profile('acme-prod', { state: 'expired', remainingMs: 0 }) } }),
    })
    const { page } = await openPage(under.browser, host.url)
    await page.getByRole('heading', { name: 'Log in to see your resources' }).waitFor()
    await page.getByText('Login expired').waitFor()
    await page.getByRole('main').getByRole('button', { name: 'Log in' }).click()
    await expect.poll(() => lastCall('login.ask')).toEqual({ profile: 'acme-prod' })
    await page.close()
  })

  it('C9: when the core says that something changed, the list is asked for again; the menu says quietly whether news come at once', async () => {
    const { page } = await openPage(under.browser, host.url)
    await page.getByText('32 resources').waitFor()
    const asked = () => host.calls.filter(({ method }) => method === 'resource.list').length
    const before = asked()
    const view = host.state.profiles['acme-prod']!
    const say = (change: { live: boolean; resourcesVersion: number }) =>
      host.patch([{ path: ['profiles', 'acme-prod'], value: { ...view, ...change } }])
    say({ live: true, resourcesVersion: 1 })
    await expect.poll(asked).toBe(before + 1)
    // The stream alone is no reason to ask.
    say({ live: false, resourcesVersion: 1 })
    await page.getByTitle('acme-prod · acme-prod.example.com:3443').click()
    await page.getByText('Not live: changes on the server show later').waitFor()
    say({ live: true, resourcesVersion: 1 })
    await page.getByText('Live: changes on the server show at once', { exact: true }).waitFor()
    expect(asked()).toBe(before + 1)
    await page.close()
  })

  it('E1: a listing that fails says why and offers to try again', async () => {
    let isBroken = true
    await host.close()
    host = await startFixtureHost({
      renderer: under.renderer,
      state: appState(),
      responder: (method, params, self) => {
        if (method !== 'resource.list' || !isBroken) return respond(method, params, self)
        throw new PosternError('protocol', 'The server answered with a web page.', { errorId: 'e-77' })
      },
    })
    const { page } = await openPage(under.browser, host.url)
    await page.getByRole('alert').getByText('The server answered with a web page.').waitFor()
    await page.getByText('e-77').waitFor()
    isBroken = false
    await page.getByRole('button', { name: 'Try again' }).click()
    await page.getByText('32 resources').waitFor()
    await page.close()
  })
})

describe('gateways', () => {
  it('D3: every state is told by a word, the reason stands on the page', async () => {
    const { page } = await openPage(under.browser, `${host.url}#/gateways/gw-legacy-crm-13306`)
    const list = page.getByRole('list', { name: 'Open gateways' })
    for (const word of ['Listening', 'Waiting for login', 'Port taken', 'Refused', 'Needs login']) {
      await list.getByRole('img', { name: word }).first().waitFor()
    }
    await page.getByText('Port 13306 is taken by mysqld (pid 812).').waitFor()
    await page.getByRole('button', { name: 'Pick another port' }).click()
    await page.getByRole('dialog', { name: 'Change port or database' }).waitFor()
    await page.close()
  })

  it('G15, G16: port and database are changed in a dialog that checks in place and gives the focus back', async () => {
    const { page } = await openPage(under.browser, `${host.url}#/gateways/gw-orders-15432`)
    const change = page.getByRole('button', { name: 'Change …' })
    await change.focus()
    await page.keyboard.press('Enter')
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('Port').fill('70000')
    await dialog.getByRole('button', { name: 'Save' }).click()
    await dialog.getByRole('alert').getByText('from 1 to 65535').waitFor()
    await dialog.getByLabel('Port').fill('15999')
    await dialog.getByLabel('Database').fill('orders_archive')
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: /127\.0\.0\.1:15999/ }).waitFor()
    expect(lastCall('gateway.update')).toEqual({ gateway: 'gw-orders-15432', port: 15999, database: 'orders_archive' })
    await change.and(page.locator(':focus')).waitFor()
    await page.close()
  })

  it('G19: closing asks first, says how many connections are cut, and Escape keeps the gateway', async () => {
    const { page } = await openPage(under.browser, `${host.url}#/gateways/gw-orders-15432`)
    await page.getByRole('button', { name: 'Close gateway' }).click()
    const dialog = page.getByRole('dialog', { name: 'Close the gateway to orders?' })
    await dialog.getByText('3 connections are cut at once').waitFor()
    await page.keyboard.press('Escape')
    await dialog.waitFor({ state: 'detached' })
    expect(lastCall('gateway.close')).toBeUndefined()
    await page.getByRole('button', { name: 'Close gateway' }).click()
    await dialog.getByRole('button', { name: 'Close gateway' }).click()
    await page.getByText('Gateway to orders closed').waitFor()
    await page.close()
  })

  it('D2: the connection test names each step, the failing one with its text, and what was not reached', async () => {
    const { page } = await openPage(under.browser, `${host.url}#/gateways/gw-orders-15432`)
    await page.getByRole('button', { name: 'Test connection' }).click()
    const steps = page.getByRole('list', { name: 'Steps of the connection test' }).getByRole('listitem')
    await steps.first().waitFor()
    expect(await steps.allInnerTexts()).toEqual([
      expect.stringMatching(/Certificate[\s\S]*passed/),
      expect.stringMatching(/Access server[\s\S]*passed/),
      expect.stringMatching(/PostgreSQL login[\s\S]*failed[\s\S]*not accepting/),
      expect.stringMatching(/Query[\s\S]*not reached/),
    ])
    await page.close()
  })

  it('D2: one click copies; the button says so', async () => {
    const { page } = await openPage(under.browser, `${host.url}#/gateways/gw-orders-15432`)
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write'])
    const button = page.getByRole('button', { name: 'Copy address' })
    // It says so for a moment only, so somebody inside the page looks out for it.
    const said = await button.evaluateHandle((element) => ({
      so: new Promise((resolve) => {
        const look = (): void => {
          if (element.textContent.includes('Copied')) resolve(true)
        }
        new MutationObserver(look).observe(element, { childList: true, characterData: true, subtree: true })
      }),
    }))
    await button.click()
    expect(await said.evaluate(({ so }) => so)).toBe(true)
    expect(await page.evaluate('navigator.clipboard.readText()')).toBe('127.0.0.1:15432')
    await page.close()
  })

  it('G17: a reload loses nothing, and a gateway that closes while one looks is said', async () => {
    const { page } = await openPage(under.browser, `${host.url}#/gateways/gw-hr-15435`)
    await page.reload()
    await page.getByText('None of your roles allows hr any more').first().waitFor()
    host.patch([{ path: ['gateways', 'gw-hr-15435'] }])
    await page.getByText('This gateway was closed.').waitFor()
    await page.close()
  })

  it('D1: a deep link does nothing before the person has said yes', async () => {
    const { page } = await openPage(under.browser, host.url)
    host.event('shell.confirmLink', { profile: 'acme-prod', resource: 'orders', account: 'app_ro' })
    const dialog = page.getByRole('dialog', { name: 'Open this gateway?' })
    await dialog.getByText('orders as app_ro on acme-prod').waitFor()
    expect(lastCall('gateway.open')).toBeUndefined()
    await dialog.getByRole('button', { name: 'Open gateway' }).click()
    await expect
      .poll(() => lastCall('gateway.open'))
      .toEqual({ profile: 'acme-prod', resource: 'orders', account: 'app_ro', keep: 'detached' })
    await page.close()
  })
})

describe('both', () => {
  it('D2: the accessibility check would notice a nameless button', async () => {
    const { page } = await openPage(under.browser, host.url)
    await page.evaluate("document.querySelector('main').append(document.createElement('button'))")
    expect(await findAxeViolations(page)).toEqual([expect.stringMatching(/^button-name: <button>/)])
    await page.close()
  })

  for (const scheme of ['light', 'dark'] as const) {
    for (const [width, height] of [
      [1280, 800],
      [900, 600],
    ] as const) {
      it(`D2: axe-core finds nothing and nothing overflows, ${scheme} at ${width}×${height}`, async () => {
        for (const place of ['resources', 'gateways/gw-orders-15432', 'gateways/gw-billing-replica-15433']) {
          const { page, complaints } = await openPage(under.browser, `${host.url}#/${place}`, { width, height, scheme })
          await page.getByRole('heading', { level: 2 }).first().waitFor()
          if (place === 'resources') await page.getByRole('list', { name: 'Resources' }).waitFor()
          expect(await findAxeViolations(page), place).toEqual([])
          expect(await page.evaluate('document.documentElement.scrollWidth <= innerWidth'), place).toBe(true)
          expect(complaints).toEqual([])
          await page.close()
        }
      })
    }
  }
})
