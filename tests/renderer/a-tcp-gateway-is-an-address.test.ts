// A tcp resource in the window: what PostgreSQL has and plain TCP has not is not there, the rest is as everywhere.
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { findAxeViolations, openPage, openRenderer, type RendererUnderTest } from './browser.ts'
import { startFixtureHost, type FixtureHost } from './fixture-host.ts'
import { appState, gateway, resource, respond } from './fixture-state.ts'

const CACHE = gateway('build-cache', 16400, 'listening', {
  protocol: 'tcp',
  account: 'tcp',
  database: '',
  url: 'tcp://127.0.0.1:16400',
  env: { HOST: '127.0.0.1', PORT: '16400' },
})
const GREETER = resource('greeter', {
  protocol: 'tcp',
  accounts: ['tcp'],
  defaultAccount: 'tcp',
  databases: [],
  defaultDatabase: '',
})

let under: RendererUnderTest
let host: FixtureHost
beforeAll(async () => {
  under = await openRenderer()
})
afterAll(async () => {
  await under.close()
})
beforeEach(async () => {
  host = await startFixtureHost({
    renderer: under.renderer,
    state: appState({}, [CACHE, gateway('orders', 15432, 'listening')]),
    responder: (method, params, fixture) =>
      method === 'resource.list'
        ? { profile: 'acme-prod', resources: [GREETER, resource('orders')] }
        : respond(method, params, fixture),
  })
})
afterEach(async () => {
  await host.close()
})

it('DB6, D2: the page of a tcp gateway has the address and copies for it, and only its port can be changed', async () => {
  const { page, complaints } = await openPage(under.browser, `${host.url}#/gateways/${CACHE.id}`)
  await page.getByRole('heading', { name: /127\.0\.0\.1:16400/ }).waitFor()
  await page.getByText('What you send goes through as it is; only programs that you start').waitFor()
  expect(await page.getByRole('tab').allTextContents()).toEqual(['Address', 'nc', 'URL', 'Environment'])
  expect(await page.getByRole('tab', { name: 'Address' }).getAttribute('aria-selected')).toBe('true')
  await page.getByRole('tab', { name: 'nc' }).click()
  await page.getByText('nc 127.0.0.1 16400').waitFor()
  expect(await page.getByText(/Database|account tcp/).count()).toBe(0)
  expect(await findAxeViolations(page)).toEqual([])

  await page.getByRole('button', { name: 'Change …' }).click()
  await page.getByRole('dialog', { name: 'Change port' }).waitFor()
  expect(await page.getByLabel('Database').count()).toBe(0)
  await page.getByRole('textbox', { name: 'Port' }).fill('16401')
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByRole('dialog').waitFor({ state: 'detached' })
  expect(host.calls.findLast((call) => call.method === 'gateway.update')?.params).toEqual({
    gateway: CACHE.id,
    port: 16401,
  })
  expect(complaints).toEqual([])
  await page.close()
})

it('DB6, D2: a tcp resource is filtered by its kind and opened without a choice of account or database', async () => {
  const { page, complaints } = await openPage(under.browser, host.url)
  await page.getByLabel('Kind').selectOption('TCP')
  await page.getByText('1 of 2').waitFor()
  await page.getByRole('button', { name: /^greeter/ }).click()
  await page.getByText('if the resource wants a password, it asks you').waitFor()
  expect(await page.getByLabel('Account', { exact: true }).count()).toBe(0)
  expect(await page.getByLabel('Database', { exact: true }).count()).toBe(0)
  expect(await findAxeViolations(page)).toEqual([])
  await page.getByRole('button', { name: 'Open gateway' }).click()
  await page.getByRole('heading', { name: /127\.0\.0\.1:15500/ }).waitFor()
  expect(host.calls.findLast((call) => call.method === 'gateway.open')?.params).toEqual({
    profile: 'acme-prod',
    resource: 'greeter',
    account: 'tcp',
    keep: 'detached',
  })
  expect(complaints).toEqual([])
  await page.close()
})
