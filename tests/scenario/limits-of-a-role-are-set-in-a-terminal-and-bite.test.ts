// Limits by role (S7) as an administrator sets them and a client meets them: the command line against a real access server, psql
// through real gateways. What is set is shown, kept, changed and taken away by flags; what is too much is refused by name.
import pg from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { RoleSpec } from '../../shared/admin-api.ts'
import { ADMIN, keepPsql, psql, startCluster, type OpenGateway, type TestCluster } from '../support/cluster.ts'
import { until, type Kept } from '../support/run.ts'

let cluster: TestCluster
let alice = ''
let root = ''
let reader: OpenGateway
let writer: OpenGateway
const psqls = new Set<Kept>()
beforeAll(async () => {
  cluster = await startCluster()
  ;[alice, root] = (await Promise.all([1, 2].map(() => cluster.newHome()))) as [string, string]
  await cluster.login(alice)
  await cluster.login(root, ADMIN)
  reader = await cluster.open(alice, 'orders', ['--account', 'reader'])
  writer = await cluster.open(alice, 'orders', ['--account', 'writer'])
})
afterAll(async () => {
  await Promise.all([...psqls].map((child) => child.stop()))
  await cluster.close()
})

const role = (...args: string[]) => cluster.postern(root, ['admin', 'role', ...args])

async function setRole(...args: string[]): Promise<void> {
  const done = await role('set', 'developer', ...args)
  expect(done, done.stderr).toMatchObject({ code: 0 })
}

async function developer(): Promise<RoleSpec> {
  const done = await role('ls', '--json')
  const { roles } = JSON.parse(done.stdout) as { roles: RoleSpec[] }
  const found = roles.find(({ name }) => name === 'developer')
  if (!found) throw new Error(`there is no role developer: ${done.stderr}`)
  return found
}

/** psql that is let in and stays. */
async function connected(url: string): Promise<Kept> {
  const child = keepPsql(url)
  psqls.add(child)
  child.write("select 'it is ' || 'there';\n")
  await child.waitFor(/it is there/)
  return child
}

/** What a driver gets, with its SQLSTATE. */
async function refusal(url: string): Promise<{ code: string | undefined; text: string }> {
  const client = new pg.Client({ connectionString: url })
  // The server's last word may come after the error that ended the start.
  client.on('error', () => undefined)
  try {
    await client.connect()
  } catch (error) {
    return { code: (error as { code?: string }).code, text: error instanceof Error ? error.message : '' }
  } finally {
    await client.end().catch(() => undefined)
  }
  throw new Error('it was let in')
}

it('S7, E3: flags set limits; what no flag names stays; lists show them; none and default take them away', async () => {
  const { allow } = await developer()
  await setRole('--session-max', '8h', '--idle', '1h30m', '--sessions', '5', '--connections', '20')
  expect((await developer()).limits).toEqual({
    ...{ maxSessionDuration: '8h', idleTimeout: '1h30m', maxSessions: 5, maxConnections: 20 },
  })
  const table = await role('ls')
  expect(table.stdout).toMatch(/^ROLE .* LIMITS +DESCRIPTION$/m)
  expect(table.stdout).toMatch(/^developer .* 8h long, 1h30m idle, 5 sessions, 20 connections$/m)

  await setRole('--description', 'Whoever works on the shop')
  await setRole('--sessions', 'none', '--idle', 'none', '--session-max', 'default')
  expect(await developer()).toMatchObject({ limits: { idleTimeout: 'none', maxConnections: 20 }, allow })
  expect((await role('ls')).stdout).toMatch(/^developer .* however idle, 20 connections +Whoever works on the shop$/m)
  await setRole('--append', '--resource', 'hidden', '--account', 'reader')
  expect(await developer()).toMatchObject({ limits: { idleTimeout: 'none', maxConnections: 20 } })

  await setRole('--idle', 'default', '--connections', 'none')
  expect(await developer()).not.toHaveProperty('limits')
  const made = await role(
    'add',
    'short',
    '--resource',
    'orders',
    '--account',
    'reader',
    '--session-max',
    '10m',
    '--json',
  )
  expect(JSON.parse(made.stdout)).toMatchObject({ applied: [{ kind: 'role', name: 'short', change: 'created' }] })
  expect((await role('ls')).stdout).toMatch(/^short .* 10m long$/m)
  await role('rm', 'short')
})

it('E3: a limit that is none is named, with its flag and what to write instead, before the server is asked', async () => {
  const wrong: [string[], RegExp][] = [
    [['--session-max', '8 hours'], /--session-max <duration>.* '8 hours' .*8h or 1h30m, none, or default/s],
    [['--idle', '0s'], /--idle <duration>.* '0s' .*duration such as 30m/s],
    [['--sessions', '0'], /--sessions <count>.* '0' .*whole number from 1 to 1000000, or none/s],
    [['--connections', 'many'], /--connections <count>.* 'many' .*or none/s],
    [['--connections', '2.5'], /'2\.5'/],
  ]
  for (const [flags, text] of wrong) {
    const done = await role('set', 'developer', ...flags)
    expect(done, done.stdout).toMatchObject({ code: 2 })
    expect(done.stderr).toMatch(text)
  }
  const file = 'kind: role\nname: developer\nlimits: { idleTimeout: soon, maxSessions: 0, sessions: 5 }\n'
  const applied = await cluster.postern(root, ['admin', 'apply', '-'], { input: file })
  expect(applied).toMatchObject({ code: 2 })
  expect(applied.stderr).toMatch(/document 1 \(line 1\): limits\.idleTimeout: .*30s, 10m, 8h or 1h30m nor none/)
  expect(applied.stderr).toMatch(/limits\.maxSessions: a limit is a whole number from 1 to 1000000; leave it out/)
  expect(applied.stderr).toContain('limits.sessions: there is no such key')
})

it('S7, E1: one connection too many is 53300 with the limit, whose role it is and what to do', async () => {
  await setRole('--connections', '1')
  const child = await connected(reader.url)
  const { code, text } = await refusal(reader.url)
  expect(code).toBe('53300')
  expect(text).toContain(
    'this session with orders has 1 connection already, as many as the role developer allows (maxConnections: 1)',
  )
  const refused = await psql(reader.url, ['-c', 'select 1'])
  expect(refused).toMatchObject({ code: 2 })
  expect(refused.stderr).toMatch(/FATAL: .*1 connection already.*\(maxConnections: 1\); close one of them first/)
  // The one that is in is not disturbed, and its end makes room.
  child.write("select 'still ' || 'there';\n")
  await child.waitFor(/still there/)
  const closed = async (): Promise<number> => (await cluster.audit(['--event', 'connection.close'])).length
  const before = await closed()
  child.write('\\q\n')
  // It is over when its target has closed it, too: some time after psql has ended.
  await until(async () => (await closed()) > before, 'the connection is over')
  expect(await psql(reader.url, ['-c', 'select 7'])).toMatchObject({ code: 0, stdout: '7\n' })
  const denied = await cluster.audit(['--event', 'access.denied', '--limit', '1'])
  expect(denied).toMatchObject([{ user: 'alice', resource: 'orders', detail: { code: 'connection_limit' } }])
  await setRole('--connections', 'none')
})

it('S7, E1: one session too many is 53300; ending the first lets the second in', async () => {
  await setRole('--sessions', '1')
  const child = await connected(reader.url)
  const { code, text } = await refusal(writer.url)
  expect(code).toBe('53300')
  expect(text).toContain(
    'alice has 1 session through the role developer already, as many as it allows (maxSessions: 1)',
  )
  expect((await psql(writer.url, ['-c', 'select 1'])).stderr).toMatch(/FATAL: .*postern sessions ls/)

  const listed = await cluster.postern(alice, ['sessions', 'ls', '--json'])
  const [session] = (JSON.parse(listed.stdout) as { sessions: { id: string }[] }).sessions
  await cluster.postern(alice, ['sessions', 'end', String(session?.id), '--yes'])
  expect(await psql(writer.url, ['-c', 'select 7'])).toMatchObject({ code: 0, stdout: '7\n' })
  await child.stop()
  await setRole('--sessions', 'none')
})

it('S7: a session that is as long as its role allows ends, and its client is told so', async () => {
  await cluster.postern(alice, ['gateway', 'close', writer.id])
  await setRole('--session-max', '10s')
  const child = await connected(reader.url)
  const ends = (): Promise<Record<string, unknown>[]> => cluster.audit(['--event', 'session.end', '--limit', '1'])
  await until(async () => JSON.stringify(await ends()).includes('"expired"'), 'the session ends', 30_000)
  // psql looks at its connection only when it has something to send.
  child.write('select 1;\n')
  const why = 'its time limit of 10s was reached, set by the role developer (maxSessionDuration)'
  expect((await child.ended).stderr).toContain(`Postern ended this session: ${why}`)
  expect(await ends()).toMatchObject([{ user: 'alice', detail: { reason: 'expired', why } }])
  // Whoever looks later is told the same.
  const id = String((await ends())[0]?.['session'])
  const shown = await cluster.postern(alice, ['sessions', 'show', id])
  expect(shown.stdout).toMatch(/^State: +ended \S+: expired: /m)
  expect(shown.stdout).toContain(why)
  await setRole('--session-max', 'default')
})
