// Sessions as a person has them in a browser window: psql is at work, the page shows it live and what it ran; ended with a
// confirmation, psql gets its error and the page says why. A viewer sees everyone's and ends none of them.
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findAxeViolations } from '../renderer/browser.ts'
import { ADMIN, keepPsql, startCluster, type OpenGateway, type TestCluster } from '../support/cluster.ts'
import type { Kept } from '../support/run.ts'
import { buildApp, startBrowserApp, startChromium, type BrowserApp } from './support/browser-app.ts'

const CAROL = { name: 'carol', password: 'correct horse carol' }

let cluster: TestCluster
let browser: Browser
let gateway: OpenGateway
let app: BrowserApp
const apps: BrowserApp[] = []
const psqls: Kept[] = []
beforeAll(async () => {
  await buildApp()
  ;[cluster, browser] = await Promise.all([startCluster(), startChromium()])
  await cluster.apply(`{ kind: user, name: ${CAROL.name}, level: viewer, password: ${CAROL.password} }`)
  const home = await cluster.newHome()
  await cluster.login(home)
  gateway = await cluster.open(home, 'orders')
  app = await startBrowserApp(browser, home)
  apps.push(app)
})
afterAll(async () => {
  await Promise.all(psqls.map((child) => child.stop()))
  await Promise.all(apps.map((one) => one.close()))
  await browser.close()
  await cluster.close()
})

const work = (sql: string): Kept => {
  const child = keepPsql(gateway.url)
  psqls.push(child)
  child.write(`${sql}\n`)
  return child
}

describe('sessions in the app', () => {
  it('S1, R5: live, what it ran, ended with a confirmation: psql gets 57P01 and the page says why', async () => {
    const { page, complaints } = await app.open()
    page.setDefaultTimeout(30_000)
    await page.getByRole('link', { name: /^Sessions/ }).click()
    await page.getByText('No live session').waitFor()
    // It comes by itself.
    const child = work("select 'from psql', count(*) from orders;\n\\set VERBOSITY verbose")
    await page.getByRole('main').getByRole('heading', { name: 'orders as reader' }).waitFor()
    await page.getByRole('list', { name: 'Statements' }).getByText("select 'from psql', count(*) from orders").waitFor()
    await page.getByRole('list', { name: 'Statements' }).getByText('1 row').waitFor()
    expect(await findAxeViolations(page)).toEqual([])
    child.write('select pg_sleep(600);\n')
    await page.getByRole('button', { name: 'End session' }).click()
    const dialog = page.getByRole('dialog', { name: 'End this session?' })
    await dialog.getByText(/1 connection to orders as reader is cut at once/).waitFor()
    await dialog.getByRole('button', { name: 'End session' }).click()
    const { stderr } = await child.ended
    expect(stderr).toMatch(/FATAL: +57P01: .*session/)
    await page.locator('#session-page').getByText('You ended it.').waitFor()
    await page.getByRole('list', { name: 'Sessions' }).getByText('cancelled').waitFor()
    expect(complaints.join()).toBe('')
  })

  it('W1: a viewer sees everyone’s and cannot end it; an administrator can, and its owner reads who did', async () => {
    const child = work("select 'still here';")
    await child.waitFor(/still here/)
    const homes = await Promise.all([cluster.newHome(), cluster.newHome()])
    await cluster.login(homes[0], CAROL)
    await cluster.login(homes[1], ADMIN)
    const [viewer, admin] = await Promise.all(homes.map((home) => startBrowserApp(browser, home)))
    apps.push(viewer!, admin!)

    const { page } = await viewer!.open()
    page.setDefaultTimeout(30_000)
    await page.getByRole('link', { name: /^Sessions/ }).click()
    await page.getByText('Everyone’s').click()
    await page
      .getByRole('list', { name: 'Sessions' })
      .getByRole('button', { name: /^Live orders/ })
      .click()
    await page.getByText('Only administrators end the sessions of others.').waitFor()
    await page.getByRole('list', { name: 'Statements' }).getByText("select 'still here'").waitFor()
    expect(await page.getByRole('button', { name: 'End session' }).count()).toBe(0)

    const other = await admin!.open()
    other.page.setDefaultTimeout(30_000)
    await other.page.getByRole('link', { name: /^Sessions/ }).click()
    await other.page.getByText('Everyone’s').click()
    await other.page
      .getByRole('list', { name: 'Sessions' })
      .getByRole('button', { name: /^Live orders/ })
      .click()
    await other.page.getByRole('button', { name: 'End session' }).click()
    const dialog = other.page.getByRole('dialog', { name: 'End the session of alice?' })
    await dialog.getByText(/alice is told that an administrator ended it/).waitFor()
    await dialog.getByRole('button', { name: 'End session' }).click()
    await other.page.getByText('The session has ended.').waitFor()
    child.write('select 1;\n')
    expect((await child.ended).stderr).toMatch(/FATAL: .*administrator/)
    await page.locator('#session-page').getByText('root, an administrator, ended it.').waitFor()

    const own = await app.open()
    own.page.setDefaultTimeout(30_000)
    await own.page.getByRole('link', { name: /^Notices/ }).click()
    await own.page.getByText(/session on orders as reader was ended: root, an administrator/).waitFor()
  })
})
