// `postern sessions` over the whole product: real access server, PostgreSQL and psql, the command line as a person runs it. A session
// is seen while it lives, ended, and its client is told why in its own protocol.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connectToCore } from '../../client/connect.ts'
import type { AuditEvent } from '../../shared/audit-api.ts'
import type { SessionView } from '../../shared/session-api.ts'
import { ADMIN, BOB, keepPsql, startCluster, type OpenGateway, type TestCluster } from '../support/cluster.ts'
import { until, type Kept } from '../support/run.ts'

let cluster: TestCluster
let alice = ''
let bob = ''
let root = ''
let carol = ''
let gateway: OpenGateway
const psqls = new Set<Kept>()
beforeAll(async () => {
  cluster = await startCluster()
  await cluster.apply('{ kind: user, name: carol, level: viewer, password: correct horse carol }')
  ;[alice, bob, root, carol] = (await Promise.all([1, 2, 3, 4].map(() => cluster.newHome()))) as [
    string,
    string,
    string,
    string,
  ]
  await cluster.login(alice)
  await cluster.login(bob, BOB)
  await cluster.login(root, ADMIN)
  await cluster.login(carol, { name: 'carol', password: 'correct horse carol' })
  gateway = await cluster.open(alice, 'orders')
})
afterAll(async () => {
  await Promise.all([...psqls].map((child) => child.stop()))
  await cluster.close()
})

const sessions = (home: string, ...args: string[]) => cluster.postern(home, ['sessions', ...args])

async function listed(home: string, ...args: string[]): Promise<SessionView[]> {
  const done = await sessions(home, 'ls', '--json', ...args)
  expect(done, done.stderr).toMatchObject({ code: 0 })
  return (JSON.parse(done.stdout) as { sessions: SessionView[] }).sessions
}

/** psql that has run something and stays. */
async function connect(): Promise<Kept> {
  const child = keepPsql(gateway.url)
  psqls.add(child)
  child.write("select 'it is ' || 'there';\n")
  await child.waitFor(/it is there/)
  return child
}

/** The one live session of alice, once it is there. */
async function live(): Promise<SessionView> {
  const [found] = await listed(alice)
  if (!found) throw new Error('alice has no live session')
  return found
}

const saysWhy = async (child: Kept): Promise<string> => {
  child.write('select 1;\n')
  return (await child.ended).stderr
}

describe('sessions in a terminal', () => {
  it('S1, R5: ls has what one uses, show what one ran; the beginning of an id is enough', async () => {
    const child = await connect()
    child.write("select id from orders where customer like 'customer 1%';\nselect broken;\n")
    await child.waitFor(/broken/)
    const session = await live()
    expect(session).toMatchObject({
      ...{ user: 'alice', resource: 'orders', account: 'reader', protocol: 'postgres', state: 'active' },
      ...{ connections: 1, endReason: null, endedBy: null },
    })
    expect(session.bytesToClient).toBeGreaterThan(0)
    expect(session.statements).toBeGreaterThanOrEqual(3)
    expect(session.lastStatementAt).not.toBeNull()
    const table = await sessions(alice, 'ls')
    expect(table.stdout).toContain(session.id.slice(0, 8))
    expect(table.stdout).toMatch(/ID +USER +RESOURCE/)

    const shown = await sessions(alice, 'show', session.id.slice(0, 6))
    expect(shown).toMatchObject({ code: 0 })
    expect(shown.stdout).toContain(session.id)
    expect(shown.stdout).toMatch(/SELECT 1 .*select 'it is ' \|\| 'there'/)
    expect(shown.stdout).toMatch(/error 42703.*select broken/)
    const searched = await sessions(alice, 'show', session.id, '--search', 'CUSTOMER LIKE', '--json')
    const { statements } = JSON.parse(searched.stdout) as { statements: AuditEvent[] }
    expect(statements.map(({ detail }) => detail['sql'])).toEqual([
      "select id from orders where customer like 'customer 1%';",
    ])
    child.write('\\q\n')
    await child.ended
  })

  it('S1: one ends their own: psql gets 57P01 with who and why, ls says cancelled', async () => {
    const child = await connect()
    const { id } = await live()
    // Without a person to ask, it has to be said.
    expect(await sessions(alice, 'end', id)).toMatchObject({ code: 2 })
    const ended = await sessions(alice, 'end', id.slice(0, 8), '--yes')
    expect(ended, ended.stderr).toMatchObject({ code: 0 })
    expect(ended.stdout).toMatch(/^Ended [0-9a-f]{8}, alice on orders as reader: cancelled\.\n$/)
    expect(await saysWhy(child)).toMatch(/FATAL: .*session/)
    const [over] = await listed(alice, '--state', 'ended')
    expect(over).toMatchObject({ id, endReason: 'cancelled', endedBy: 'alice', connections: 0, connectionsTotal: 2 })
    // Ended once: who comes later hears the first reason, and it stays.
    const again = await sessions(root, 'end', id, '--yes', '--json')
    expect(JSON.parse(again.stdout)).toEqual({ id, reason: 'cancelled', wasOver: true })
    expect((await listed(alice, '--state', 'ended'))[0]).toMatchObject({ endReason: 'cancelled', endedBy: 'alice' })
  })

  it("S1, W1: others' are for viewers to see and for administrators to end", async () => {
    const child = await connect()
    const { id } = await live()
    expect(await listed(bob)).toEqual([])
    expect(await sessions(bob, 'ls', '--all')).toMatchObject({ code: 4 })
    expect(await sessions(bob, 'show', id)).toMatchObject({ code: 1 })
    expect(await sessions(bob, 'end', id, '--yes')).toMatchObject({ code: 1 })
    expect((await listed(carol, '--user', 'alice')).map((session) => session.id)).toEqual([id])
    const refused = await sessions(carol, 'end', id, '--yes')
    expect(refused).toMatchObject({ code: 4 })
    expect(refused.stderr).toContain('admin')
    expect(child.isRunning).toBe(true)
    const ended = await sessions(root, 'end', id, '--yes')
    expect(ended.stdout).toContain('terminated')
    expect(await saysWhy(child)).toMatch(/FATAL: .*administrator/)
    expect((await listed(carol, '--all', '--state', 'ended'))[0]).toMatchObject({
      ...{ id, endReason: 'terminated', endedBy: 'root' },
    })
    const asked = await cluster.audit(['--session', id, '--event', 'session.end.asked'])
    expect(asked).toMatchObject([{ user: 'root', detail: { of: 'alice', reason: 'terminated' } }])
    // The gateway's terminal says it, too.
    await gateway.process.waitFor(/root, an administrator, ended it/)
  })

  it('C9: watch says at once what begins and what ends, through a restart of server and core', async () => {
    const watch = cluster.keep(alice, ['sessions', 'watch', '--json'])
    await watch.waitFor(/"event":"listed"/)
    const child = await connect()
    const { id } = await live()
    await watch.waitFor(new RegExp(`"event":"session","session":{"id":"${id}"`))
    await sessions(alice, 'end', id, '--yes')
    await watch.waitFor(new RegExp(`"id":"${id}".*"state":"ended".*"endReason":"cancelled"`))
    await child.stop()

    await cluster.server().stop()
    await watch.waitFor(/"event":"problem"/)
    await cluster.startServer()
    const next = await connect()
    const after = await live()
    await watch.waitFor(new RegExp(`"id":"${after.id}"`))
    await next.stop()

    const core = await connectToCore({
      home: alice,
      kind: 'terminal',
      canAsk: false,
      appVersion: 'test',
      start: false,
    })
    const { pid } = core.core
    await core.close()
    const listed = (): number => watch.stdout.split('"event":"listed"').length
    const before = listed()
    process.kill(pid, 'SIGKILL')
    await watch.waitFor(/"event":"core_lost"/)
    await until(() => Promise.resolve(listed() > before), 'it lists anew', 60_000)
    watch.child.kill('SIGINT')
    expect(await watch.ended).toMatchObject({ code: 0 })
  })

  it('C9: on a screen one table is drawn over itself; Ctrl-C leaves it and ends well', async () => {
    const watch = cluster.terminal(alice, ['sessions', 'watch'])
    await watch.waitFor(/live sessions? on test/)
    const child = await connect()
    const { id } = await live()
    await watch.waitFor(new RegExp(`\\u001b\\[\\d+A[\\s\\S]*${id.slice(0, 8)}`))
    await child.stop()
    watch.write('\u0003')
    await until(() => Promise.resolve(!watch.isRunning), 'the watch ends')
    expect(await watch.ended).toMatchObject({ code: 0 })
  })

  it('E2: without a login they fail with exit code 3', async () => {
    const home = await cluster.newHome()
    await cluster.login(home)
    await cluster.postern(home, ['logout'])
    expect(await sessions(home, 'ls')).toMatchObject({ code: 3 })
    expect(await sessions(home, 'watch')).toMatchObject({ code: 3 })
  })
})
