// SIGSTOP on a real access server for 20 s, with the times that are shipped. Whatever was connected goes on afterwards, in a tunnel's
// frames or with a tunnel of its own; a client that was held for a login gets its rows, the login that was given meanwhile counts;
// whoever began to connect meanwhile gets in, or is told what was the matter.
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import {
  ALICE,
  keepPsql,
  logInBriefly,
  psql,
  startCluster,
  untilExpired,
  type TestCluster,
} from '../support/cluster.ts'
import type { Finished, Kept } from '../support/run.ts'

const STOPPED_MS = 20_000
const PATIENCE_MS = 90_000
const EARLY = 5
const LATE = 5
/** More than a tunnel carries in frames. */
const MUCH = 1_000_000

let cluster: TestCluster
const psqls: Kept[] = []

beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(async () => {
  const { pid } = cluster.server().child
  if (pid !== undefined) process.kill(pid, 'SIGCONT')
  await Promise.all(psqls.map((child) => child.stop('SIGKILL')))
  await cluster.close()
})

const begin = (url: string, sql: string): Kept => {
  const child = keepPsql(url)
  psqls.push(child)
  child.write(sql)
  return child
}

it('I3, G4: twenty seconds without the server cost no connection, no gateway, no login', async () => {
  const [home, held] = [await cluster.newHome(), await cluster.newHome()]
  for (const one of [home, held]) await cluster.login(one)
  const gateway = await cluster.open(home, 'orders')
  const waiting = await cluster.open(held, 'orders')
  await logInBriefly(cluster, held)
  await untilExpired(cluster, held)
  const heldPsql = begin(waiting.url, "select 'held ' || 'and let in';\n")
  const connected = Array.from({ length: EARLY }, (_, at) =>
    begin(gateway.url, `select repeat('x', ${at % 2 === 0 ? 1 : MUCH}), 'value ' || ${at}; select pg_sleep(5);\n`),
  )
  for (const [at, child] of connected.entries())
    await child.waitFor(new RegExp(`value ${at}\n`), { timeoutMs: PATIENCE_MS })

  const { pid = 0 } = cluster.server().child
  process.kill(pid, 'SIGSTOP')
  const stoppedAt = performance.now()
  let late: Kept[]
  let login: Promise<Finished>
  let early: Finished
  try {
    for (const [at, child] of connected.entries()) child.write(`select 'asked meanwhile ' || ${at};\n`)
    const impatient = psql(gateway.url, ['-c', "select 'early'"])
    await delay((STOPPED_MS * 3) / 4)
    // In the last five seconds: within every deadline of theirs.
    late = Array.from({ length: LATE }, (_, at) => begin(gateway.url, `select 'late ' || ${at};\n`))
    login = cluster.postern(held, ['login', '--user', ALICE.name, '--password-stdin'], {
      input: `${ALICE.password}\n`,
    })
    await delay(STOPPED_MS - (performance.now() - stoppedAt))
    early = await impatient
  } finally {
    process.kill(pid, 'SIGCONT')
  }
  // Its gateway had waited for as long as it waits for a server.
  expect(early.stderr).toMatch(/FATAL: {2}cannot reach the access server at .*: no answer within 15 s/)
  for (const [at, child] of connected.entries())
    await child.waitFor(new RegExp(`asked meanwhile ${at}\n`), { timeoutMs: PATIENCE_MS })
  for (const [at, child] of late.entries()) await child.waitFor(new RegExp(`late ${at}\n`), { timeoutMs: PATIENCE_MS })
  const done = await login
  expect([done.code, done.stderr]).toEqual([0, ''])
  await heldPsql.waitFor(/held and let in/, { timeoutMs: PATIENCE_MS })
  expect((await psql(waiting.url, ['-c', "select 'new'"])).stdout).toBe('new\n')
  for (const child of [...connected, ...late, heldPsql]) expect(child.stderr).toBe('')
})
