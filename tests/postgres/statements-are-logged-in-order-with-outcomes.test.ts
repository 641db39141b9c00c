import { once } from 'node:events'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { encodeMessage } from '../../shared/wire/postgres/backend-messages.ts'
import { encodeQuery } from '../../shared/wire/postgres/frontend-messages.ts'
import { encodeStartupMessage } from '../../shared/wire/postgres/startup.ts'
import { useTestPostgres } from '../support/postgres.ts'
import { APP_PASSWORD, psql, readAll, SHOP_SQL, startHarness, type Harness } from './engine-harness.ts'

const cluster = useTestPostgres({ initialSql: SHOP_SQL })
let engine: Harness
beforeAll(async () => {
  engine = await startHarness({ address: `127.0.0.1:${cluster.current.port}`, password: APP_PASSWORD })
})
afterAll(() => engine.close())
beforeEach(async () => {
  await engine.settled()
  engine.events.length = 0
})

const text = (...parts: string[]) => Buffer.from(parts.map((part) => `${part}\0`).join(''))
const parse = (name: string, sql: string) => encodeMessage('P', text(name, sql), Buffer.alloc(2))
const bind = (portal: string, statement: string) => encodeMessage('B', text(portal, statement), Buffer.alloc(6))
const describePortal = (portal: string) => encodeMessage('D', text(`P${portal}`))
const execute = (portal: string, rows = 0) => encodeMessage('E', text(portal), Buffer.from([0, 0, 0, rows]))
const close = (kind: 'S' | 'P', name: string) => encodeMessage('C', text(kind + name))
const sync = encodeMessage('S')
const terminate = encodeMessage('X')
const copyData = (data: string) => encodeMessage('d', Buffer.from(data))
const copyDone = encodeMessage('c')

/** Sends a startup message and everything else at once, without waiting for any answer. */
async function pipeline(...messages: Buffer[]): Promise<Buffer> {
  const socket = engine.raw()
  await once(socket, 'connect')
  const startup = encodeStartupMessage(
    new Map([
      ['user', 'app'],
      ['database', 'shop'],
    ]),
  )
  socket.write(Buffer.concat([startup, ...messages, terminate]))
  const answer = await readAll(socket)
  socket.destroy()
  await engine.settled()
  return answer
}

const logged = () =>
  engine.statements().map(({ event, detail }) => {
    const { sql, outcomes, statement, portal } = detail ?? {}
    const names = (outcomes as { outcome: string; code?: string; rows?: number }[]).map(
      (one) => one.code ?? (one.rows === undefined ? one.outcome : `${one.outcome} ${one.rows}`),
    )
    return [
      event.replace('statement.', ''),
      sql,
      names.join(', '),
      ...[statement, portal].filter((name) => name !== undefined && name !== ''),
    ]
  })

it('DB1: a simple query has one outcome for each of its statements', async () => {
  await pipeline(
    encodeQuery("select 1; select generate_series(1, 3); select 1/0; select 'never'"),
    encodeQuery(''),
    encodeQuery('select 2'),
  )
  expect(logged()).toEqual([
    ['query', "select 1; select generate_series(1, 3); select 1/0; select 'never'", 'completed 1, completed 3, 22012'],
    ['query', '', 'empty'],
    ['query', 'select 2', 'completed 1'],
  ])
  expect(engine.statements()[0]!.detail!['outcomes']).toContainEqual({
    outcome: 'error',
    code: '22012',
    class: 'data exception',
    severity: 'ERROR',
  })
})

it('DB1: pipelined Parse, Bind and Execute are logged in order, and Execute has the text of its statement', async () => {
  await pipeline(
    parse('one', 'select 1'),
    parse('many', 'select generate_series(1, 5)'),
    bind('', 'one'),
    describePortal(''),
    execute(''),
    bind('p', 'many'),
    execute('p', 2),
    execute('p'),
    close('P', 'p'),
    close('S', 'one'),
    sync,
    bind('', 'many'),
    execute(''),
    sync,
  )
  expect(logged()).toEqual([
    ['prepare', 'select 1', 'prepared', 'one'],
    ['prepare', 'select generate_series(1, 5)', 'prepared', 'many'],
    ['execute', 'select 1', 'completed 1'],
    ['execute', 'select generate_series(1, 5)', 'suspended', 'p'],
    ['execute', 'select generate_series(1, 5)', 'completed 3', 'p'],
    ['execute', 'select generate_series(1, 5)', 'completed 5'],
  ])
})

it('DB1: after an error everything up to Sync is logged as skipped, and the next cycle is right again', async () => {
  await pipeline(
    parse('bad', 'select nothing_of_this'),
    bind('', 'bad'),
    execute(''),
    parse('', 'select 1'),
    bind('', ''),
    execute(''),
    sync,
    parse('', 'select 2'),
    bind('', ''),
    execute(''),
    sync,
    bind('', 'missing'),
    execute(''),
    sync,
    encodeQuery('select 3'),
  )
  expect(logged()).toEqual([
    ['prepare', 'select nothing_of_this', '42703', 'bad'],
    ['execute', 'select nothing_of_this', 'skipped'],
    ['prepare', 'select 1', 'skipped'],
    ['execute', 'select 1', 'skipped'],
    ['prepare', 'select 2', 'prepared'],
    ['execute', 'select 2', 'completed 1'],
    ['bind', undefined, '26000', 'missing'],
    ['execute', undefined, 'skipped'],
    ['query', 'select 3', 'completed 1'],
  ])
})

it('DB1: an error that comes with the Sync is logged', async () => {
  await cluster.current.sql(
    'create table later(n int unique deferrable initially deferred); grant all on later to app',
    'shop',
  )
  await pipeline(
    parse('', 'insert into later values (1), (1)'),
    bind('', ''),
    execute(''),
    sync,
    encodeQuery('select 1'),
  )
  expect(logged().map(([event, , outcome]) => [event, outcome])).toEqual([
    ['prepare', 'prepared'],
    ['execute', 'completed 2'],
    ['execute', '23505'],
    ['query', 'completed 1'],
  ])
})

it('DB1: COPY in the extended protocol keeps the log in step, though the target swallows Sync', async () => {
  await cluster.current.sql('create table piped(n int); grant all on piped to app', 'shop')
  const copy = [parse('', 'copy piped from stdin'), bind('', ''), describePortal(''), execute('')]
  await pipeline(
    // As libpq does it: Sync at once, and another one after the data.
    ...copy,
    sync,
    copyData('1\n2\n'),
    copyDone,
    sync,
    encodeQuery('select count(*) from piped'),
    // All at once, one Sync.
    ...copy,
    copyData('3\n'),
    copyDone,
    sync,
    // The data is refused; what is left of it is passed over.
    ...copy,
    copyData('four\n'),
    copyDone,
    sync,
    // There is no COPY to take the data.
    parse('', 'copy missing from stdin'),
    bind('', ''),
    execute(''),
    copyData('x\n'),
    copyDone,
    sync,
    encodeQuery('select sum(n) from piped'),
  )
  expect(
    logged()
      .filter(([event]) => event !== 'prepare')
      .map(([event, , outcome]) => [event, outcome]),
  ).toEqual([
    ['copy', 'completed 2'],
    ['execute', 'completed 2'],
    ['query', 'completed 1'],
    ['copy', 'completed 1'],
    ['execute', 'completed 1'],
    ['copy', '22P02'],
    ['execute', '22P02'],
    ['execute', '42P01'],
    ['query', 'completed 1'],
  ])
  expect((await cluster.current.sql('select sum(n)::int as s from piped', 'shop')).rows).toEqual([{ s: 6 }])
})

it('DB1: twenty thousand requests before one Sync pass, in order, with bounded memory', async () => {
  const one = Buffer.concat([parse('', 'select 1'), bind('', ''), execute('')])
  await pipeline(...Array<Buffer>(20_000).fill(one), sync)
  const executed = engine.statements().filter(({ event }) => event === 'statement.execute')
  expect(executed).toHaveLength(20_000)
  expect(executed.every(({ detail }) => JSON.stringify(detail!['outcomes']).includes('"SELECT 1"'))).toBe(true)
})

it('DB1: thirty thousand requests after an error are skipped and nothing waits for ever', async () => {
  const one = Buffer.concat([parse('', 'select 1'), bind('', ''), execute('')])
  const answer = await pipeline(parse('', 'no sql'), ...Array<Buffer>(30_000).fill(one), sync, encodeQuery('select 7'))
  expect(answer.toString('latin1')).toContain('SELECT 1')
  expect(logged().at(-1)).toEqual(['query', 'select 7', 'completed 1'])
  expect(logged().filter(([, , outcome]) => outcome === 'skipped')).toHaveLength(60_000)
})

it('DB1: long texts are cut in the log, not on their way', async () => {
  const long = `select length('${'x'.repeat(200_000)}')`
  const { stdout } = await psql(engine.url(), ['-f', '-'], `${long};\n`).done
  expect(stdout).toBe('200000\n')
  await engine.settled()
  const { sql, truncated } = engine.statements()[0]!.detail!
  expect([(sql as string).length, truncated]).toEqual([64 * 1024, true])
})

it('DB1: passwords in statements do not reach the log', async () => {
  await pipeline(
    encodeQuery("alter role app password 'hunter2'"),
    parse('', "alter role app password E'hunter2'"),
    bind('', ''),
    execute(''),
    sync,
    encodeQuery(`alter role app password '${APP_PASSWORD}'`),
  )
  expect(JSON.stringify(engine.events)).not.toMatch(/hunter2|app-password/)
  expect(logged()[0]).toEqual(['query', "alter role app password '[redacted]'", 'completed'])
})

it('DB1: a client cannot outrun the audit log', async () => {
  let release = () => {}
  let isFull = false
  const emptied = new Promise<void>((resolve) => (release = resolve))
  const slow = await startHarness({
    address: `127.0.0.1:${cluster.current.port}`,
    password: APP_PASSWORD,
    room: () => (isFull ? emptied : undefined),
  })
  try {
    const client = slow.client()
    await client.connect()
    await client.query('select 1')
    isFull = true
    // This one still passes: the client is held back after it.
    await client.query('select 1')
    let isDone = false
    const more = client.query('select 2').then(() => (isDone = true))
    const other = slow.client()
    await other.connect()
    expect(isDone).toBe(false)
    release()
    await more
    await Promise.all([client.end(), other.end()])
  } finally {
    release()
    await slow.close()
  }
})
