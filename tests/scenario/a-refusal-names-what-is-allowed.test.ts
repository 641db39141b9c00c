// What the role, the account, the database or the target do not allow: psql and `postern` say what was wrong and what is right.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ALICE, psql, startCluster, type OpenGateway, type TestCluster } from '../support/cluster.ts'
import { freePort } from '../support/free-port.ts'

let cluster: TestCluster
let home: string
let gateway: OpenGateway
beforeAll(async () => {
  cluster = await startCluster()
  home = await cluster.newHome()
  await cluster.login(home)
  gateway = await cluster.open(home, 'orders')
})
afterAll(async () => {
  await cluster.close()
})

describe('refusals', () => {
  it('DB1: another user in the startup message is refused with the right one named', async () => {
    const refused = await psql(gateway.url.replace('reader@', 'writer@'), ['-c', 'select 1'])
    expect(refused.code).toBe(2)
    expect(refused.stderr).toMatch(/FATAL: .*reader/)
  })

  it('DB1: a database that the role does not allow is refused, naming those allowed and the default', async () => {
    const refused = await psql(gateway.url, ['-d', gateway.url.replace('/postgres?', '/reader?'), '-c', 'select 1'])
    expect(refused.code).toBe(2)
    expect(refused.stderr).toMatch(/FATAL: .*reader[\s\S]*postgres[\s\S]*template1/)
  })

  it('G7: a resource of no role answers like one that does not exist, an account not allowed names those allowed', async () => {
    const hidden = await cluster.postern(home, ['gateway', 'open', 'hidden', '--json'])
    const missing = await cluster.postern(home, ['gateway', 'open', 'missing', '--json'])
    expect([hidden.code, missing.code]).toEqual([4, 4])
    expect(hidden.stderr.replaceAll('hidden', 'X')).toBe(missing.stderr.replaceAll('missing', 'X'))
    const account = await cluster.postern(home, ['gateway', 'open', 'orders', '--account', 'postgres'])
    expect(account.code).toBe(4)
    expect(account.stderr).toMatch(/reader, writer/)
  })

  it('E1: a target that is down, and one with a wrong stored password, are sanitised errors with an id that the log has', async () => {
    const closed = await freePort()
    await cluster.apply(`
kind: resource
name: down
protocol: postgres
address: 127.0.0.1:${closed}
tls: { mode: disable }
accounts: [{ name: reader, password: x }]
---
kind: resource
name: stale
protocol: postgres
address: 127.0.0.1:${cluster.postgres.port}
tls: { mode: disable }
accounts: [{ name: reader, password: stored-password-that-is-wrong }]
---
kind: resource
name: plain
protocol: postgres
address: 127.0.0.1:${cluster.postgres.port}
tls: { mode: require }
accounts: [{ name: reader, password: target-reader-secret }]
---
kind: role
name: broken
allow: [{ resources: [down, stale, plain], accounts: [reader], databases: ['*'] }]
---
{ kind: grant, user: alice, role: broken }
`)
    for (const [resource, says] of [
      ['down', /cannot reach the database/i],
      ['stale', /administrator|credential/i],
      ['plain', /TLS/],
    ] as const) {
      const broken = await cluster.open(home, resource)
      const refused = await psql(broken.url, ['-c', 'select 1'])
      expect(refused.code).toBe(2)
      expect(refused.stderr).toMatch(says)
      expect(refused.stderr).not.toMatch(/ECONNREFUSED|stored-password|:\d{4,5}"/)
      const [, errorId = ''] = /error ([0-9a-f]{8})/.exec(refused.stderr) ?? []
      expect(errorId).not.toBe('')
      const { readFile } = await import('node:fs/promises')
      expect(await readFile(`${cluster.directory}/server.log`, 'utf8')).toContain(errorId)
      await broken.process.stop()
    }
    // S5: a target that could not be reached never made its session active.
    const events = await cluster.audit(['--resource', 'down'])
    expect(events.some((event) => event['event'] === 'session.start')).toBe(true)
    expect(events.some((event) => event['event'] === 'session.active')).toBe(false)
  })

  it('S8: a grant that is taken away ends the session at once, psql is told why, and the gateway then says refused', async () => {
    const open = await cluster.open(home, 'orders', ['--account', 'writer'])
    const { keepPsql } = await import('../support/cluster.ts')
    const busy = keepPsql(open.url, ['-c', 'select 1', '-c', 'select pg_sleep(600)'])
    await busy.waitFor(/1/)
    await cluster.apply(
      '{ kind: role, name: developer, allow: [{ resources: [orders], accounts: [reader], databases: [postgres, template1] }] }',
    )
    const ended = await busy.ended
    expect(ended.stderr).toMatch(/FATAL: .*(revoked|taken away|no longer)/i)
    const refused = await psql(open.url, ['-c', 'select 1'])
    expect(refused.stderr).toMatch(/FATAL: [\s\S]*reader/)
    await cluster.apply(
      '{ kind: role, name: developer, allow: [{ resources: [orders], accounts: [reader, writer], databases: [postgres, template1] }] }',
    )
    expect(await psql(open.url, ['-c', 'select 1'])).toMatchObject({ code: 0, stdout: '1\n' })
    await open.process.stop()
  })

  it('exit codes: wrong password 4, unknown user the same, needs login 3, usage 2', async () => {
    const fresh = await cluster.newHome()
    const attempt = (user: string, password: string) =>
      cluster.postern(fresh, ['login', cluster.address, '--user', user, '--ca', cluster.caFile, '--password-stdin'], {
        input: `${password}\n`,
      })
    const wrong = await attempt(ALICE.name, 'wrong')
    const unknown = await attempt('nobody-here', 'wrong')
    expect([wrong.code, unknown.code]).toEqual([4, 4])
    expect(unknown.stderr).toBe(wrong.stderr)
    expect((await cluster.postern(fresh, ['resources', 'ls'])).code).toBe(3)
    expect((await cluster.postern(fresh, ['gateway', 'open'])).code).toBe(2)
    expect((await cluster.postern(fresh, ['no-such-command'])).code).toBe(2)
  })
})
