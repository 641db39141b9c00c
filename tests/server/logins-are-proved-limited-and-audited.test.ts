// Logging in over the real API: what is refused, with which words, and what the audit log says of it.
import { X509Certificate } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  ADMIN_PASSWORD,
  newKeyAndCsr,
  startTestServer,
  totpCode,
  user,
  type Person,
  type TestServer,
} from './support/access-server.ts'

const SEED = 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP'

let server: TestServer
let admin: Person
beforeEach(async () => {
  server = await startTestServer()
  admin = await server.setUp()
  await server.apply(admin, user('alice'), user('bob', { totpSecret: SEED }), user('carol', { disabled: true }))
})
afterEach(() => server.close())

const attempt = (name: string, password: string, extra: object = {}) =>
  server.call('POST', '/v1/login', { body: { user: name, password, csr: newKeyAndCsr().csr, ...extra } })

describe('passwords', () => {
  it('C2: a login answers a certificate of the person that ends with the login', async () => {
    const alice = await server.logIn('alice', 'correct horse alice', { ttlSeconds: 600 })
    const certificate = new X509Certificate(alice.certificate)
    expect(certificate.subjectAltName).toBe(`URI:spiffe://postern/user/alice/login/${alice.loginId}`)
    expect(certificate.validToDate.toISOString()).toBe(alice.expiresAt)
    const row = await server.store.db
      .selectFrom('logins')
      .selectAll()
      .where('id', '=', alice.loginId)
      .executeTakeFirstOrThrow()
    expect(row.expires_at).toBe(alice.expiresAt)
    expect(new Date(alice.expiresAt).getTime() - server.clock.now.getTime()).toBeGreaterThan(598_000)
    expect(new Date(alice.expiresAt).getTime() - server.clock.now.getTime()).toBeLessThanOrEqual(600_000)
  })

  it('C2: nobody gets a longer login than the setting allows', async () => {
    const alice = await server.logIn('alice', 'correct horse alice', { ttlSeconds: 10_000_000 })
    expect(new Date(alice.expiresAt).getTime()).toBeLessThanOrEqual(server.clock.now.getTime() + server.config.ttl.user)
  })

  it('R5: an unknown person gets the same answer as a wrong password, and both are audited', async () => {
    const wrong = await attempt('alice', 'wrong')
    const unknown = await attempt('mallory', 'wrong')
    expect(wrong.status).toBe(401)
    expect(unknown.status).toBe(401)
    expect(unknown.body.error).toEqual(wrong.body.error)
    expect(wrong.body.error.code).toBe('bad_credentials')
    const failures = server.audit.filter(({ event }) => event === 'login.failed')
    expect(failures.map((entry) => [entry.user, entry.detail?.['code']])).toEqual([
      ['alice', 'bad_credentials'],
      ['mallory', 'bad_credentials'],
    ])
    expect(JSON.stringify(failures)).not.toContain('"wrong"')
  })

  it('an unknown person costs the same work as a wrong password', async () => {
    const timed = async (name: string): Promise<number> => {
      const start = performance.now()
      await attempt(name, 'wrong')
      return performance.now() - start
    }
    // In turn, and the quickest of each: what else the machine does only adds.
    const times: [known: number, unknown: number][] = []
    for (let round = 0; round < 5; round++) times.push([await timed('alice'), await timed('mallory')])
    // Without the stand-in hash the ratio is beyond 5; a busy machine stays far from 3.
    const ratio = Math.min(...times.map(([known]) => known)) / Math.min(...times.map(([, unknown]) => unknown))
    expect(ratio).toBeLessThan(3)
    expect(ratio).toBeGreaterThan(1 / 3)
  })

  it('a disabled person learns it only with the right password', async () => {
    expect((await attempt('carol', 'wrong')).body.error.code).toBe('bad_credentials')
    const right = await attempt('carol', 'correct horse carol')
    expect([right.status, right.body.error.code]).toEqual([403, 'user_disabled'])
  })

  it('W2: a broken signing request is named before the password is looked at', async () => {
    const answer = await attempt('alice', 'wrong', { csr: 'nonsense' })
    expect([answer.status, answer.body.error.code, answer.body.error.detail.field]).toEqual([400, 'bad_request', 'csr'])
  })
})

describe('TOTP', () => {
  it('is asked for only after the right password', async () => {
    expect((await attempt('bob', 'wrong')).body.error.code).toBe('bad_credentials')
    expect((await attempt('bob', 'correct horse bob')).body.error.code).toBe('totp_required')
  })

  it('refuses a wrong code, takes a right one, and refuses it the second time with other words', async () => {
    const code = totpCode(SEED, server.clock.now)
    const wrongCode = code === '000000' ? '000001' : '000000'
    const wrong = await attempt('bob', 'correct horse bob', { totp: wrongCode })
    expect([wrong.status, wrong.body.error.code]).toEqual([401, 'totp_invalid'])
    expect((await attempt('bob', 'correct horse bob', { totp: code })).status).toBe(200)
    const replay = await attempt('bob', 'correct horse bob', { totp: code })
    expect(replay.body.error.code).toBe('totp_invalid')
    expect(replay.body.error.text).toContain('used already')
    expect(replay.body.error.text).not.toBe(wrong.body.error.text)
  })

  it('refuses codes older than the one used last, though they are in the window', async () => {
    const older = totpCode(SEED, new Date(server.clock.now.getTime() - 30_000))
    expect((await attempt('bob', 'correct horse bob', { totp: totpCode(SEED, server.clock.now) })).status).toBe(200)
    expect((await attempt('bob', 'correct horse bob', { totp: older })).body.error.code).toBe('totp_invalid')
  })

  it('lets one of two logins at once use a code', async () => {
    const totp = totpCode(SEED, server.clock.now)
    const answers = await Promise.all([1, 2, 3].map(() => attempt('bob', 'correct horse bob', { totp })))
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 401, 401])
  })

  it('is enrolled by a person and counts once a code came back', async () => {
    const alice = await server.logIn('alice', 'correct horse alice')
    const refused = await server.call('POST', '/v1/account/totp', { credentials: alice, body: { password: 'wrong' } })
    expect(refused.body.error.code).toBe('bad_credentials')
    const started = await server.call('POST', '/v1/account/totp', {
      credentials: alice,
      body: { password: 'correct horse alice' },
    })
    expect(started.body.uri).toMatch(/^otpauth:\/\/totp\/.*alice/)
    expect((await attempt('alice', 'correct horse alice')).status).toBe(200)
    const confirm = (code: string) =>
      server.call('POST', '/v1/account/totp/confirm', { credentials: alice, body: { code } })
    const code = totpCode(started.body.secret, server.clock.now)
    expect((await confirm(code === '000000' ? '000001' : '000000')).body.error.code).toBe('totp_invalid')
    expect((await confirm(code)).status).toBe(200)
    expect((await attempt('alice', 'correct horse alice')).body.error.code).toBe('totp_required')
    expect((await attempt('alice', 'correct horse alice', { totp: code })).body.error.text).toContain('used already')
    server.clock.advance(30_000)
    const next = totpCode(started.body.secret, server.clock.now)
    expect((await attempt('alice', 'correct horse alice', { totp: next })).status).toBe(200)
    expect((await confirm(next)).body.error.code).toBe('conflict')
  })
})

describe('limits', () => {
  it('three wrong passwords in a row lock nobody out', async () => {
    for (let i = 0; i < 3; i++) await attempt('alice', 'wrong')
    expect((await attempt('alice', 'correct horse alice')).status).toBe(200)
  })

  it('the eleventh failure of a person within a minute has to wait, and is told how long', async () => {
    await Promise.all(Array.from({ length: 10 }, () => attempt('alice', 'wrong')))
    const limited = await attempt('alice', 'correct horse alice')
    expect([limited.status, limited.body.error.code]).toEqual([429, 'rate_limited'])
    expect(limited.body.error.detail).toEqual({ retryAfterSeconds: 60 })
    expect(limited.body.error.text).toContain('60 s')
    expect((await attempt('bob', 'wrong')).body.error.code).toBe('bad_credentials')
    server.clock.advance(60_000)
    expect((await attempt('alice', 'correct horse alice')).status).toBe(200)
  })
})

describe('the setup code', () => {
  it('makes one administrator, once', async () => {
    const again = await server.call('POST', '/v1/setup', {
      body: { setupCode: server.made.setupCode, user: 'eve', password: 'correct horse eve', csr: newKeyAndCsr().csr },
    })
    expect([again.status, again.body.error.code]).toEqual([401, 'setup_code_invalid'])
    expect(admin.level).toBe('admin')
    expect((await attempt('root', ADMIN_PASSWORD)).status).toBe(200)
  })

  it('survives wrong codes and broken requests', async () => {
    const fresh = await startTestServer()
    try {
      const setUp = (setupCode: string, csr: string) =>
        fresh.call('POST', '/v1/setup', { body: { setupCode, user: 'root', password: 'x', csr } })
      expect((await setUp('WRONG', newKeyAndCsr().csr)).body.error.code).toBe('setup_code_invalid')
      expect((await setUp(fresh.made.setupCode, 'broken')).body.error.code).toBe('bad_request')
      expect((await setUp(fresh.made.setupCode.toLowerCase(), newKeyAndCsr().csr)).status).toBe(200)
    } finally {
      await fresh.close()
    }
  })
})

describe('logging out', () => {
  it('S8: ends this login and its sessions, and no other of the person', async () => {
    const first = await server.logIn('alice', 'correct horse alice')
    const second = await server.logIn('alice', 'correct horse alice')
    expect((await server.call('POST', '/v1/logout', { credentials: first })).status).toBe(200)
    expect(server.sessionEnds).toContain(`endLogin ${first.loginId} revoked`)
    expect(server.sessionEnds).not.toContain(`endLogin ${second.loginId} revoked`)
    const after = await server.call('GET', '/v1/me', { credentials: first })
    expect([after.status, after.body.error.code]).toEqual([401, 'login_expired'])
    expect((await server.call('GET', '/v1/me', { credentials: second })).status).toBe(200)
    expect(server.audit).toContainEqual(expect.objectContaining({ event: 'login.ended', login: first.loginId }))
  })

  it('S8: everywhere ends all of the person and nobody else', async () => {
    const first = await server.logIn('alice', 'correct horse alice')
    const second = await server.logIn('alice', 'correct horse alice')
    await server.call('POST', '/v1/logout', { credentials: first, body: { everywhere: true } })
    expect(server.sessionEnds).toContain(`endLogin ${second.loginId} revoked`)
    expect((await server.call('GET', '/v1/me', { credentials: second })).status).toBe(401)
    expect((await server.call('GET', '/v1/me', { credentials: admin })).status).toBe(200)
  })
})

describe('passwords of one’s own', () => {
  it('change with the current one only', async () => {
    const alice = await server.logIn('alice', 'correct horse alice')
    const change = (current: string, next: string) =>
      server.call('POST', '/v1/account/password', { credentials: alice, body: { current, next } })
    expect((await change('wrong', 'a new password')).body.error.code).toBe('bad_credentials')
    expect((await change('correct horse alice', 'short')).body.error.text).toContain('at least 8 characters')
    expect((await change('correct horse alice', 'a new password')).status).toBe(200)
    expect((await attempt('alice', 'correct horse alice')).status).toBe(401)
    expect((await attempt('alice', 'a new password')).status).toBe(200)
  })
})
