// The way of a person through the API once more, with the server's store on a real PostgreSQL.
import { X509Certificate } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { CaStatus } from '../../shared/admin-api.ts'
import {
  ADMIN_PASSWORD,
  grant,
  newKeyAndCsr,
  resource,
  role,
  startTestServer,
  totpCode,
  user,
  type TestServer,
} from './support/access-server.ts'
import { startPostgresStore, type PostgresStore } from './support/postgres-store.ts'

const SEED = 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP'

let postgres: PostgresStore
let server: TestServer
beforeAll(async () => {
  postgres = await startPostgresStore()
  server = await startTestServer({ store: { kind: 'postgres', url: await postgres.newDatabase('postern') } })
})
afterAll(async () => {
  await server.close()
  await postgres.stop()
})

it('C2, C4, S8: set up, apply, log in with TOTP, get a route, change, log out, remove', async () => {
  const admin = await server.setUp()
  const documents = [
    grant('alice', 'dev'),
    user('alice', { totpSecret: SEED }),
    role('dev', { resources: ['orders'], accounts: ['reader'] }),
    resource('orders'),
  ]
  expect((await server.apply(admin, ...documents)).body.applied.map(({ change }) => change)).toEqual(
    Array<string>(4).fill('created'),
  )
  expect((await server.apply(admin, ...documents)).body.applied.map(({ change }) => change)).toEqual(
    Array<string>(4).fill('unchanged'),
  )
  const totp = totpCode(SEED, server.clock.now)
  const alice = await server.logIn('alice', 'correct horse alice', { totp })
  await expect(server.logIn('alice', 'correct horse alice', { totp })).rejects.toThrow('used already')

  const openRoute = () =>
    server.call('POST', '/v1/routes', {
      credentials: alice,
      body: { resource: 'orders', protocol: 'postgres', account: 'reader', csr: newKeyAndCsr().csr },
    })
  const routes = await Promise.all([openRoute(), openRoute(), openRoute()])
  expect(new Set(routes.map(({ body }) => body.routeId)).size).toBe(1)
  const routeId = routes[0].body.routeId
  expect((await server.access.authoriseRoute(routeId)).databases).toEqual(['*'])

  const wrong = await server.apply(admin, role('more'), grant('nobody', 'more'))
  expect(wrong.status).toBe(400)
  expect((await server.call('GET', '/v1/admin/roles', { credentials: admin })).body.roles).toHaveLength(1)
  await server.call('DELETE', '/v1/admin/roles/dev', { credentials: admin })
  await expect(server.access.authoriseRoute(routeId)).rejects.toMatchObject({ code: 'resource_denied' })

  await server.call('POST', '/v1/logout', { credentials: alice })
  expect((await server.call('GET', '/v1/me', { credentials: alice })).body.error.code).toBe('login_expired')
  expect((await server.call('DELETE', '/v1/admin/users/alice', { credentials: admin })).status).toBe(200)
  expect((await server.call('DELETE', '/v1/admin/users/root', { credentials: admin })).body.error.code).toBe('conflict')
})

it('C7: the CAs are rotated, counted and dropped; two rotations at once make one', async () => {
  const admin = await server.logIn('root', ADMIN_PASSWORD)
  const ca = async (method: 'GET' | 'POST', step: string, body?: object, credentials = admin) =>
    server.call(method, `/v1/admin/ca${step}`, { credentials, ...(body === undefined ? {} : { body }) })
  const rotations = await Promise.all([ca('POST', '/rotate'), ca('POST', '/rotate')])
  expect(rotations.map(({ status }) => status).sort()).toEqual([200, 409])
  // The logins of this test and of the one before it.
  const refused = await ca('POST', '/finish')
  expect([refused.status, refused.body.error.detail]).toEqual([409, { logins: 2, routes: 0 }])
  const { key, csr } = newKeyAndCsr()
  const renewed = await server.call('POST', '/v1/login/certificate', { credentials: admin, body: { csr } })
  const moved = { ...admin, key, certificate: renewed.body.certificate }
  expect(CaStatus.parse((await ca('GET', '', undefined, moved)).body).onOldCa).toEqual({ logins: 1, routes: 0 })
  const forced = CaStatus.parse((await ca('POST', '/finish', { force: true }, moved)).body)
  expect([forced.state, forced.authorities.map(({ use }) => use)]).toEqual(['idle', ['signs', 'signs']])
  await expect(server.access.authenticateUser(new X509Certificate(admin.certificate))).rejects.toMatchObject({
    code: 'login_expired',
  })
})
