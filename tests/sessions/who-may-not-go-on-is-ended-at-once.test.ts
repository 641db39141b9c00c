// The server ends sessions of real psql: by logout, by what administrators do, by limits; each client is told why in its protocol, the
// query at the target is stopped, and whoever is not concerned goes on.
import { once } from 'node:events'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { readPreamble } from '../../link/preamble.ts'
import { ALPN } from '../../shared/names.ts'
import { APP_PASSWORD, psql, SHOP_SQL, type Finished } from '../postgres/engine-harness.ts'
import { grant, user } from '../server/support/access-server.ts'
import { startTestPostgres, untilBackends, type TestPostgres } from '../support/postgres.ts'
import { startRunningServer, type Credentials, type Door, type RunningTestServer } from '../support/running-server.ts'
import { TcpService } from '../support/tcp-service.ts'

let postgres: TestPostgres
let service: TcpService
let server: RunningTestServer
let orders: object
const ALLOW = [{ resources: ['orders', 'echo'], accounts: ['*'] }]
const role = (name: string, limits: object = {}, allow: object[] = ALLOW) => ({ kind: 'role', name, allow, limits })

beforeAll(async () => {
  postgres = await startTestPostgres({ initialSql: SHOP_SQL })
  service = await new TcpService().start()
  server = await startRunningServer('sessions: { reaperInterval: 50ms }')
  orders = {
    kind: 'resource',
    name: 'orders',
    protocol: 'postgres',
    address: `127.0.0.1:${postgres.port}`,
    tls: { mode: 'disable' },
    defaultDatabase: 'shop',
    accounts: [{ name: 'app', password: APP_PASSWORD }],
  }
  const echo = { kind: 'resource', name: 'echo', protocol: 'tcp', address: `127.0.0.1:${service.port}` }
  await server.apply(orders, echo, role('dev'), user('bystander'), grant('bystander', 'dev'))
})
afterAll(async () => {
  await server.close()
  await service.stop()
  await postgres.close()
})

const sql = ({ port }: Door, statement: string) =>
  psql(`postgresql://app@127.0.0.1:${port}/shop?sslmode=disable`, ['-c', statement])

const untilRunning = (marker: string, count: number): Promise<void> =>
  untilBackends(postgres, count, `state = 'active' and query like '%${marker}%'`)

let people = 0
/** A person of their own, with whatever roles, and a door to `orders`. */
async function newcomer(...roles: object[]) {
  const name = `person-${++people}`
  const held = roles.length === 0 ? [role(`role-${name}`)] : roles
  await server.apply(...held, user(name), ...held.map((one) => grant(name, (one as { name: string }).name)))
  return { name, ...(await doorOf(name)) }
}
async function doorOf(
  name: string,
): Promise<{ login: Credentials; route: Credentials & { routeId: string }; door: Door }> {
  const login = await server.logIn(name)
  const route = await server.routeFor(login, 'orders')
  return { login, route, door: await server.door(route) }
}
const endsOf = async (user: string) =>
  await server.store.db
    .selectFrom('sessions')
    .select(['state', 'end_reason', 'ended_by'])
    .where('user_name', '=', user)
    .orderBy('started_at')
    .execute()
const api = (method: string, path: string) => server.call(method, path, undefined, server.root)
const REVOKED = 'FATAL:  Postern ended this session: your access to it was revoked or you logged out'

it('S8, W4: logout, disabling, removal, loss of role, grant or resource each end what runs within 1 s, and nothing else', async () => {
  const bystander = await doorOf('bystander')
  const waiting = sql(bystander.door, "select pg_sleep(3600), 'bystander'")
  await untilRunning('bystander', 1)
  type Somebody = Awaited<ReturnType<typeof newcomer>>
  const ways: [string, (person: Somebody) => Promise<unknown>][] = [
    ['logout', ({ login }) => server.call('POST', '/v1/logout', {}, login)],
    ['disabled', ({ name }) => server.apply(user(name, { disabled: true }))],
    ['removed', ({ name }) => api('DELETE', `/v1/admin/users/${name}`)],
    ['grant removed', ({ name }) => api('DELETE', `/v1/admin/grants/${name}/role-${name}`)],
    ['role removed', ({ name }) => api('DELETE', `/v1/admin/roles/role-${name}`)],
    ['role changed', ({ name }) => server.apply(role(`role-${name}`, {}, []))],
  ]
  const times: number[] = []
  for (const [way, act] of ways) {
    const person = await newcomer()
    const marker = `ends by ${way}`
    const clients = [1, 2].map(() => sql(person.door, `select pg_sleep(3600), '${marker}'`))
    await untilRunning(marker, 2)
    await act(person)
    // On record by the time of the answer, with who did it.
    const by = way === 'logout' ? person.name : 'root'
    expect(await endsOf(person.name), way).toEqual([{ state: 'ended', end_reason: 'revoked', ended_by: by }])
    const answeredAt = performance.now()
    for (const { stderr } of await Promise.all(clients.map(({ done }) => done))) expect(stderr, way).toContain(REVOKED)
    times.push(performance.now() - answeredAt)
    await untilRunning(marker, 0)
  }
  expect(times.sort((a, b) => a - b)[Math.floor(times.length / 2)]).toBeLessThan(1000)
  await untilRunning('bystander', 1)
  waiting.child.kill('SIGTERM')
  await waiting.done
})

it('S8: a resource that is taken away ends its sessions, and those of others live on', async () => {
  const person = await newcomer()
  const client = sql(person.door, "select pg_sleep(3600), 'taken away'")
  await untilRunning('taken away', 1)
  const login = await server.logIn(person.name)
  const other = server.connect(ALPN.tcp, await server.routeFor(login, 'echo', 'tcp', 'tcp'))
  await readPreamble(other, AbortSignal.timeout(20_000))
  await api('DELETE', '/v1/admin/resources/orders')
  expect((await client.done).stderr).toContain(REVOKED)
  expect((await endsOf(person.name)).map(({ state }) => state)).toEqual(['ended', 'active'])
  other.destroy()
  await server.apply(orders)
})

it('W4: logout ends the sessions of that login only, everywhere those of all', async () => {
  const person = await newcomer()
  const others = [await doorOf(person.name), await doorOf(person.name)]
  const first = sql(person.door, "select pg_sleep(3600), 'first login'")
  const rest = others.map(({ door }) => sql(door, "select pg_sleep(3600), 'other login'"))
  await untilRunning('first login', 1)
  await untilRunning('other login', 2)
  await server.call('POST', '/v1/logout', {}, person.login)
  expect((await first.done).stderr).toContain(REVOKED)
  await untilRunning('other login', 2)
  await server.call('POST', '/v1/logout', { everywhere: true }, others[0]!.login)
  for (const { stderr } of await Promise.all(rest.map(({ done }) => done))) expect(stderr).toContain(REVOKED)
  expect(new Set((await endsOf(person.name)).map(({ state }) => state))).toEqual(new Set(['ended']))
})

it('S7: the longest duration ends a busy psql with its reason; the next connection is a new session', async () => {
  const person = await newcomer(role('short', { maxSessionDuration: '1s' }))
  const { stderr } = await sql(person.door, 'select pg_sleep(3600)').done
  expect(stderr).toContain('FATAL:  Postern ended this session: its time limit of 1s was reached')
  await server.apply(role('short', { maxSessionDuration: '1h' }))
  expect((await sql(person.door, 'select 1').done).stdout.trim()).toBe('1')
  expect((await endsOf(person.name)).map(({ end_reason }) => end_reason)[0]).toBe('expired')
})

it('I2, S7: a psql that does nothing is told that it was idle; one whose role allows longer is not', async () => {
  const idle = await newcomer(role('quick', { idleTimeout: '500ms' }))
  const patient = await newcomer(role('quick-too', { idleTimeout: '500ms' }), role('patient', { idleTimeout: 'none' }))
  const [ended, going] = [
    sql(idle.door, 'select pg_sleep(3600)'),
    sql(patient.door, "select pg_sleep(3600), 'patient'"),
  ]
  expect((await ended.done).stderr).toContain('FATAL:  Postern ended this session: nothing has moved on it for')
  await untilRunning('patient', 1)
  going.child.kill('SIGTERM')
  await going.done
  // Without a connection it times out as well.
  const gone = await newcomer(role('quick-enough', { idleTimeout: '3s' }))
  expect((await sql(gone.door, 'select 1').done).stdout.trim()).toBe('1')
  await vi.waitFor(
    async () => expect((await endsOf(gone.name)).map(({ end_reason }) => end_reason)).toEqual(['idle']),
    {
      timeout: 20_000,
    },
  )
})

it('S7, S8: a grant that runs out ends what runs then, as expired', async () => {
  const person = await newcomer()
  const client = sql(person.door, "select pg_sleep(3600), 'runs out'")
  await untilRunning('runs out', 1)
  await server.apply(grant(person.name, `role-${person.name}`, new Date(Date.now() + 5000).toISOString()))
  expect((await client.done).stderr).toContain('Postern ended this session: the grant that allowed it has run out')
  expect(await endsOf(person.name)).toEqual([{ state: 'ended', end_reason: 'expired', ended_by: null }])
})

it('S7, E1: one connection and one session too many are refused by name, with the role and the limit', async () => {
  const limits = role('narrow', { maxConnections: 2, maxSessions: 1 })
  const person = await newcomer(limits)
  const running = [1, 2].map(() => sql(person.door, "select pg_sleep(3600), 'narrow'"))
  await untilRunning('narrow', 2)
  await sql(person.door, 'select 1').done
  expect(person.door.refusals).toMatchObject([
    { code: 'connection_limit', text: expect.stringContaining('the role narrow allows (maxConnections: 2)') as string },
  ])
  const second = await doorOf(person.name)
  await sql(second.door, 'select 1').done
  expect(second.door.refusals).toMatchObject([
    { code: 'session_limit', text: expect.stringContaining('through the role narrow already') as string },
  ])
  await server.call('POST', `/v1/routes/${person.route.routeId}/close`, {}, person.login)
  const finished: Finished[] = await Promise.all(running.map(({ done }) => done))
  for (const { stderr } of finished) expect(stderr).toContain('its gateway was closed')
  expect((await sql(second.door, 'select 1').done).stdout.trim()).toBe('1')
})

it('S1, S2: plain TCP is reset by the end of its session, which the end of a connection is not', async () => {
  const person = await newcomer()
  const route = await server.routeFor(person.login, 'echo', 'tcp', 'tcp')
  const open = async () => {
    const socket = server.connect(ALPN.tcp, route)
    await readPreamble(socket, AbortSignal.timeout(20_000))
    socket.resume()
    return socket
  }
  const [first, second] = [await open(), await open()]
  first.destroy()
  await vi.waitFor(() => expect(service.living).toBe(1), { timeout: 20_000 })
  expect((await endsOf(person.name)).map(({ state }) => state)).toEqual(['active'])
  const failed = once(second, 'error')
  await server.call('POST', '/v1/logout', {}, person.login)
  expect(await failed).toMatchObject([{ code: 'ECONNRESET' }])
  await vi.waitFor(() => expect(service.living).toBe(0), { timeout: 20_000 })
})
