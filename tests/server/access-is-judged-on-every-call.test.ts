// C3, C4: client certificates and routes are judged by the store as it is now, whatever the certificate says.
import { createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { formatIdentity } from '../../shared/names.ts'
import { signCertificate } from '../../server/ca/certificate.ts'
import { createAccessCheck } from '../../server/access/access-check.ts'
import { createCredentialStore } from '../../server/access/credentials.ts'
import {
  grant,
  newKeyAndCsr,
  resource,
  role,
  startTestServer,
  user,
  type Person,
  type TestServer,
} from './support/access-server.ts'

let server: TestServer
let admin: Person
let alice: Person
beforeEach(async () => {
  server = await startTestServer()
  admin = await server.setUp()
  await server.apply(
    admin,
    user('alice'),
    resource('orders'),
    resource('secret'),
    role('dev', { resources: ['orders'], accounts: ['reader', 'writer'], databases: ['shop', 'shop_test'] }),
    grant('alice', 'dev'),
  )
  alice = await server.logIn('alice', 'correct horse alice')
})
afterEach(() => server.close())

const openRoute = async (account = 'reader', name = 'orders') =>
  server.call('POST', '/v1/routes', {
    credentials: alice,
    body: { resource: name, protocol: 'postgres', account, csr: newKeyAndCsr().csr },
  })
const authenticateRoute = async (pem: string, options = {}) =>
  (await server.access.authenticateRoute(new X509Certificate(pem), options)).route
const rejection = (code: string) => expect.objectContaining({ code }) as Error

describe('route certificates', () => {
  it('C3: carry one URI that names person, login and route, and the route is made once', async () => {
    const first = await openRoute()
    const second = await openRoute()
    expect(first.body.routeId).toBe(second.body.routeId)
    const { user, loginId, routeId } = await authenticateRoute(first.body.certificate)
    expect({ user, loginId, routeId }).toEqual({
      user: 'alice',
      loginId: alice.loginId,
      routeId: first.body.routeId,
    })
    const identity = { kind: 'route', cluster: 'postern', user, loginId, routeId } as const
    expect(new X509Certificate(first.body.certificate).subjectAltName).toBe(`URI:${formatIdentity(identity)}`)
  })

  it('C3: two requests at once get one route', async () => {
    const answers = await Promise.all(Array.from({ length: 8 }, () => openRoute('writer')))
    expect(new Set(answers.map(({ body }) => body.routeId)).size).toBe(1)
  })

  it('C2: end with the login, however long route certificates live', async () => {
    const short = await server.logIn('alice', 'correct horse alice', { ttlSeconds: 60 })
    const answer = await server.call('POST', '/v1/routes', {
      credentials: short,
      body: { resource: 'orders', protocol: 'postgres', account: 'reader', csr: newKeyAndCsr().csr },
    })
    expect(answer.body.expiresAt).toBe(short.expiresAt)
    expect(new X509Certificate(answer.body.certificate).validToDate.toISOString()).toBe(short.expiresAt)
  })

  it('C2: end with the grant', async () => {
    const until = new Date(Math.floor(server.clock.now.getTime() / 1000) * 1000 + 120_000).toISOString()
    await server.apply(admin, grant('alice', 'dev', until))
    expect((await openRoute()).body.expiresAt).toBe(until)
    server.clock.advance(121_000)
    expect((await openRoute()).body.error.code).toBe('resource_denied')
  })

  it('C4: are refused once expired, unless only a running query is to be stopped', async () => {
    const { certificate } = (await openRoute()).body
    server.clock.advance(server.config.ttl.route + 1000)
    await expect(authenticateRoute(certificate)).rejects.toEqual(rejection('certificate_expired'))
    await expect(authenticateRoute(certificate, { allowExpired: true })).resolves.toMatchObject({ user: 'alice' })
    server.clock.advance(server.config.ttl.user)
    await expect(authenticateRoute(certificate, { allowExpired: true })).resolves.toMatchObject({ user: 'alice' })
  })

  it('C4: are refused once the login was ended, the person disabled or removed', async () => {
    const { certificate } = (await openRoute()).body
    await server.apply(admin, user('alice', { disabled: true }))
    await expect(authenticateRoute(certificate)).rejects.toEqual(rejection('user_disabled'))
    await server.apply(admin, user('alice'))
    await expect(authenticateRoute(certificate)).rejects.toEqual(rejection('login_expired'))
    await expect(authenticateRoute(certificate, { allowExpired: true })).rejects.toEqual(rejection('login_expired'))
    await server.call('DELETE', '/v1/admin/users/alice', { credentials: admin })
    await expect(authenticateRoute(certificate)).rejects.toEqual(rejection('login_expired'))
  })

  it('C3: of one kind do not pass as the other', async () => {
    const { certificate } = (await openRoute()).body
    await expect(server.access.authenticateUser(new X509Certificate(certificate))).rejects.toEqual(
      rejection('wrong_identity'),
    )
    await expect(authenticateRoute(alice.certificate)).rejects.toEqual(rejection('wrong_identity'))
    const answer = await server
      .call('GET', '/v1/me', { credentials: { certificate, key: alice.key } })
      .catch(() => undefined)
    expect(answer?.status).not.toBe(200)
  })
})

describe('certificates that are not ours', () => {
  const identity = () => ({ kind: 'user' as const, cluster: 'postern', user: 'alice', loginId: alice.loginId })
  const issue = (uri: string) =>
    server.authority.issueUserCertificate(
      { ...identity(), loginId: uri },
      createPublicKey(newKeyAndCsr().key),
      new Date(server.clock.now.getTime() + 60_000),
    ).pem

  it('are refused: none, of another CA of the same name, a login of somebody else', async () => {
    const access = (pem: string) => server.access.authenticateUser(new X509Certificate(pem))
    await expect(server.access.authenticateUser(undefined)).rejects.toEqual(rejection('bad_certificate'))
    const ca = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const [real] = server.authority.trustedUserCas()
    const forged = signCertificate(
      {
        commonName: 'alice',
        publicKey: createPublicKey(alice.key),
        notBefore: new Date(server.clock.now.getTime() - 60_000),
        notAfter: new Date(server.clock.now.getTime() + 60_000),
        profile: { kind: 'client', uri: formatIdentity(identity()) },
      },
      { commonName: real?.subject.replace('CN=', '') ?? '', ...ca },
    )
    await expect(access(forged)).rejects.toEqual(rejection('bad_certificate'))
    await expect(access(server.authority.serverCaPem)).rejects.toEqual(rejection('bad_certificate'))
    await expect(access(issue(admin.loginId))).rejects.toEqual(rejection('wrong_identity'))
    await expect(access(issue('no-such-login'))).rejects.toEqual(rejection('login_expired'))
  })

  it('C3: another cluster’s identity is refused though the CA is trusted', async () => {
    const other = createAccessCheck({
      db: server.store.db,
      authority: server.authority,
      cluster: 'elsewhere',
      now: () => server.clock.now,
    })
    await expect(other.authenticateUser(new X509Certificate(alice.certificate))).rejects.toEqual(
      rejection('wrong_identity'),
    )
  })

  it('C6: a certificate from the near future passes within a minute, and no later', async () => {
    server.clock.advance(-5 * 60_000 - 50_000)
    await expect(server.access.authenticateUser(new X509Certificate(alice.certificate))).resolves.toMatchObject({
      user: 'alice',
    })
    server.clock.advance(-30_000)
    await expect(server.access.authenticateUser(new X509Certificate(alice.certificate))).rejects.toEqual(
      rejection('bad_certificate'),
    )
  })

  it('an expired user certificate is answered with login_expired', async () => {
    server.clock.advance(server.config.ttl.user + 1000)
    const answer = await server.call('GET', '/v1/me', { credentials: alice })
    expect([answer.status, answer.body.error.code]).toEqual([401, 'login_expired'])
  })
})

describe('what roles allow', () => {
  it('a resource that is not allowed answers exactly as one that is not there', async () => {
    const secret = await openRoute('reader', 'secret')
    const absent = await openRoute('reader', 'absent')
    expect(secret.status).toBe(403)
    expect(secret.body.error.code).toBe('resource_denied')
    expect(JSON.stringify(secret.body.error).replaceAll('secret', 'X')).toBe(
      JSON.stringify(absent.body.error).replaceAll('absent', 'X'),
    )
  })

  it('an account that is not allowed is named with those that are', async () => {
    for (const account of ['admin', 'nobody']) {
      const answer = await openRoute(account)
      expect([answer.status, answer.body.error.code]).toEqual([403, 'account_denied'])
      expect(answer.body.error.text).toBe(`alice may not use account ${account} on orders; allowed: reader, writer`)
    }
  })

  it('C4: is asked anew for a route that exists', async () => {
    const { routeId } = (await openRoute()).body
    const before = await server.access.authoriseRoute(routeId)
    expect(before.databases).toEqual(['shop', 'shop_test'])
    expect(before.resource.accounts).toEqual([{ name: 'reader' }, { name: 'writer' }, { name: 'admin' }])
    await server.apply(admin, role('dev', { resources: ['orders'], accounts: ['writer'] }))
    await expect(server.access.authoriseRoute(routeId)).rejects.toEqual(rejection('account_denied'))
    await server.call('DELETE', '/v1/admin/grants/alice/dev', { credentials: admin })
    await expect(server.access.authoriseRoute(routeId)).rejects.toEqual(rejection('resource_denied'))
    await expect(server.access.authoriseRoute('nothing')).rejects.toEqual(rejection('not_found'))
  })

  it('lists only what is allowed', async () => {
    const { body } = await server.call('GET', '/v1/resources', { credentials: alice })
    expect(body.resources).toEqual([
      {
        name: 'orders',
        protocol: 'postgres',
        description: '',
        labels: {},
        accounts: ['reader', 'writer'],
        defaultAccount: 'reader',
        databases: ['shop', 'shop_test'],
        defaultDatabase: 'shop',
      },
    ])
  })

  it('closing a gateway ends the session of one’s own route only', async () => {
    const { routeId } = (await openRoute()).body
    const close = (credentials: Person) => server.call('POST', `/v1/routes/${routeId}/close`, { credentials })
    expect((await close(admin)).status).toBe(404)
    expect((await close(alice)).body.sessionId).toBe('session-1')
    expect(server.sessionEnds).toContain(`endRoute ${routeId} closed`)
  })
})

it('C1: target passwords come back decrypted for engines and lie sealed in the store', async () => {
  const credentials = createCredentialStore(server.store.db, server.masterKey)
  expect(await credentials.fetchPassword('orders', 'reader')).toBe('target-reader')
  expect(await credentials.fetchPassword('orders', 'admin')).toBeUndefined()
  expect(await credentials.fetchPassword('orders', 'nobody')).toBeUndefined()
  const rows = await server.store.db.selectFrom('resource_accounts').selectAll().execute()
  expect(JSON.stringify(rows)).not.toContain('target-')
  expect(rows.find(({ name }) => name === 'reader')?.password_sealed).toMatch(/^v1:/)
})
