import { once } from 'node:events'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { CancelKeys } from '../../server/engines/postgres/cancel-keys.ts'
import { encodeCancelRequest, type BackendKey } from '../../shared/wire/postgres/startup.ts'
import { holdLock, untilBackends, useTestPostgres } from '../support/postgres.ts'
import { randomBytes } from 'node:crypto'
import { APP_PASSWORD, psql, readAll, SHOP_SQL, startHarness, type Harness } from './engine-harness.ts'

const cluster = useTestPostgres({ initialSql: SHOP_SQL })
let engine: Harness
beforeAll(async () => {
  engine = await startHarness({ address: `127.0.0.1:${cluster.current.port}`, password: APP_PASSWORD })
})
afterAll(() => engine.close())
beforeEach(() => {
  engine.events.length = 0
  engine.state.isActive = true
  engine.cancelRoute.current = engine.route
})

const SLEEP = 'select pg_sleep(3600)'
/** Whoever asks for it waits until the test gives it back. */
const LOCK = 7

/** Waits until this many of ours wait for that (PostgreSQL 18, 27.2.3, wait events). */
const untilWaiting = (event: string, count: number): Promise<void> =>
  untilBackends(cluster.current, count, `usename = 'app' and wait_event = '${event}'`)
const untilSleeping = (count: number): Promise<void> => untilWaiting('PgSleep', count)

async function sendCancel(key: BackendKey): Promise<void> {
  const socket = engine.raw()
  await once(socket, 'connect')
  socket.write(encodeCancelRequest(key))
  expect(await readAll(socket)).toHaveLength(0)
  socket.destroy()
}

it('DB1: Ctrl-C in psql cancels its own query and no other', async () => {
  const other = engine.client()
  await other.connect()
  const giveBack = await holdLock(cluster.current, LOCK, 'shop')
  const otherQuery = other.query('select pg_advisory_lock($1)', [LOCK])
  await untilWaiting('advisory', 1)
  const { child, done } = psql(engine.url(), ['-c', SLEEP])
  await untilSleeping(1)
  child.kill('SIGINT')
  const { stderr } = await done
  expect(stderr).toContain('canceling statement due to user request')
  await giveBack()
  expect((await otherQuery).rowCount).toBe(1)
  await other.end()
  expect(await engine.event('query.cancel')).toMatchObject({ user: 'alice', session: 'session-1', resource: 'orders' })
  await engine.event('statement.query', ({ outcomes }) => JSON.stringify(outcomes).includes('57014'))
})

it('DB1: a cancel request of another person, another account, an inactive session or with a wrong key is dropped', async () => {
  const client = engine.client()
  await client.connect()
  const { processID, secretKey } = client as unknown as { processID: number; secretKey: number }
  const key = { processId: processID, secret: secretKey >>> 0 }
  const query = client.query(SLEEP).catch((error: unknown) => error)
  await untilSleeping(1)
  engine.cancelRoute.current = { ...engine.route, user: 'bob' }
  await sendCancel(key)
  engine.cancelRoute.current = { ...engine.route, account: 'admin' }
  await sendCancel(key)
  engine.cancelRoute.current = engine.route
  engine.state.isActive = false
  await sendCancel(key)
  engine.state.isActive = true
  await sendCancel({ ...key, secret: (key.secret ^ 1) >>> 0 })
  await untilSleeping(1)
  expect(engine.events.filter(({ event }) => event === 'query.cancel')).toEqual([])
  // The same person after a re-login has another route, and may.
  engine.cancelRoute.current = { ...engine.route, routeId: 'route-2', loginId: 'login-2' }
  await sendCancel(key)
  expect(await query).toMatchObject({ code: '57014' })
  await client.end()
})

it('DB1: a client that dies in the middle of a query leaves nothing running at the target', async () => {
  const { child, done } = psql(engine.url(), ['-c', SLEEP])
  await untilSleeping(1)
  child.kill('SIGKILL')
  await done
  await untilSleeping(0)
  await engine.settled()
  await engine.event('statement.query', ({ outcomes }) => JSON.stringify(outcomes).includes('unknown'))
})

it('DB1: a client that half-closes still gets what its query brings', async () => {
  const { encodeStartupMessage } = await import('../../shared/wire/postgres/startup.ts')
  const { encodeQuery } = await import('../../shared/wire/postgres/frontend-messages.ts')
  const socket = engine.raw()
  await once(socket, 'connect')
  const startup = encodeStartupMessage(
    new Map([
      ['user', 'app'],
      ['database', 'shop'],
    ]),
  )
  socket.end(Buffer.concat([startup, encodeQuery("select repeat('x', 1000000), pg_sleep(0.5)")]))
  const answer = await readAll(socket)
  expect(answer.length).toBeGreaterThan(1_000_000)
  expect(answer.toString('latin1')).toContain('SELECT 1')
  await engine.settled()
})

it('DB1: keys name their server process in 15 bits and cannot be guessed in 48', () => {
  const keys = new CancelKeys(randomBytes)
  const owner = { sessionId: 's', connectionId: 'c', route: engine.route, cancelAtTarget: () => Promise.resolve() }
  const issued = Array.from({ length: 1000 }, () => keys.issue(owner))
  expect(new Set(issued.map(({ key }) => `${key.processId}:${key.secret}`)).size).toBe(1000)
  for (const { key } of issued) {
    expect(key.processId >>> 16).toBe(keys.ownerBits)
    expect(key.processId).toBeLessThan(2 ** 31)
  }
  const [first] = issued
  expect(keys.find(first!.key)).toBe(owner)
  first!.release()
  expect(keys.find(first!.key)).toBeUndefined()
})
