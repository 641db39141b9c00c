// The access server goes away and comes back while psql is held and the terminal asks for the password: the login goes on.
import { afterAll, beforeAll, expect, it } from 'vitest'
import { ALICE, keepPsql, logInBriefly, startCluster, type TestCluster, untilExpired } from '../support/cluster.ts'

let cluster: TestCluster
beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(async () => {
  await cluster.close()
})

it('G5 G9: a password that is typed while the server is away is tried again once it is back, and the held psql prints its rows', async () => {
  const home = await cluster.newHome()
  await cluster.login(home)
  const terminal = cluster.terminal(home, ['gateway', 'open', 'orders'])
  const [url] = await terminal.waitFor(/postgresql:\/\/[^\s"']+/)
  await logInBriefly(cluster, home)
  await untilExpired(cluster, home)
  const held = keepPsql(url, ['-c', 'select count(*) from orders'])
  await terminal.waitFor(/password of alice[^\n]*:/i)
  await cluster.server().stop('SIGTERM')
  terminal.write(`${ALICE.password}\r`)
  await terminal.waitFor(/cannot reach the access server[^\n]*left/)
  expect(held.isRunning).toBe(true)
  await cluster.startServer()
  terminal.write(`${ALICE.password}\r`)
  await terminal.waitFor(/Signed in; everything that waited goes on/)
  expect(await held.ended).toMatchObject({ code: 0, stdout: '100\n' })
  await terminal.stop('SIGINT')
})
