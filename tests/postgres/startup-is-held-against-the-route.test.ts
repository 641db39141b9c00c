import { once } from 'node:events'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { parseErrorFields } from '../../shared/wire/postgres/backend-messages.ts'
import { encodeSslRequest, encodeStartupMessage } from '../../shared/wire/postgres/startup.ts'
import { useTestPostgres } from '../support/postgres.ts'
import { APP_PASSWORD, psql, readAll, SHOP_SQL, startHarness, type Harness } from './engine-harness.ts'

const cluster = useTestPostgres({ initialSql: SHOP_SQL })
let engine: Harness
beforeAll(async () => {
  engine = await startHarness({
    address: `127.0.0.1:${cluster.current.port}`,
    password: APP_PASSWORD,
    databases: ['shop', 'nowhere'],
  })
})
afterAll(() => engine.close())
beforeEach(async () => {
  await engine.settled()
  engine.events.length = 0
})

const startup = (parameters: Record<string, string>, code?: number) =>
  encodeStartupMessage(new Map(Object.entries({ user: 'app', database: 'shop', ...parameters })), code)

/** Sends raw bytes and reads until the engine closes. */
async function answerTo(...bytes: Buffer[]): Promise<Buffer> {
  const socket = engine.raw()
  await once(socket, 'connect')
  socket.write(Buffer.concat(bytes))
  const answer = await readAll(socket)
  socket.destroy()
  return answer
}

it('DB1: another user than the account of the route is refused with 28000 that names the right one', async () => {
  const { code, stderr } = await psql(engine.url().replace('app@', 'postgres@'), ['-c', 'select 1']).done
  expect(code).toBe(2)
  expect(stderr).toContain('connects to "orders" as "app", not as "postgres"')
  expect(stderr).toContain('HINT')
  const denied = await engine.event('access.denied')
  expect(denied.detail).toMatchObject({ code: 'account_denied', asked: { user: 'postgres' } })
  const answer = await answerTo(startup({ user: 'postgres' }))
  expect(parseErrorFields(answer.subarray(5))).toMatchObject({ severity: 'FATAL', code: '28000' })
})

it('DB1: a database that is not allowed is refused with those that are and the default', async () => {
  const { stderr } = await psql(engine.url('app'), ['-c', 'select 1']).done
  expect(stderr).toContain('do not allow the database "app"; allowed here: "shop", "nowhere"')
  expect(stderr).toContain('dbname=shop')
  expect((await engine.event('access.denied')).detail).toMatchObject({ code: 'database_denied' })
  expect(parseErrorFields((await answerTo(startup({ database: 'app' }))).subarray(5)).code).toBe('3D000')
})

it('DB1: an allowed database that does not exist is refused in the words of the target', async () => {
  const { stderr } = await psql(engine.url('nowhere'), ['-c', 'select 1']).done
  expect(stderr).toContain('database "nowhere" does not exist')
})

it('DB1: a client that names no database gets the default one', async () => {
  const message = encodeStartupMessage(new Map([['user', 'app']]))
  const query = Buffer.from('Q\0\0\0\x1eselect current_database()\0')
  query.writeInt32BE(query.length - 1, 1)
  const answer = await answerTo(message, query, Buffer.from('X\0\0\0\x04'))
  expect(answer.toString('latin1')).toContain('shop')
})

it('DB1: replication is refused clearly, "off" is none', async () => {
  expect(parseErrorFields((await answerTo(startup({ replication: 'database' }))).subarray(5))).toMatchObject({
    code: '0A000',
    severity: 'FATAL',
  })
  const answer = await answerTo(startup({ replication: 'off' }), Buffer.from('X\0\0\0\x04'))
  expect(answer.toString('latin1', 0, 1)).toBe('R')
})

it.each([
  ['a newer minor version', startup({}, 0x30002), []],
  ['options', startup({ '_pq_.colour': 'blue' }), ['_pq_.colour']],
])('DB1: %s is negotiated down to 3.0', async (_, message, options) => {
  const answer = await answerTo(message, Buffer.from('X\0\0\0\x04'))
  expect(answer.toString('latin1', 0, 1)).toBe('v')
  expect(answer.readInt32BE(5)).toBe(0x30000)
  expect(answer.readInt32BE(9)).toBe(options.length)
  for (const option of options) expect(answer.toString('latin1')).toContain(option)
  expect(answer.toString('latin1', answer.readInt32BE(1) + 1, answer.readInt32BE(1) + 2)).toBe('R')
})

describe('bad input', () => {
  it.each([
    ['protocol 2', Buffer.from('0000001000020000'.padEnd(32, '0'), 'hex'), 'protocol 2.0 is not spoken here'],
    ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'), 'an HTTP request came'],
    ['a TLS handshake', Buffer.from('16030102000100' + '00'.repeat(20), 'hex'), 'sslmode=disable'],
    ['garbage', Buffer.alloc(64, 0xee), 'no PostgreSQL message'],
    ['a startup message without its terminator', Buffer.from('0000000c0003000075736572', 'hex'), 'startup message'],
    ['encryption asked for again and again', Buffer.concat(Array(5).fill(encodeSslRequest())), 'again and again'],
  ])('DB1: %s gets a clear error', async (_, bytes, expected) => {
    const socket = engine.raw()
    await once(socket, 'connect')
    socket.end(bytes)
    const answer = await readAll(socket)
    socket.destroy()
    expect(answer.toString('latin1')).toContain(expected)
  })

  it('DB1: half a startup packet ends without a word', async () => {
    const socket = engine.raw()
    await once(socket, 'connect')
    socket.end(startup({}).subarray(0, 11))
    expect(await readAll(socket)).toHaveLength(0)
    await engine.settled()
  })

  it('DB1: a message with an impossible length ends the connection with 08P01', async () => {
    const answer = await answerTo(startup({}), Buffer.from('Q\0\0\0\x01'))
    expect(answer.toString('latin1')).toContain('C08P01')
    await engine.event('connection.close', ({ reason }) => reason === 'protocol')
  })
})
