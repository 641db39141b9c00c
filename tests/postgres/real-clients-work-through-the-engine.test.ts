import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { untilBackends, useTestPostgres } from '../support/postgres.ts'
import { APP_PASSWORD, psql, run, SHOP_SQL, startHarness, type Harness } from './engine-harness.ts'

const cluster = useTestPostgres({ initialSql: SHOP_SQL })
let engine: Harness
beforeAll(async () => {
  engine = await startHarness({ address: `127.0.0.1:${cluster.current.port}`, password: APP_PASSWORD })
})
afterAll(() => engine.close())

it.each(['disable', 'prefer'])(
  'DB1: psql with sslmode=%s gets its rows and the settings of its startup message',
  async (mode) => {
    const url = engine.url('shop', `&sslmode=${mode}&application_name=report&options=-c%20work_mem%3D5MB`)
    const { code, stdout, stderr } = await psql(url, [
      '-c',
      "select current_user, current_database(), current_setting('application_name'), current_setting('work_mem')",
    ]).done
    expect(stderr).toBe('')
    expect(stdout).toBe('app|shop|report|5MB\n')
    expect(code).toBe(0)
    expect(engine.state.isActive).toBe(true)
  },
)

it('G13: the first query is neither lost nor sent twice', async () => {
  await psql(engine.url(), ['-c', 'create table once(n int)']).done
  const { stdout } = await psql(engine.url(), [
    '-c',
    'insert into once values (1) returning n',
    '-c',
    'select count(*) from once',
  ]).done
  expect(stdout.split('\n')).toContain('1')
  expect((await cluster.current.sql('select count(*)::int as n from once', 'shop')).rows).toEqual([{ n: 1 }])
})

it('DB1: COPY goes in and out, and the log has its bytes', async () => {
  const rows = Array.from({ length: 20_000 }, (_, index) => `${index}\tname ${index}\n`).join('')
  const before = engine.events.length
  const into = await psql(
    engine.url(),
    ['-c', 'create table people(id int, name text)', '-c', '\\copy people from stdin'],
    rows,
  ).done
  expect(into).toMatchObject({ code: 0, stderr: '' })
  const out = await psql(engine.url(), ['-c', '\\copy (select * from people order by id) to stdout']).done
  expect(out.stdout).toBe(rows)
  await engine.settled()
  const copies = engine.events.slice(before).filter(({ event }) => event === 'statement.copy')
  expect(copies.map(({ detail }) => detail)).toMatchObject([
    { direction: 'in', bytes: rows.length, outcomes: [{ outcome: 'completed', tag: 'COPY 20000', rows: 20_000 }] },
    { direction: 'out', bytes: rows.length, outcomes: [{ outcome: 'completed', tag: 'COPY 20000' }] },
  ])
})

describe('pgbench', () => {
  beforeAll(async () => {
    const made = await run('pgbench', ['-i', '-q', '-s', '1', engine.url()]).done
    expect(made.code).toBe(0)
  })
  it.each(['simple', 'extended', 'prepared'])('DB1: pgbench -M %s runs its transactions', async (mode) => {
    const { code, stdout, stderr } = await run('pgbench', ['-n', '-M', mode, '-c', '4', '-t', '100', engine.url()]).done
    expect(stderr).not.toContain('ERROR')
    expect(stdout).toContain('number of transactions actually processed: 400/400')
    expect(code).toBe(0)
  })
  it('DB1: pgbench in pipeline mode runs its transactions', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'postern-bench-'))
    const script = join(folder, 'pipeline.sql')
    await writeFile(
      script,
      ['\\startpipeline', ...Array<string>(500).fill('select 1;'), '\\endpipeline', ''].join('\n'),
    )
    const { code, stdout } = await run('pgbench', ['-n', '-M', 'extended', '-f', script, '-t', '20', engine.url()]).done
    await rm(folder, { recursive: true })
    expect(stdout).toContain('number of transactions actually processed: 20/20')
    expect(code).toBe(0)
  })
})

it('DB1: LISTEN and NOTIFY pass between two connections', async () => {
  const [listener, speaker] = [engine.client(), engine.client()]
  await Promise.all([listener.connect(), speaker.connect()])
  try {
    await listener.query('listen news')
    const heard = new Promise((resolve) => listener.once('notification', resolve))
    await speaker.query("notify news, 'hello'")
    expect(await heard).toMatchObject({ channel: 'news', payload: 'hello' })
  } finally {
    await Promise.all([listener.end(), speaker.end()])
  }
})

it('DB1: every connection is in the log with its application, database and bytes', async () => {
  const before = engine.events.length
  await psql(engine.url('postgres', '&application_name=ledger'), ['-c', 'select 1']).done
  await engine.settled()
  const entries = engine.events.slice(before)
  expect(entries.map(({ event }) => event)).toEqual(['connection.open', 'statement.query', 'connection.close'])
  expect(entries[0]).toMatchObject({
    user: 'alice',
    login: 'login-1',
    session: 'session-1',
    resource: 'orders',
    account: 'app',
    address: '127.0.0.1:1',
  })
  expect(entries[2]!.detail).toMatchObject({ reason: 'client', database: 'postgres', application_name: 'ledger' })
  expect(entries[2]!.detail!['bytesToClient']).toBeGreaterThan(20)
})

it('S2: nothing is left open when the connections are over', async () => {
  await engine.settled()
  expect(engine.serving.size).toBe(0)
  expect(engine.events.filter(({ detail }) => JSON.stringify(detail).includes('"unknown"'))).toEqual([])
  await untilBackends(cluster.current, 0, "usename = 'app'")
})
