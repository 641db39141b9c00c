// Single sign-on from a terminal: real provider, real server, real terminal, real psql; the person's browser is the plain one.
import { afterAll, beforeAll, expect, it } from 'vitest'
import { keepPsql, logInBriefly, startCluster, untilExpired, type TestCluster } from '../support/cluster.ts'
import { PlainBrowser, startIdentityProvider, type IdentityProvider } from '../support/identity-provider.ts'

let provider: IdentityProvider
let cluster: TestCluster
beforeAll(async () => {
  provider = await startIdentityProvider()
  cluster = await startCluster({ settings: provider.settings })
  await cluster.apply(`{ kind: user, name: alice, email: alice@shop.example }`)
})
afterAll(async () => {
  await cluster.close()
  await provider.close()
})

/** No screen, so that nothing is opened on the machine that runs the test. */
const env = { DISPLAY: undefined, WAYLAND_DISPLAY: undefined }
const LINK = /http:\/\/127\.0\.0\.1:\d+\/start\/[\w-]{43}/

async function finish(link: string): Promise<void> {
  const browser = new PlainBrowser()
  const page = await browser.follow(await browser.throughProvider(link, 'alice'))
  expect(page.text).toContain('You are logged in to test')
}

it('W7, C1: `login --sso` makes the cluster known, prints a link, and signs in whom the provider vouches for', async () => {
  const home = await cluster.newHome()
  const terminal = cluster.terminal(home, ['login', cluster.address, '--ca', cluster.caFile, '--sso'], { env })
  const [link] = await terminal.waitFor(LINK)
  await finish(link)
  await terminal.waitFor(/Signed in to test as alice/)
  expect((await terminal.ended).code).toBe(0)
  const again = cluster.terminal(home, ['login', '--sso'], { env })
  const [dead] = await again.waitFor(LINK)
  await again.waitFor(/Ctrl-C cancels/)
  again.write('\x03')
  expect((await again.ended).code).toBe(1)
  // Right away: the core ends when nobody uses it.
  await expect(new PlainBrowser().open(dead)).resolves.toMatchObject({
    text: expect.stringContaining('logged in to test'),
  })
  expect(await cluster.postern(home, ['login', '--sso', '--user', 'alice'])).toMatchObject({ code: 2 })
})

it('G2, G5, G10, G13: psql waits, Enter in the terminal, the provider, rows', async () => {
  const home = await cluster.newHome()
  await cluster.login(home)
  const terminal = cluster.terminal(home, ['gateway', 'open', 'orders'], { env })
  const [url] = await terminal.waitFor(/postgresql:\/\/[^\s"']+/)
  await logInBriefly(cluster, home)
  await untilExpired(cluster, home)
  const held = keepPsql(url, ['-c', 'select count(*) from orders'])
  await terminal.waitFor(/Press Enter to log in with Shop ID in the browser/)
  expect(terminal.output).not.toMatch(LINK)
  terminal.write('\r')
  const [link] = await terminal.waitFor(LINK)
  expect(held.isRunning).toBe(true)
  await finish(link)
  expect(await held.ended).toMatchObject({ code: 0, stdout: '100\n', stderr: '' })
  await terminal.waitFor(/Signed in; everything that waited goes on/)
  await terminal.stop('SIGINT')
})
