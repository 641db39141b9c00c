// Every screen and state of the app that a person can bring about, each with the clicks that lead there. Used by the test that
// judges them (accessibility) and takes their pictures.
import type { Page } from 'playwright-core'
import type { NoticeView } from '../../../shared/app-state.ts'
import { ALICE, keepPsql, type TestCluster } from '../../support/cluster.ts'
import type { Kept } from '../../support/run.ts'
import { loginOf } from './browser-app.ts'

export type Stage = {
  cluster: TestCluster
  home: string
  page: Page
  /** Children to end after the last screen. */
  kept: Kept[]
  /** The URL of the open gateway. */
  url: string
}

export type Screen = {
  name: string
  /** A menu lies over everything, in no landmark: while it is open it is all there is (WAI-ARIA, menu button). */
  isMenu?: boolean
  show: (stage: Stage) => Promise<void>
}

const go = (page: Page, name: RegExp): Promise<void> => page.getByRole('navigation').getByRole('link', { name }).click()

/** More than one resource, with names that try the layout. */
export const MANY_RESOURCES = (postgresPort: number): string =>
  [
    ['analytics', 'Warehouse of the data team, refreshed each night at 03:00 UTC', 'prod'],
    ['billing', 'Invoices and payments', 'prod'],
    ['customers-eu-central-1-replica-read-only', 'Replica in Frankfurt; lags by seconds', 'prod'],
    ['inventory', 'مخزون المستودع الرئيسي', 'staging'],
    ['playground', '🎈 Do what you like here, it is made anew each Monday', 'dev'],
    ['reporting', '', 'staging'],
  ]
    .map(
      ([name, description, env]) => `
kind: resource
name: ${name}
protocol: postgres
description: ${JSON.stringify(description)}
address: 127.0.0.1:${postgresPort}
labels: { env: ${env}, team: ${name === 'billing' ? 'finance' : 'shop'} }
tls: { mode: disable }
defaultDatabase: postgres
accounts:
  - { name: reader, password: target-reader-secret }
  - { name: writer, password: target-writer-secret }
---`,
    )
    .join('\n') +
  `
kind: role
name: developer
allow:
  - { resources: [orders, analytics, billing, customers-eu-central-1-replica-read-only, inventory, playground, reporting], accounts: [reader, writer], databases: [postgres, template1] }
`

/** In the order in which a person comes to them: each starts where the one before ended. */
export const SCREENS: readonly Screen[] = [
  {
    name: 'first-run',
    async show({ page }) {
      await page.getByRole('textbox', { name: 'Address of the access server' }).waitFor()
    },
  },
  {
    name: 'first-run-no-answer',
    async show({ page }) {
      await page.getByRole('textbox', { name: 'Address of the access server' }).fill('127.0.0.1:9')
      await page.getByRole('button', { name: 'Continue' }).click()
      await page.getByText('No answer from there').waitFor()
    },
  },
  {
    name: 'first-run-compare',
    async show({ page, cluster }) {
      await page.getByRole('textbox', { name: 'Address of the access server' }).fill(cluster.address)
      await page.getByRole('button', { name: 'Continue' }).click()
      await page.getByRole('heading', { name: 'Is this the right server?' }).waitFor()
    },
  },
  {
    name: 'login',
    async show({ page, cluster }) {
      await page.getByRole('textbox', { name: /Paste it here/ }).fill(cluster.fingerprint)
      await page.getByRole('button', { name: 'Trust and add' }).click()
      await loginOf(page).waitFor()
    },
  },
  {
    name: 'login-wrong-password',
    async show({ page }) {
      const dialog = loginOf(page)
      await dialog.getByRole('textbox', { name: 'User' }).fill(ALICE.name)
      await dialog.getByLabel('Password').fill('wrong')
      await dialog.getByRole('button', { name: 'Log in', exact: true }).click()
      await dialog.getByText(/Wrong user name/).waitFor()
    },
  },
  {
    name: 'resources',
    async show({ page }) {
      const dialog = loginOf(page)
      await dialog.getByLabel('Password').fill(ALICE.password)
      await dialog.getByRole('button', { name: 'Log in', exact: true }).click()
      await dialog.waitFor({ state: 'hidden' })
      await page.getByRole('button', { name: 'Open orders as reader' }).first().waitFor()
    },
  },
  {
    name: 'resources-no-match',
    async show({ page }) {
      await page.getByRole('textbox', { name: /^Filter by name/ }).fill('nothing is called that')
      await page.getByText('No resource matches').waitFor()
    },
  },
  {
    name: 'gateways-empty',
    async show({ page }) {
      await page.getByRole('textbox', { name: /^Filter by name/ }).fill('')
      await go(page, /^Gateways/)
      await page.getByText('No open gateway').waitFor()
    },
  },
  {
    name: 'gateway',
    async show(stage) {
      const { page } = stage
      for (const name of ['playground', 'analytics', 'orders']) {
        await go(page, /^Resources/)
        await page
          .getByRole('button', { name: `Open ${name} as reader` })
          .first()
          .click()
        await page.waitForURL(/#\/gateways\/./)
        await page
          .getByRole('main')
          .getByRole('heading', { name: /^127\.0\.0\.1:/ })
          .waitFor()
      }
      await page.getByRole('tab', { name: 'URL' }).click()
      await page.getByRole('button', { name: 'Copy for URL' }).click()
      stage.url = await page.evaluate<string>('navigator.clipboard.readText()')
      await page.getByRole('tab', { name: 'psql' }).click()
      for (const client of ['nightly-report', 'psql', 'DBeaver 24.2 - Main']) {
        const busy = keepPsql(`${stage.url}&application_name=${encodeURIComponent(client)}`)
        stage.kept.push(busy)
        busy.write(
          "select count(*) from orders, generate_series(1, 200000);\nselect repeat('x', 100000) from generate_series(1, 5);\n",
        )
        await busy.waitFor(/xxxx/)
      }
      await page.getByText('nightly-report').waitFor()
    },
  },
  {
    name: 'gateway-test',
    async show({ page }) {
      await page.getByRole('button', { name: 'Test connection' }).click()
      await page.getByText(/^Works, in/).waitFor()
    },
  },
  {
    name: 'gateway-change',
    async show({ page }) {
      await page.getByRole('button', { name: 'Change …' }).click()
      await page.getByRole('dialog').waitFor()
    },
  },
  {
    name: 'gateway-close',
    async show({ page }) {
      await page.keyboard.press('Escape')
      await page.getByRole('button', { name: 'Close gateway' }).click()
      await page.getByRole('alertdialog').or(page.getByRole('dialog')).waitFor()
    },
  },
  {
    name: 'palette',
    async show({ page }) {
      await page.keyboard.press('Escape')
      await page.getByRole('alertdialog').or(page.getByRole('dialog')).waitFor({ state: 'hidden' })
      await page.keyboard.press('Control+k')
      await page.getByRole('dialog', { name: 'Command palette' }).waitFor()
    },
  },
  {
    name: 'palette-search',
    async show({ page }) {
      await page.keyboard.type('ord')
      await page.getByRole('option').first().waitFor()
    },
  },
  {
    name: 'cluster-menu',
    isMenu: true,
    async show({ page }) {
      await page.keyboard.press('Escape')
      await page.getByRole('button', { name: /test.*127\.0\.0\.1/ }).click()
      await page.getByRole('menu').waitFor()
    },
  },
  {
    name: 'sessions',
    async show({ page }) {
      await page.keyboard.press('Escape')
      await go(page, /^Sessions/)
      await page.getByRole('main').getByRole('heading', { name: 'orders as reader' }).waitFor()
      await page.getByRole('list', { name: 'Statements' }).getByText('generate_series').first().waitFor()
    },
  },
  {
    name: 'session-end',
    async show({ page }) {
      await page.getByRole('button', { name: 'End session' }).click()
      await page.getByRole('dialog', { name: 'End this session?' }).waitFor()
    },
  },
  {
    name: 'settings',
    async show({ page }) {
      await page.keyboard.press('Escape')
      await go(page, /^Settings/)
      await page.getByRole('heading', { name: 'Settings' }).waitFor()
    },
  },
  {
    name: 'notices-empty',
    async show({ page }) {
      await go(page, /^Notices/)
      await page.getByRole('heading', { name: 'Notices' }).waitFor()
    },
  },
  {
    name: 'about',
    async show({ page }) {
      await go(page, /^About/)
      await page.getByRole('button', { name: 'Make a bundle' }).click()
      await page.getByRole('button', { name: 'Copy the id' }).waitFor()
    },
  },
  {
    name: 'relogin',
    async show({ page, cluster, home, url, kept }) {
      await go(page, /^Gateways/)
      await page.getByRole('main').getByText('orders').first().click()
      const short = await cluster.postern(home, ['login', '--user', 'alice', '--ttl', '2s', '--password-stdin'], {
        input: `${ALICE.password}\n`,
      })
      if (short.code !== 0) throw new Error(short.stderr)
      await page.getByRole('banner').getByText('Login expired').waitFor()
      kept.push(keepPsql(url, ['-c', 'select 1']), keepPsql(url, ['-c', 'select 2']))
      await loginOf(page).getByText('2 connections are waiting').waitFor()
    },
  },
  {
    name: 'gateway-paused',
    async show({ page }) {
      await page.keyboard.press('Escape')
      await loginOf(page).waitFor({ state: 'hidden' })
      await page.getByText(/Connections are refused for a moment/).waitFor()
    },
  },
  {
    name: 'notices',
    async show({ page }) {
      await go(page, /^Notices/)
      await page.getByRole('heading', { name: 'Notices' }).waitFor()
    },
  },
  {
    name: 'password',
    async show({ page, cluster, home }) {
      await cluster.login(home)
      await page.getByRole('button', { name: /test.*127\.0\.0\.1/ }).click()
      await page.getByRole('menuitem', { name: /Change password/ }).click()
      await page.getByRole('dialog').getByLabel('New password').fill('short')
      await page.getByRole('dialog').getByLabel('Current password').fill('wrong')
      await page.keyboard.press('Enter')
      await page.getByText('A password has at least 8 characters.').waitFor()
    },
  },
  {
    name: 'authenticator',
    async show({ page }) {
      await page.keyboard.press('Escape')
      await page.getByRole('dialog').waitFor({ state: 'hidden' })
      await page.getByRole('button', { name: /test.*127\.0\.0\.1/ }).click()
      await page.getByRole('menuitem', { name: /Set up an authenticator/ }).click()
      await page.getByRole('dialog').getByLabel('Your password').fill(ALICE.password)
      await page.keyboard.press('Enter')
      await page.getByRole('img', { name: /QR code/ }).waitFor()
    },
  },
  {
    name: 'notices-filled',
    async show({ page }) {
      await pretend(page)
      await page.reload()
      await go(page, /^Notices/)
      await page.getByText('Yesterday').waitFor()
    },
  },
  {
    name: 'resources-newer-server',
    async show({ page }) {
      await go(page, /^Resources/)
      await page.getByText('2 resources are not shown').waitFor()
    },
  },
]

/** What takes days or another server to come about: notices of several days, resources of a newer server. */
async function pretend(page: Page): Promise<void> {
  await page.routeWebSocket(/\/ws$/, (socket) => {
    const server = socket.connectToServer()
    server.onMessage((text) => {
      const message = JSON.parse(text.toString()) as {
        result?: { state?: { notices: unknown }; leftOut?: number }
      }
      if (message.result?.state) message.result.state.notices = noticesOfDays(Date.now())
      if (message.result?.leftOut !== undefined) message.result.leftOut = 2
      socket.send(JSON.stringify(message))
    })
  })
}

const HOUR_MS = 3_600_000

/** Notices of today, yesterday and the days before, whatever the time of day. */
function noticesOfDays(nowMs: number): Record<string, NoticeView> {
  const hoursAgo = (hours: number): Date => new Date(nowMs - hours * HOUR_MS)
  const daysAgoAt = (days: number, hour: number): Date => {
    const time = new Date(nowMs)
    time.setDate(time.getDate() - days)
    time.setHours(hour, 12, 0, 0)
    return time
  }
  const notice = (
    id: string,
    level: NoticeView['level'],
    text: string,
    last: Date,
    { first = last, ...more }: Partial<NoticeView> & { first?: Date } = {},
  ): [string, NoticeView] => [
    id,
    {
      ...{ id, level, text, profile: 'test', gateway: null, count: 1, isRead: false },
      ...{ firstAt: first.toISOString(), lastAt: last.toISOString() },
      ...more,
    },
  ]
  return Object.fromEntries([
    notice(
      '1',
      'error',
      'orders as reader was refused: your roles do not allow the account reader any more',
      hoursAgo(0.1),
      { count: 14, first: hoursAgo(2) },
    ),
    notice('2', 'warning', 'nobody logged in to test in time; 3 connections got an error', hoursAgo(0.3)),
    notice('3', 'info', 'the gateway of analytics is back on 127.0.0.1:22830', daysAgoAt(1, 18), { isRead: true }),
    notice(
      '4',
      'warning',
      'port 21000 of billing is taken by another program (postgres, process 812)',
      daysAgoAt(1, 17),
      { count: 3, first: daysAgoAt(1, 14) },
    ),
    notice(
      '5',
      'warning',
      'the login.json of test could not be read and was kept aside as login.json.broken',
      daysAgoAt(3, 19),
      { profile: null, isRead: true },
    ),
    notice('6', 'info', 'Postern was updated', daysAgoAt(4, 10), { profile: null, isRead: true }),
  ])
}
