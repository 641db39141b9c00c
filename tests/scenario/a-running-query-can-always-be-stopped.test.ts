// DB1: cancel requests through the gateway; they are never held and pass on an expired certificate while the session is active.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { keepPsql, psql, startCluster, type TestCluster, logInBriefly, untilExpired } from '../support/cluster.ts'
import { until } from '../support/run.ts'

let cluster: TestCluster
beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(async () => {
  await cluster.close()
})

describe('cancel requests', () => {
  it('DB1: Ctrl-C in psql stops the query through the gateway', async () => {
    const home = await cluster.newHome()
    await cluster.login(home)
    const gateway = await cluster.open(home, 'orders')
    const busy = keepPsql(gateway.url, ['-c', 'select pg_sleep(60)'])
    await until(
      async () =>
        (
          await psql(gateway.url, [
            '-c',
            "select count(*) from pg_stat_activity where query like '%pg_sleep(60)%' and state = 'active' and pid <> pg_backend_pid()",
          ])
        ).stdout === '1\n',
      'the query runs',
    )
    busy.child.kill('SIGINT')
    expect((await busy.ended).stderr).toMatch(/canceling statement due to user request/)
    await gateway.process.stop()
  })

  it('DB1: and also when certificate and login have expired meanwhile, asking nobody', async () => {
    const home = await cluster.newHome()
    await cluster.login(home)
    const gateway = await cluster.open(home, 'orders')
    const busy = keepPsql(gateway.url, ['-c', "select 'running'", '-c', 'select pg_sleep(600)'])
    await busy.waitFor(/running/)
    await logInBriefly(cluster, home)
    await untilExpired(cluster, home)
    // A cancel takes effect only while the backend runs the statement, which it has for seconds now.
    busy.child.kill('SIGINT')
    expect((await busy.ended).stderr).toMatch(/canceling statement due to user request/)
    expect(gateway.process.output).not.toMatch(/login_needed/)
    const events = (await cluster.audit(['--event', 'query.cancel'])) as { user: string }[]
    expect(events.at(-1)?.user).toBe('alice')
    await gateway.process.stop()
  })
})
