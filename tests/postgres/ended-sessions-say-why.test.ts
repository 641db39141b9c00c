import { afterAll, beforeAll, expect, it } from 'vitest'
import { startTestPostgres, untilBackends, type TestPostgres } from '../support/postgres.ts'
import { APP_PASSWORD, psql, SHOP_SQL, startHarness, type Harness } from './engine-harness.ts'

let cluster: TestPostgres
beforeAll(async () => {
  cluster = await startTestPostgres({ initialSql: SHOP_SQL })
})
afterAll(() => cluster.close())

const start = (options: Partial<Parameters<typeof startHarness>[0]> = {}) =>
  startHarness({ address: `127.0.0.1:${cluster.port}`, password: APP_PASSWORD, ...options })

const untilRunning = (fragment: string, count: number): Promise<void> =>
  untilBackends(cluster, count, `usename = 'app' and state <> 'idle' and query like '%${fragment}%'`)

async function closing(engine: Harness, act: (engine: Harness) => Promise<void>): Promise<void> {
  try {
    await act(engine)
  } finally {
    await engine.close()
  }
}

it('S5: a session that ends in mid-query says why in PostgreSQL words, and the query is stopped', async () =>
  closing(await start(), async (engine) => {
    const { done } = psql(engine.url(), ['-c', 'select pg_sleep(3600)'])
    await untilRunning('pg_sleep(3600)', 1)
    engine.endSession('terminated')
    expect((await done).stderr).toContain('Postern ended this session: an administrator terminated it')
    await engine.settled()
    await untilRunning('pg_sleep(3600)', 0)
    const close = await engine.event('connection.close')
    expect(close.detail).toMatchObject({ reason: 'ended' })
  }))

it('S5: an idle connection is told at once with 57P01', async () =>
  closing(await start(), async (engine) => {
    const client = engine.client()
    await client.connect()
    const told = new Promise((resolve) => client.on('error', resolve))
    engine.endSession('revoked')
    expect(await told).toMatchObject({ code: '57P01', severity: 'FATAL' })
    await engine.settled()
  }))

it('S5: in the middle of a big result the error comes at a message boundary', async () =>
  closing(await start(), async (engine) => {
    const client = engine.client()
    await client.connect()
    client.on('error', () => undefined)
    const failed = client
      .query("select repeat('x', 1000000) from generate_series(1, 100000)")
      .catch((error: unknown) => error)
    await untilRunning('repeat', 1)
    engine.endSession('expired')
    expect(await failed).toMatchObject({ code: '57P01' })
    await engine.settled()
    await untilRunning('repeat', 0)
  }))

it('S4: a client that does not read cannot delay the end of its session', async () =>
  closing(await start(), async (engine) => {
    const { child, done } = psql(engine.url(), ['-c', "select repeat('x', 1000000) from generate_series(1, 100000)"])
    await untilRunning('repeat', 1)
    child.kill('SIGSTOP')
    engine.endSession('cancelled')
    await engine.settled()
    child.kill('SIGKILL')
    await done
    await untilRunning('repeat', 0)
  }))

it('S5: a server that stops says so', async () =>
  closing(await start(), async (engine) => {
    const client = engine.client()
    await client.connect()
    const told = new Promise((resolve) => client.on('error', resolve))
    engine.stopServer()
    expect(await told).toMatchObject({ code: '57P01', message: expect.stringContaining('shutting down') as string })
    await engine.settled()
  }))

it('S5: a session that ends while its credentials are fetched never becomes active', async () => {
  let asked = () => {}
  const fetching = new Promise<void>((resolve) => (asked = resolve))
  const neverAnswered = () => {
    asked()
    return new Promise<string>(() => undefined)
  }
  await closing(await start({ fetchPassword: neverAnswered }), async (engine) => {
    const { done } = psql(engine.url(), ['-c', 'select 1'])
    await fetching
    engine.endSession('closed')
    expect((await done).stderr).toContain('its gateway was closed')
    await engine.settled()
    expect(engine.state.activations).toBe(0)
  })
})

it('S5: a client that goes away while its credentials are fetched is let go', async () => {
  let asked = () => {}
  const fetching = new Promise<void>((resolve) => (asked = resolve))
  const neverAnswered = () => {
    asked()
    return new Promise<string>(() => undefined)
  }
  await closing(await start({ fetchPassword: neverAnswered, dialTimeoutMs: 60_000 }), async (engine) => {
    const socket = engine.raw()
    const { encodeStartupMessage } = await import('../../shared/wire/postgres/startup.ts')
    socket.write(encodeStartupMessage(new Map([['user', 'app']])))
    await fetching
    socket.resetAndDestroy()
    await engine.settled()
    expect((await engine.event('connection.close')).detail).toMatchObject({ reason: 'client' })
  })
})
