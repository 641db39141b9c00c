// R5 as an auditor has it: `postern audit` against a real access server with real sessions of psql. Searched, followed through a
// restart while the retention deletes, exported in pieces that are broken off; nothing is missing and nothing comes twice.
import { readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { AuditEvent } from '../../shared/audit-api.ts'
import { ADMIN, psql, startCluster, type OpenGateway, type TestCluster } from '../support/cluster.ts'
import { run, until, type Finished, type Kept } from '../support/run.ts'

let cluster: TestCluster
let root = ''
let alice = ''
let gateway: OpenGateway
beforeAll(async () => {
  cluster = await startCluster({ settings: 'audit: { retention: 1d }' })
  ;[alice, root] = (await Promise.all([1, 2].map(() => cluster.newHome()))) as [string, string]
  await cluster.login(alice)
  await cluster.login(root, ADMIN)
  gateway = await cluster.open(alice, 'orders')
})
afterAll(() => cluster.close())

const audit = (...args: string[]): Promise<Finished> => cluster.postern(root, ['audit', ...args])

async function found(...args: string[]): Promise<AuditEvent[]> {
  const done = await audit('--json', ...args)
  expect(done, done.stderr).toMatchObject({ code: 0 })
  return eventsIn(done.stdout)
}

const eventsIn = (lines: string): AuditEvent[] =>
  lines
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as AuditEvent)

/** Whole lines: the last one may be on its way. */
const printed = (child: Kept): AuditEvent[] => eventsIn(child.stdout.slice(0, child.stdout.lastIndexOf('\n') + 1))
const seqs = (events: AuditEvent[]): number[] => events.map(({ seq }) => seq)
const fromTo = (first: number, last: number): number[] => Array.from({ length: last - first + 1 }, (_, n) => first + n)

async function query(sql: string): Promise<void> {
  const done = await psql(gateway.url, ['-c', sql])
  expect(done, done.stderr).toMatchObject({ code: 0 })
}

it('R5: what one did is found by person, session, resource, account, event, family and time', async () => {
  /** The server closes a connection to its target last: a while after psql has ended. */
  const areClosed = (count: number): Promise<void> =>
    until(async () => (await found('--event', 'connection.close')).length === count, `${count} connections are closed`)
  await query("select 'first of ' || current_user")
  await areClosed(1)
  await query('select count(*) from orders')
  await areClosed(2)
  const statements = await found('--user', 'alice', '--event', 'statement', '--since', '1h')
  expect(statements.map(({ detail }) => detail['sql'])).toEqual([
    "select 'first of ' || current_user",
    'select count(*) from orders',
  ])
  expect(statements[0]).toMatchObject({
    ...{ event: 'statement.query', user: 'alice', resource: 'orders', account: 'reader' },
    detail: { outcomes: [{ outcome: 'completed', rows: 1 }] },
  })
  const session = String(statements[0]?.session)
  const ofSession = await found('--session', session)
  // Two things that begin at the same moment are in either order: that it is active, and its first connection.
  expect(ofSession.map(({ event }) => event).filter((event) => event !== 'session.active')).toEqual([
    ...['session.start', 'connection.open', 'statement.query', 'connection.close'],
    ...['connection.open', 'statement.query', 'connection.close'],
  ])
  expect(ofSession.filter(({ event }) => event === 'session.active')).toHaveLength(1)
  expect(await found('--session', session, '--event', 'connection.open', '--account', 'writer')).toEqual([])
  expect(await found('--resource', 'orders', '--event', 'session.start', '--until', '1h')).toEqual([])
  expect(seqs(await found('--limit', '2'))).toHaveLength(2)

  const text = await audit('--session', session, '--event', 'statement.query')
  expect(text.stdout).toMatch(
    new RegExp(`^\\S+Z  statement\\.query     alice reader@orders session=${session.slice(0, 8)} .*first of`, 'm'),
  )
})

it('E3, W1: what is wrong is named; who may not read it is refused', async () => {
  const wrong: [string[], RegExp][] = [
    [['--since', 'soon'], /--since "soon" is neither a duration such as 1h nor a time/],
    [['--until', '-1h'], /--until "-1h" is neither/],
    [['--limit', '0'], /--limit <count>.*'0'.*number from 1 to 1000/s],
    [['--limit', '2000'], /number from 1 to 1000/],
    [['--follow', '--until', '1h'], /--follow.*cannot be used with.*--until/s],
    [['--event', 'statment'], /event: "statment" is neither an event nor a family.* statement, query/],
    [['--nothing'], /unknown option '--nothing'/],
    [['export', '--resume'], /--resume goes on with a file: name it with --output/],
    [['export', '--output', '/nowhere/export.jsonl'], /\/nowhere\/export\.jsonl cannot be written: ENOENT/],
  ]
  for (const [flags, text] of wrong) {
    const done = await audit(...flags)
    expect(done, flags.join(' ')).toMatchObject({ code: 2, stdout: '' })
    expect(done.stderr, flags.join(' ')).toMatch(text)
  }
  for (const flags of [['--follow'], ['export']]) {
    const refused = await cluster.postern(alice, ['audit', ...flags])
    expect(refused).toMatchObject({ code: 4, stdout: '' })
    expect(refused.stderr).toContain('needs the permission level viewer; alice has none')
  }
})

it('R5: following goes on through a restart while the retention deletes, without a gap or a double', async () => {
  const following = cluster.keep(root, ['audit', '--follow', '--json'])
  await query("select 'before the restart'")
  await following.waitFor(/before the restart/)
  await cluster.server().stop()
  // A server looks what is too old when it starts.
  const store = new DatabaseSync(join(cluster.directory, 'server', 'postern.sqlite'))
  store.exec("update audit set time = '2020-02-02T00:00:00.000Z' where seq <= 10")
  store.close()
  await following.waitFor(/following goes on once that is over/)
  await cluster.startServer()
  await query("select 'after the restart'")
  await following.waitFor(/after the restart/, { timeoutMs: 60_000 })
  await following.waitFor(/"event":"audit\.pruned"/)

  const events = printed(following)
  expect(seqs(events)).toEqual(fromTo(1, events.length))
  expect(events.map(({ event }) => event)).toContain('server.stop')
  expect((await found()).every(({ seq }) => seq > 10)).toBe(true)
  following.child.kill('SIGINT')
  expect(await following.ended).toMatchObject({ code: 0 })
})

it('R5: an export that is broken off twice, by the server and by its own end, becomes whole', async () => {
  // Long statements make many pages: time enough to come in between.
  const script = join(cluster.directory, 'long.sql')
  await writeFile(
    script,
    fromTo(1, 400)
      .map((n) => `select ${n} /* ${'x'.repeat(20_000)} */;\n`)
      .join(''),
  )
  expect(await psql(gateway.url, ['-q', '-o', '/dev/null', '-f', script])).toMatchObject({ code: 0 })
  const [first] = await found('--event', 'statement', '--limit', '1000')
  const last = (await found('--limit', '1')).at(-1)?.seq ?? 0
  const file = join(cluster.directory, 'export.jsonl')
  const size = (): Promise<number> =>
    stat(file).then(
      (stats) => stats.size,
      () => 0,
    )

  /** An export that the server's death breaks off; one that was done by then is begun anew. */
  const breakOff = async (): Promise<Finished> => {
    const one = cluster.keep(root, ['audit', 'export', '--output', file])
    await until(async () => (await size()) > 0 || !one.isRunning, 'the export begins')
    await cluster.server().stop('SIGKILL')
    const ended = await one.ended
    if (ended.code !== 0) return ended
    await rm(file)
    await cluster.startServer()
    return breakOff()
  }
  const broken = await breakOff()
  expect(broken).toMatchObject({ code: 1 })
  expect(broken.stderr).toMatch(/\d+ events are in .*export\.jsonl; the same command with --resume goes on behind them/)
  const before = await size()
  await cluster.startServer()

  const two = cluster.keep(root, ['audit', 'export', '--output', file, '--resume'])
  await until(async () => (await size()) > before || !two.isRunning, 'the export goes on')
  await two.stop('SIGKILL')

  const three = await audit('export', '--output', file, '--resume')
  expect(three, three.stderr).toMatchObject({ code: 0, stdout: '' })
  expect(three.stderr).toMatch(/\d+ events exported to/)
  const exported = eventsIn(await readFile(file, 'utf8'))
  expect(seqs(exported)).toEqual(fromTo(exported[0]?.seq ?? 0, exported.at(-1)?.seq ?? 0))
  expect(exported[0]?.seq).toBeLessThanOrEqual(first?.seq ?? 0)
  expect(exported.at(-1)?.seq).toBeGreaterThanOrEqual(last)
  expect(exported.filter(({ event }) => event === 'statement.query').length).toBeGreaterThanOrEqual(400)
  expect((await stat(file)).mode & 0o777).toBe(0o600)
})

it('R5: an export into a program that stops reading ends, and says nothing', async () => {
  const line = `exec "$NODE" "$POSTERN" audit export --event statement | head -n 1`
  const env = {
    ...{ POSTERN_HOME: root, NODE: process.execPath },
    POSTERN: new URL('../../bin/postern', import.meta.url).pathname,
  }
  const done = await run('sh', ['-c', line], { env })
  expect(done).toMatchObject({ code: 0, stderr: '' })
  expect(eventsIn(done.stdout)).toHaveLength(1)
})
