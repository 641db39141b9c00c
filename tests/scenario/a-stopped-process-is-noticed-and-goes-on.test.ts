// SIGSTOP and SIGCONT on a real core and on the real access server. Between them lies the control stream, the one keepalive that there
// is (I3); its times are shortened here, and the real ones are 30 s and 15 s. What was running when a process stopped is finished once
// it goes on.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connectToCore } from '../../client/connect.ts'
import { CONTROL_ANSWER_WITHIN_MS, CONTROL_PING_EVERY_MS } from '../../shared/control.ts'
import { TestCore, type TestHost } from '../support/client-core.ts'
import { ALICE, keepPsql, psql, startCluster, type OpenGateway, type TestCluster } from '../support/cluster.ts'
import { FakeAccessServer } from '../support/fake-access-server.ts'
import { until, type Kept } from '../support/run.ts'
import { SHORT_TIMINGS } from '../support/server-with-short-timings.ts'

const SERVER_PROGRAM = new URL('../support/server-with-short-timings.ts', import.meta.url).pathname
const PATIENCE_MS = 60_000
const QUERIES = 5

let cluster: TestCluster
let home: string
let gateway: OpenGateway
/** In this process, with short timings as well. */
let near: TestCore
let host: TestHost
const psqls: Kept[] = []

beforeAll(async () => {
  cluster = await startCluster({ serverProgram: SERVER_PROGRAM })
  home = await cluster.newHome()
  await cluster.login(home)
  gateway = await cluster.open(home, 'orders')
  near = await TestCore.start({ server: new FakeAccessServer(), controlTimings: SHORT_TIMINGS })
  host = await near.attach()
  await host.core.call('profile.add', { address: cluster.address, caPin: cluster.fingerprint })
  await host.core.call('login.submit', { user: ALICE.name, password: ALICE.password })
})
afterAll(async () => {
  await Promise.all(psqls.map((child) => child.stop('SIGKILL')))
  await near.close()
  await cluster.close()
})

const linesOf = async (file: string, text: string): Promise<number> =>
  (await readFile(file, 'utf8')).split('\n').filter((line) => line.includes(text)).length
const serverLog = () => join(cluster.directory, 'server.log')
const coreLog = () => join(home, 'core.log')
const isLive = async (): Promise<boolean> => (await host.core.call('profile.list', {})).profiles[0]?.live === true
const begin = (sql: string): Kept => {
  const child = keepPsql(gateway.url)
  psqls.push(child)
  child.write(sql)
  return child
}

describe('a process that is stopped', () => {
  it('I3: is noticed within 45 s where there is a keepalive', () => {
    expect(CONTROL_PING_EVERY_MS + CONTROL_ANSWER_WITHIN_MS).toBeLessThanOrEqual(45_000)
  })

  it('I3, S2: as a core is dropped from the control stream; it comes back by itself, and its connections go on', async () => {
    const connection = await connectToCore({ home, kind: 'terminal', canAsk: false, appVersion: 'test', start: false })
    const { pid } = connection.core
    await connection.close()
    await until(async () => (await linesOf(coreLog(), 'control stream open')) > 0, 'it has its stream', PATIENCE_MS)
    const client = begin("begin; select 'before';\n")
    await client.waitFor(/before/, { timeoutMs: PATIENCE_MS })
    const opened = await linesOf(coreLog(), 'control stream open')

    process.kill(pid, 'SIGSTOP')
    try {
      await until(
        async () => (await linesOf(serverLog(), 'no answer to a ping')) > 0,
        'the server notices',
        PATIENCE_MS,
      )
      client.write("select 'asked while it was stopped';\n")
    } finally {
      process.kill(pid, 'SIGCONT')
    }
    await client.waitFor(/asked while it was stopped/, { timeoutMs: PATIENCE_MS })
    await until(async () => (await linesOf(coreLog(), 'control stream open')) > opened, 'it is back', PATIENCE_MS)
    client.write("commit; select 'after';\n")
    await client.waitFor(/after/, { timeoutMs: PATIENCE_MS })
  })

  it('I3: as an access server is noticed by cores; once it goes on, every query that ran is answered', async () => {
    await until(isLive, 'the core has its stream', PATIENCE_MS)
    const before = await linesOf(coreLog(), '"connected"')
    const running = Array.from({ length: QUERIES }, (_, at) => begin(`select pg_sleep(2); select 'value ' || ${at};\n`))
    await until(
      async () => (await linesOf(coreLog(), '"connected"')) - before >= QUERIES,
      'they are connected',
      PATIENCE_MS,
    )
    const { pid = 0 } = cluster.server().child
    process.kill(pid, 'SIGSTOP')
    try {
      await until(async () => !(await isLive()), 'the core notices', PATIENCE_MS)
      for (const child of running) child.write("select 'asked meanwhile';\n")
    } finally {
      process.kill(pid, 'SIGCONT')
    }
    for (const [at, child] of running.entries()) {
      await child.waitFor(new RegExp(`value ${at}\n`), { timeoutMs: PATIENCE_MS })
      await child.waitFor(/asked meanwhile/, { timeoutMs: PATIENCE_MS })
    }
    await until(isLive, 'the core has a stream again', PATIENCE_MS)
    expect((await psql(gateway.url, ['-c', "select 'new'"])).stdout).toBe('new\n')
  })
})
