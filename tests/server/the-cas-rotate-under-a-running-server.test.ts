// C7: what `rotate` and `finish` do on the server: who is trusted, what is sent, what is counted, what is ended. Over real TLS.
import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import tls from 'node:tls'
import { Kysely, sql } from 'kysely'
import { Migrator } from 'kysely/migration'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CaStatus } from '../../shared/admin-api.ts'
import { CONTROL_CLOSE } from '../../shared/control.ts'
import { ALPN } from '../../shared/names.ts'
import { fingerprintOf, openAuthority } from '../../server/ca/authority.ts'
import { ControlClient } from '../support/control-client.ts'
import { migrationsFor } from '../../server/store/migrations/index.ts'
import type { Tables } from '../../server/store/schema.ts'
import { NodeSqliteDialect } from '../../server/store/sqlite.ts'
import { openStore } from '../../server/store/store.ts'
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

const DAY_MS = 86_400_000

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
    role('dev', { resources: ['*'], accounts: ['*'] }),
    grant('alice', 'dev'),
  )
  alice = await server.logIn('alice', 'correct horse alice')
})
afterEach(() => server.close())

const status = async (person = admin) =>
  CaStatus.parse((await server.call('GET', '/v1/admin/ca', { credentials: person })).body)
const rotate = (person = admin) => server.call('POST', '/v1/admin/ca/rotate', { credentials: person })
const finish = (force = false, person = admin) =>
  server.call('POST', '/v1/admin/ca/finish', { credentials: person, body: { force } })
const routeOf = async (person: Person) => {
  const { csr } = newKeyAndCsr()
  const body = { resource: 'orders', protocol: 'postgres', account: 'reader', csr }
  return (await server.call('POST', '/v1/routes', { credentials: person, body })).body
}
/** The person with another certificate of the same login. */
const renewed = async (person: Person): Promise<Person> => {
  const { key, csr } = newKeyAndCsr()
  const answer = await server.call('POST', '/v1/login/certificate', { credentials: person, body: { csr } })
  expect(answer.status).toBe(200)
  return { ...person, key, certificate: answer.body.certificate }
}
const me = (person: Person) => server.call('GET', '/v1/me', { credentials: person })
const caIdOf = (pem: string) => server.authority.issuerOf(new X509Certificate(pem))

/** Whether a client that trusts exactly these CAs takes the server for genuine, with a new connection. */
async function isVerified(...cas: string[]): Promise<boolean> {
  const socket = tls.connect({ host: '127.0.0.1', port: server.port, ca: cas, ALPNProtocols: [ALPN.web] })
  const outcome = await Promise.race([once(socket, 'secureConnect').then(() => true), once(socket, 'error')])
  socket.destroy()
  return outcome === true
}

it('C8: the page on security lists every CA with what it signs and who trusts it', async () => {
  const page = await readFile(new URL('../../docs/security.md', import.meta.url), 'utf8')
  const rows = page.split('\n').filter((line) => /^\| \w+ CA +\|/.test(line))
  expect(rows.map((row) => row.split('|')[1]?.trim().replace(' CA', '')).sort()).toEqual(
    (await status()).authorities.map(({ kind }) => kind).sort(),
  )
  for (const row of rows) expect(row.split('|').filter((cell) => cell.trim() !== '')).toHaveLength(4)
})

it('C7: a store of before the first rotation is taken over: everything rests on the one user CA that there was', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'postern-before-'))
  const file = path.join(directory, 'store.sqlite')
  const before = new Kysely<Tables>({ dialect: new NodeSqliteDialect(file) })
  const first = migrationsFor('sqlite')['0001-first-tables']
  if (!first) throw new Error('the first migration is gone')
  const provider = { getMigrations: () => Promise.resolve({ '0001-first-tables': first }) }
  await new Migrator({ db: before, provider }).migrateToLatest()
  for (const statement of [
    sql`insert into ca_keys values ('u1', 'user', 'PEM', 'sealed', '2026-01-01', 'active'), ('s1', 'server', 'PEM', 'sealed', '2026-01-01', 'active')`,
    sql`insert into users (name, level, created_at) values ('alice', 'none', '2026-01-01')`,
    sql`insert into logins values ('l1', 'alice', 'here', '2026-01-01', '2026-01-02', null, null)`,
    sql`insert into routes values ('r1', 'l1', 'orders', 'postgres', 'reader', '2026-01-01')`,
  ])
    await statement.execute(before)
  await before.destroy()
  const store = await openStore({ kind: 'sqlite', file })
  const { db } = store
  try {
    expect(await db.selectFrom('logins').select(['id', 'ca_id']).execute()).toEqual([{ id: 'l1', ca_id: 'u1' }])
    expect(await db.selectFrom('routes').select(['ca_id', 'certificate_ends_at']).execute()).toEqual([
      { ca_id: 'u1', certificate_ends_at: null },
    ])
  } finally {
    await store.close()
    await rm(directory, { recursive: true, force: true })
  }
})

describe('rotate', () => {
  it('C7: makes both CAs anew and trusts the old ones on; the new ones sign at once', async () => {
    const before = await status()
    expect([before.state, before.authorities.length, before.onOldCa, before.crossUntil]).toEqual([
      'idle',
      2,
      { logins: 0, routes: 0 },
      null,
    ])
    const answer = CaStatus.parse((await rotate()).body)
    expect(answer.state).toBe('rotating')
    expect(answer.authorities.map(({ kind, use }) => `${kind} ${use}`).sort()).toEqual([
      'server signs',
      'server trusted',
      'user signs',
      'user trusted',
    ])
    for (const old of before.authorities) expect(answer.authorities).toContainEqual({ ...old, use: 'trusted' })
    // root rotated on a certificate of the old CA, alice has one too.
    expect(answer.onOldCa).toEqual({ logins: 2, routes: 0 })

    expect(caIdOf(alice.certificate)?.standing).toBe('trusted')
    expect((await me(alice)).status).toBe(200)
    const route = await routeOf(alice)
    expect(caIdOf(route.certificate)?.standing).toBe('signs')
    const again = await server.logIn('alice', 'correct horse alice')
    expect(caIdOf(again.certificate)?.standing).toBe('signs')
    expect(again.cas?.map((pem) => fingerprintOf(new X509Certificate(pem)))).toEqual([
      answer.authorities.find(({ kind, use }) => kind === 'server' && use === 'signs')?.fingerprint,
      server.made.fingerprint,
    ])
  })

  it('C7: clients that know only the old server CA, only the new one, or both verify the server; strangers do not', async () => {
    const old = server.authority.serverCaPem
    await rotate()
    const fresh = server.authority.serverCaPem
    expect(fresh).not.toBe(old)
    expect(await isVerified(old)).toBe(true)
    expect(await isVerified(fresh)).toBe(true)
    expect(await isVerified(fresh, old)).toBe(true)
    expect(await isVerified(server.authority.trustedUserCas()[0]?.toString() ?? '')).toBe(false)
    // And as OpenSSL's strict mode sees what is sent, from either side.
    const { cert } = await server.authority.serverTls(server.config.serverNames)
    const pems = cert.split(/(?<=-----END CERTIFICATE-----\n)/)
    expect(pems).toHaveLength(3)
    const files = { old, fresh, leaf: pems[0] ?? '', cross: pems[1] ?? '' }
    for (const [name, pem] of Object.entries(files)) await writeFile(path.join(server.directory, name), pem)
    const verify = (...args: string[]) =>
      execFileSync('openssl', ['verify', '-x509_strict', '-purpose', 'sslserver', ...args], {
        cwd: server.directory,
        encoding: 'utf8',
      })
    expect(verify('-CAfile', 'old', '-untrusted', 'cross', 'leaf')).toContain('leaf: OK')
    expect(verify('-CAfile', 'fresh', 'leaf')).toContain('leaf: OK')
  })

  it('C7: is refused while one goes on; two at once make one', async () => {
    const answers = await Promise.all([rotate(), rotate()])
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 409])
    expect((await rotate()).body.error.text).toContain('postern admin ca finish')
    expect((await status()).authorities).toHaveLength(4)
  })

  it('C1: the new keys lie in the store only sealed', async () => {
    await rotate()
    const rows = await server.store.db.selectFrom('ca_keys').selectAll().execute()
    expect(rows).toHaveLength(4)
    for (const row of rows) {
      expect(row.key_sealed).not.toContain('PRIVATE')
      const opened = server.masterKey.open(row.key_sealed, `ca_keys:key_sealed:${row.id}`).reveal()
      const certificate = new X509Certificate(row.certificate_pem)
      expect(opened).toContain('BEGIN PRIVATE KEY')
      expect(certificate.ca).toBe(true)
    }
  })

  it('C7: in the middle of it a server that starts again goes on with the same CAs', async () => {
    await rotate()
    const reopened = await openAuthority(server.store.db, server.masterKey, () => server.clock.now)
    expect(reopened.fingerprint).toBe(server.authority.fingerprint)
    expect(reopened.serverCaPems).toEqual(server.authority.serverCaPems)
    expect(reopened.issuerOf(new X509Certificate(alice.certificate))?.standing).toBe('trusted')
    const names = server.config.serverNames
    expect(await reopened.serverTls(names)).toEqual(await server.authority.serverTls(names))
  })
})

describe('a login moves over', () => {
  it('C7, C2: the same login with the same end, on another key and the new CA; a person is not needed', async () => {
    await rotate()
    expect((await routeOf(alice)) as object).toMatchObject({ renewCertificate: true })
    const moved = await renewed(alice)
    const [old, fresh] = [new X509Certificate(alice.certificate), new X509Certificate(moved.certificate)]
    expect(fresh.subjectAltName).toBe(old.subjectAltName)
    expect(fresh.validToDate).toEqual(old.validToDate)
    expect(caIdOf(moved.certificate)?.standing).toBe('signs')
    expect(server.audit).toContainEqual(expect.objectContaining({ event: 'login.renewed', user: 'alice' }))
    // Counted when it is presented, not when it is issued: until then nobody knows that it has arrived.
    expect((await status()).onOldCa.logins).toBe(2)
    expect((await me(moved)).body).toMatchObject({ renewCertificate: false })
    expect((await status()).onOldCa.logins).toBe(1)
  })

  it('C7, C4: an ended login, or one that has run out, gets no other certificate', async () => {
    await rotate()
    const { csr } = newKeyAndCsr()
    const ask = (person: Person) => server.call('POST', '/v1/login/certificate', { credentials: person, body: { csr } })
    await server.call('POST', '/v1/logout', { credentials: alice, body: {} })
    expect((await ask(alice)).body.error.code).toBe('login_expired')
    server.clock.advance(Date.parse(admin.expiresAt) - server.clock.now.getTime() + 1000)
    expect((await ask(admin)).body.error.code).toBe('login_expired')
  })
})

it('C7, C9: signed-in clients are told at once that a rotation begins and ends, and who comes later in the middle of it', async () => {
  const open = (person: Person) =>
    ControlClient.open({ port: server.port, caPem: server.caPem, credentials: person }, {})
  const stream = await open(alice)
  const later = await open(admin)
  try {
    await stream.next('hello')
    await rotate()
    await stream.next('cas.changed')
    const again = await open(alice)
    await again.next('hello')
    await again.next('cas.changed')
    await later.next('cas.changed')
    const movedAdmin = await renewed(admin)
    await me(movedAdmin)
    await finish(true, movedAdmin)
    expect(await again.next('login.ended')).toMatchObject({ reason: 'ca' })
    expect(await again.ended()).toMatchObject({ code: CONTROL_CLOSE.ca })
    again.close()
  } finally {
    stream.close()
    later.close()
  }
})

describe('finish', () => {
  it('C7: refuses while logins and routes rest on the old user CA, and says how many', async () => {
    await routeOf(alice)
    await rotate()
    const refused = await finish()
    expect(refused.status).toBe(409)
    expect(refused.body.error.text).toContain('2 logins and 1 route still rest on the old user CA')
    expect(refused.body.error.detail).toEqual({ logins: 2, routes: 1 })

    const movedAdmin = await renewed(admin)
    const moved = await renewed(alice)
    await me(moved)
    const almost = await finish(false, movedAdmin)
    expect(almost.body.error.text).toContain('0 logins and 1 route still')
    // A route that was reissued rests on the new one; one that was not ends by itself.
    await routeOf(moved)
    expect((await finish(false, movedAdmin)).status).toBe(200)
    const after = await status(movedAdmin)
    expect([after.state, after.authorities.map(({ use }) => use)]).toEqual(['idle', ['signs', 'signs']])
    expect((await me(moved)).status).toBe(200)
    expect((await finish(false, movedAdmin)).body.error.code).toBe('conflict')
  })

  it('C7: what was left of the old user CA needs a login, or for a route the login itself; its key is gone', async () => {
    // As a tunnel holds it for its streams: judged once before, and again each time.
    const held = new X509Certificate((await routeOf(alice)).certificate)
    await expect(server.access.authenticateRoute(held)).resolves.toMatchObject({ route: { user: 'alice' } })
    const oldIds = (await status()).authorities.map(({ id }) => id)
    await rotate()
    const movedAdmin = await renewed(admin)
    await server.store.db.updateTable('logins').set({ ca_id: null }).execute()
    await server.store.db.updateTable('routes').set({ ca_id: null }).execute()
    await me(movedAdmin)
    expect((await finish(false, movedAdmin)).status).toBe(200)

    expect((await me(alice)).body.error).toMatchObject({ code: 'login_expired' })
    await expect(server.access.authenticateRoute(held)).rejects.toMatchObject({
      code: 'certificate_expired',
    })
    const rows = await server.store.db.selectFrom('ca_keys').select('id').execute()
    expect(rows.filter(({ id }) => oldIds.includes(id))).toEqual([])
    const dropped = await server.store.db.selectFrom('dropped_cas').select('id').execute()
    expect(dropped.map(({ id }) => id).sort()).toEqual([...oldIds].sort())
  })

  it('C7: who was away for all of it still finds the way for half a year, over two rotations too', async () => {
    const first = server.authority.serverCaPem
    for (let round = 0; round < 2; round += 1) {
      await rotate()
      admin = await renewed(admin)
      await me(admin)
      alice = await renewed(alice)
      await me(alice)
      expect((await finish()).status).toBe(200)
    }
    const { crossUntil } = await status()
    expect(Date.parse(crossUntil ?? '') - server.clock.now.getTime()).toBeCloseTo(180 * DAY_MS, -4)
    expect(await isVerified(first)).toBe(true)
    expect(server.authority.serverCaPems).toHaveLength(1)
    // After that the way is no longer sent.
    server.clock.advance(181 * DAY_MS)
    const { cert } = await server.authority.serverTls(server.config.serverNames)
    expect(cert.match(/BEGIN CERTIFICATE/g)).toHaveLength(2)
  })

  it('C7: --force ends the logins of the old user CA with their sessions, and sends no way from the old server CA', async () => {
    const old = server.authority.serverCaPem
    await rotate()
    const movedAdmin = await renewed(admin)
    await me(movedAdmin)
    expect((await finish(true, movedAdmin)).status).toBe(200)
    expect(server.sessionEnds).toContain(`endLogin ${alice.loginId} revoked`)
    expect(server.sessionEnds).not.toContain(`endLogin ${admin.loginId} revoked`)
    expect(server.audit).toContainEqual(
      expect.objectContaining({ event: 'login.ended', user: 'alice', login: alice.loginId }),
    )
    expect(server.authority.issuerOf(new X509Certificate(alice.certificate))?.standing).toBe('dropped')
    expect(await isVerified(old)).toBe(false)
    expect(await isVerified(server.authority.serverCaPem)).toBe(true)
  })

  it('C7: each step is in the audit log with who, which CA and what became of it', async () => {
    await rotate()
    await finish(true)
    const changes = server.audit
      .filter(({ event }) => event === 'admin.change')
      .map(({ user, detail }) => ({
        user,
        ...detail,
      }))
    for (const kind of ['user CA', 'server CA'])
      for (const change of ['created', 'signs no more', 'dropped by force'])
        expect(changes).toContainEqual(expect.objectContaining({ user: 'root', kind, change }))
  })

  it('C7: is for administrators only', async () => {
    for (const answer of [
      await server.call('GET', '/v1/admin/ca', { credentials: alice }),
      await rotate(alice),
      await finish(true, alice),
    ])
      expect([answer.status, answer.body.error.code]).toEqual([403, 'forbidden'])
    expect((await status()).state).toBe('idle')
  })
})
