// E1, R5: failures are provoked inside a running server, seen with psql and `postern`: fixed texts with an id that finds the cause
// in the log, and nothing of the inside. And everything that the server wrote into the audit log meanwhile is as documented.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { AuditEvent } from '../../shared/audit-api.ts'
import { auditEventProblems } from '../../shared/audit-events.ts'
import { ADMIN, ALICE, psql, startCluster, type OpenGateway, type TestCluster } from '../support/cluster.ts'
import { until } from '../support/run.ts'

let cluster: TestCluster
let home: string
let adminHome: string
let gateway: OpenGateway
beforeAll(async () => {
  cluster = await startCluster()
  ;[home, adminHome] = [await cluster.newHome(), await cluster.newHome()]
  await cluster.login(home)
  await cluster.login(adminHome, ADMIN)
  gateway = await cluster.open(home, 'orders')
  expect((await psql(gateway.url, ['-c', 'select 1'])).stdout.trim()).toBe('1')
})
afterAll(() => cluster.close())

/** Breaks the server's store by its back for as long as `work` takes. */
async function whileBroken<T>(how: string, mend: string, work: () => Promise<T>): Promise<T> {
  const store = new DatabaseSync(join(cluster.directory, 'server', 'postern.sqlite'), { timeout: 10_000 })
  try {
    store.exec(how)
    return await work()
  } finally {
    store.exec(mend)
    store.close()
  }
}

const away = (table: string): [string, string] => [
  `alter table ${table} rename to ${table}_away`,
  `alter table ${table}_away rename to ${table}`,
]

/** Paths, tables, drivers, stacks, errno names: what no client may read. */
const INSIDE =
  /sqlite|no such table|_away|node:|node_modules|\.ts\b|\bat \S+ \(|\bE(CONN|NOENT|PERM|ACCES|PIPE)\w*|errcode|master\.key|sealed|\/tmp\//

/** The text is sanitised, and its error id is in the log with the cause. */
async function expectSanitised(text: string, cause: RegExp): Promise<void> {
  expect(text).not.toMatch(INSIDE)
  expect(text).not.toContain(cluster.directory)
  const id = /\b[0-9a-f]{8}\b/.exec(text.replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, ''))?.[0]
  expect(id, text).toBeDefined()
  const log = await readFile(join(cluster.directory, 'server.log'), 'utf8')
  const line = log.split('\n').find((one) => one.includes(`"errorId":"${id ?? ''}"`))
  expect(line, `${id ?? ''} is in the log`).toBeDefined()
  expect(line).toMatch(cause)
}

describe('failures of the inside', () => {
  it('E1: a stored secret that cannot be opened', async () => {
    const failed = await whileBroken(
      `create table kept as select * from resource_accounts; update resource_accounts set password_sealed = 'v1:AAAA'`,
      'update resource_accounts set password_sealed = (select password_sealed from kept where kept.resource = resource_accounts.resource and kept.name = resource_accounts.name); drop table kept',
      () => psql(gateway.url, ['-v', 'VERBOSITY=verbose', '-c', 'select 1']),
    )
    expect(failed.code).toBe(2)
    await expectSanitised(failed.stderr, /cannot be decrypted/)
  })

  it('E1: a store that fails while a connection is let in', async () => {
    const failed = await whileBroken(...away('routes'), () => psql(gateway.url, ['-c', 'select 1']))
    expect(failed.code).toBe(2)
    await expectSanitised(failed.stderr, /no such table/)
  })

  it.each([
    ['users', ['login', '--user', ALICE.name, '--password-stdin']],
    ['resources', ['resources', 'ls']],
    ['roles', ['admin', 'role', 'ls']],
    ['grants', ['admin', 'grant', 'ls']],
    ['ca_keys', ['admin', 'ca', 'rotate']],
  ])('E1: without the table %s, a call fails with an id and nothing else', async (table, args) => {
    const person = args[0] === 'admin' ? adminHome : home
    const failed = await whileBroken(...away(table), () =>
      cluster.postern(person, args, { input: `${ALICE.password}\n` }),
    )
    expect(failed.code).toBe(1)
    await expectSanitised(failed.stderr, /no such table|no such column|error in/)
  })

  it('R5: no login without its event in the log: a store that refuses it refuses the login', async () => {
    const failed = await whileBroken(...away('audit'), () =>
      cluster.postern(home, ['login', '--user', ALICE.name, '--password-stdin'], { input: `${ALICE.password}\n` }),
    )
    expect(failed.code).toBe(1)
    await expectSanitised(failed.stderr, /no such table/)
    await cluster.login(home)
  })

  it('E1: afterwards everything works again', async () => {
    const works = async () => (await psql(gateway.url, ['-c', 'select 1'])).stdout.trim() === '1'
    await until(works, 'psql works', 30_000)
  })
})

it('R5: whatever a server writes into the audit log is as documented', async () => {
  await psql(gateway.url, ['-c', 'select 1; select 2', '-c', 'select 1/0', '-c', 'copy (select 1) to stdout'])
  await psql(gateway.url.replace('reader@', 'nobody@'), ['-c', 'select 1'])
  await cluster.postern(home, ['db', 'query', 'orders', 'select 7'])
  await cluster.postern(home, ['admin', 'user', 'ls'])
  await cluster.postern(home, ['login', '--user', ALICE.name, '--password-stdin'], { input: 'wrong\n' })
  await cluster.apply('{ kind: role, name: spare }')
  await cluster.postern(adminHome, ['admin', 'ca', 'rotate'])
  await cluster.postern(home, ['logout'])
  const events = (await cluster.audit()).map((event) => AuditEvent.parse(event))
  expect(events.flatMap(auditEventProblems)).toEqual([])
  const names = new Set(events.map(({ event }) => event))
  for (const name of [
    ...['server.start', 'login.succeeded', 'login.failed', 'login.ended', 'access.denied', 'admin.change'],
    ...['session.start', 'session.active', 'session.end', 'connection.open', 'connection.close'],
    ...['statement.query', 'statement.prepare', 'statement.execute', 'statement.copy'],
  ])
    expect([...names]).toContain(name)
})
