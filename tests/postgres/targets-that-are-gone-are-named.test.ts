import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { freePort } from '../support/free-port.ts'
import { startTestPostgres, untilBackends, type TestPostgres } from '../support/postgres.ts'
import { APP_PASSWORD, psql, SHOP_SQL, startHarness } from './engine-harness.ts'

let cluster: TestPostgres
beforeAll(async () => {
  cluster = await startTestPostgres({ initialSql: SHOP_SQL })
})
afterAll(() => cluster.close())

/** A way to the target that can be cut in the middle. */
async function cuttableProxy() {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    const target = connect(cluster.port, '127.0.0.1')
    for (const side of [socket, target]) sockets.add(side.on('error', () => undefined))
    socket.pipe(target).pipe(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    address: `127.0.0.1:${(server.address() as { port: number }).port}`,
    cut: () => sockets.forEach((socket) => socket.destroy()),
    close: () => server.close(),
  }
}

it('E1: a target that is down is 08006 with an error id and no host', async () => {
  const port = await freePort()
  const engine = await startHarness({ address: `127.0.0.1:${port}`, password: APP_PASSWORD })
  const { stderr, code } = await psql(engine.url(), ['-c', 'select 1']).done
  expect(code).toBe(2)
  expect(stderr).toContain('FATAL:  Postern cannot reach the database "orders" (error E1)')
  expect(stderr).not.toContain(String(port))
  expect(engine.state.activations).toBe(0)
  const client = engine.client()
  await expect(client.connect()).rejects.toMatchObject({ code: '08006' })
  await engine.close()
})

it('E1: a host that does not resolve is told the same way', async () => {
  const engine = await startHarness({ address: 'no-such-host.invalid:5432', password: APP_PASSWORD })
  const { stderr } = await psql(engine.url(), ['-c', 'select 1']).done
  expect(stderr).toContain('cannot reach the database "orders"')
  expect(stderr).not.toContain('invalid')
  await engine.close()
})

it('DB1: a target that vanishes in mid-query is 08006, and the statement is logged as unknown', async () => {
  const proxy = await cuttableProxy()
  const engine = await startHarness({ address: proxy.address, password: APP_PASSWORD })
  const client = engine.client()
  client.on('error', () => undefined)
  await client.connect()
  await client.query('select 1')
  const failed = client.query('select pg_sleep(3600)').catch((error: unknown) => error)
  await untilBackends(cluster, 1, "usename = 'app' and wait_event = 'PgSleep'")
  proxy.cut()
  expect(await failed).toMatchObject({ code: '08006' })
  await engine.settled()
  await engine.event('statement.query', ({ outcomes }) => JSON.stringify(outcomes).includes('unknown'))
  expect((await engine.event('connection.close')).detail).toMatchObject({ reason: 'target_unreachable' })
  await engine.close()
  proxy.close()
})

it('DB1: a target that says why it closes is passed on in its own words', async () => {
  const engine = await startHarness({ address: `127.0.0.1:${cluster.port}`, password: APP_PASSWORD })
  const client = engine.client()
  const told = new Promise((resolve) => client.on('error', resolve))
  await client.connect()
  await cluster.sql("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'app'")
  expect(await told).toMatchObject({ code: '57P01', message: 'terminating connection due to administrator command' })
  await engine.settled()
  expect((await engine.event('connection.close')).detail).toMatchObject({ reason: 'target' })
  expect(engine.reported).toEqual([])
  await engine.close()
})

it('DB1: too many connections are refused in the words of the target', async () => {
  await cluster.sql('alter role app connection limit 0')
  const engine = await startHarness({ address: `127.0.0.1:${cluster.port}`, password: APP_PASSWORD })
  const { stderr } = await psql(engine.url(), ['-c', 'select 1']).done
  expect(stderr).toContain('too many connections for role "app"')
  expect(engine.state.activations).toBe(0)
  await engine.close()
  await cluster.sql('alter role app connection limit -1')
})
