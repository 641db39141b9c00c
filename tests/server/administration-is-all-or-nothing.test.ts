// Applying and removing people, roles, resources and grants: whole or not at all, secrets kept, sessions ended after (S8).
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { AdminLists } from '../../shared/admin-api.ts'
import {
  ADMIN_PASSWORD,
  grant,
  resource,
  role,
  startTestServer,
  user,
  type ApiResult,
  type Person,
  type TestServer,
} from './support/access-server.ts'

let server: TestServer
let admin: Person
beforeEach(async () => {
  server = await startTestServer()
  admin = await server.setUp()
})
afterEach(() => server.close())

const dev = role('dev', { resources: ['orders'], accounts: ['reader'] })
const list = async (kind: string) => (await server.call('GET', `/v1/admin/${kind}`, { credentials: admin })).body
const remove = (path: string) => server.call('DELETE', `/v1/admin/${path}`, { credentials: admin })
const changes = (answer: ApiResult) => answer.body.applied.map(({ change }) => change)

describe('apply', () => {
  it('takes documents in any order and says what became of each', async () => {
    const documents = [grant('alice', 'dev'), user('alice', { email: 'alice@example.org' }), dev, resource('orders')]
    expect(changes(await server.apply(admin, ...documents))).toEqual(['created', 'created', 'created', 'created'])
    expect(changes(await server.apply(admin, ...documents))).toEqual([
      'unchanged',
      'unchanged',
      'unchanged',
      'unchanged',
    ])
    const again = await server.apply(admin, user('alice', { level: 'viewer' }), dev)
    expect(again.body.applied).toEqual([
      { kind: 'user', name: 'alice', change: 'updated' },
      { kind: 'role', name: 'dev', change: 'unchanged' },
    ])
  })

  it('changes nothing when one document is wrong, and names it', async () => {
    const answer = await server.apply(admin, resource('orders'), dev, grant('nobody', 'dev'))
    expect([answer.status, answer.body.error.code]).toEqual([400, 'bad_request'])
    expect(answer.body.error.text).toBe('grant nobody/dev: there is no person nobody; declare it first')
    expect((await list('resources')).resources).toEqual([])
    expect((await list('roles')).roles).toEqual([])
    expect(server.audit.filter(({ event }) => event === 'admin.change')).toEqual([])
  })

  it('names the field of a document that is not valid', async () => {
    const answer = await server.apply(admin, dev, resource('orders', { address: 'no port' }))
    expect(answer.body.error.text).toBe('documents.1.address: an address is HOST:PORT, IPv6 in brackets')
    const twice = await server.apply(admin, dev, dev)
    expect(twice.body.error.text).toContain('role dev is there twice')
    const accounts = await server.apply(admin, resource('orders', { accounts: [{ name: 'a' }, { name: 'a' }] }))
    expect(accounts.body.error.text).toContain('the account a is there twice')
  })

  it('C1: keeps secrets that a document leaves out, and shows none of them', async () => {
    const seed = 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP'
    await server.apply(admin, resource('orders'), user('alice', { totpSecret: seed }))
    const before = await server.store.db.selectFrom('resource_accounts').selectAll().execute()
    await server.apply(
      admin,
      resource('orders', { accounts: [{ name: 'writer' }, { name: 'reader', password: 'changed' }] }),
      { kind: 'user', name: 'alice', level: 'viewer' },
    )
    const after = await server.store.db.selectFrom('resource_accounts').selectAll().orderBy('position').execute()
    expect(after.map(({ name }) => name)).toEqual(['writer', 'reader'])
    expect(after[0]?.password_sealed).toBe(before.find(({ name }) => name === 'writer')?.password_sealed)
    expect(after[1]?.password_sealed).not.toBe(before.find(({ name }) => name === 'reader')?.password_sealed)

    const texts = JSON.stringify([await list('resources'), await list('users'), server.audit, server.logLines])
    for (const secret of ['target-', 'changed', seed, 'argon2', 'v1:', 'correct horse'])
      expect(texts).not.toContain(secret)
    expect((await list('users')).users).toContainEqual(
      expect.objectContaining({ name: 'alice', totp: true, level: 'viewer' }),
    )
    await server.apply(admin, { kind: 'user', name: 'alice', totpSecret: null })
    await server.logIn('alice', 'correct horse alice')
  })

  it('lists pass their schemas', async () => {
    await server.apply(admin, grant('alice', 'dev', '2030-01-01T00:00:00Z'), user('alice'), dev, resource('orders'))
    AdminLists.users.parse(await list('users'))
    AdminLists.roles.parse(await list('roles'))
    AdminLists.resources.parse(await list('resources'))
    expect(AdminLists.grants.parse(await list('grants')).grants).toEqual([
      { kind: 'grant', user: 'alice', role: 'dev', until: '2030-01-01T00:00:00.000Z' },
    ])
  })

  it('R5: every change is in the audit log, with who made it', async () => {
    await server.apply(admin, dev, user('alice'))
    await server.apply(admin, dev)
    const entries = server.audit.filter(({ event }) => event === 'admin.change')
    expect(entries.map(({ user: who, detail }) => [who, detail])).toEqual([
      ['root', { kind: 'role', name: 'dev', change: 'created' }],
      ['root', { kind: 'user', name: 'alice', change: 'created' }],
    ])
  })
})

describe('S8: sessions', () => {
  beforeEach(async () => {
    await server.apply(admin, grant('alice', 'dev'), user('alice'), dev, resource('orders'))
    server.sessionEnds.length = 0
  })

  it('that are no longer allowed are looked for after a change of roles, grants or resources', async () => {
    await server.apply(admin, dev)
    expect(server.sessionEnds).toEqual([])
    await server.apply(admin, role('dev'))
    expect(server.sessionEnds).toEqual(['endDisallowed'])
    await remove('grants/alice/dev')
    await remove('roles/dev')
    await remove('resources/orders')
    expect(server.sessionEnds).toHaveLength(4)
  })

  it('of a disabled person end with their logins', async () => {
    const alice = await server.logIn('alice', 'correct horse alice')
    await server.apply(admin, user('alice', { disabled: true }))
    expect(server.sessionEnds).toEqual([`endLogin ${alice.loginId} revoked`])
    const answer = await server.call('GET', '/v1/me', { credentials: alice })
    expect([answer.status, answer.body.error.code]).toEqual([403, 'user_disabled'])
  })

  it('of a removed person end, and a new person of the same name inherits nothing', async () => {
    const alice = await server.logIn('alice', 'correct horse alice')
    expect((await remove('users/alice')).status).toBe(200)
    expect(server.sessionEnds).toEqual(['endUser alice revoked'])
    expect(server.audit).toContainEqual(expect.objectContaining({ event: 'login.ended', login: alice.loginId }))
    await server.apply(admin, user('alice'))
    expect((await server.call('GET', '/v1/me', { credentials: alice })).body.error.code).toBe('login_expired')
    expect((await list('grants')).grants).toEqual([])
  })
})

describe('removing', () => {
  it('takes along what hangs on it', async () => {
    await server.apply(admin, grant('alice', 'dev'), user('alice'), dev, resource('orders'))
    await remove('roles/dev')
    expect((await list('grants')).grants).toEqual([])
    await remove('resources/orders')
    expect(await server.store.db.selectFrom('resource_accounts').selectAll().execute()).toEqual([])
  })

  it('says what is not there', async () => {
    for (const path of ['users/x', 'roles/x', 'resources/x', 'grants/x/y']) {
      const answer = await remove(path)
      expect([answer.status, answer.body.error.code]).toEqual([404, 'not_found'])
    }
    expect((await remove('grants/x/y')).body.error.text).toBe('there is no grant x/y')
  })
})

it('the last administrator can be neither removed nor disabled nor lowered', async () => {
  for (const attempt of [
    () => remove('users/root'),
    () => server.apply(admin, user('root', { level: 'editor' })),
    () => server.apply(admin, user('root', { level: 'admin', disabled: true })),
  ]) {
    const answer = await attempt()
    expect([answer.status, answer.body.error.code]).toEqual([409, 'conflict'])
  }
  await server.logIn('root', ADMIN_PASSWORD)
  await server.apply(admin, user('second', { level: 'admin' }))
  expect((await remove('users/root')).status).toBe(200)
})
