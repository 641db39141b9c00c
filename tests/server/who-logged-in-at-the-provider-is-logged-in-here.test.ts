// W7: single sign-on as the access server sees it, against a real OpenID provider: single use, state, verifier, ten minutes; who
// comes back is a person of this cluster or nobody.
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { loadConfig } from '../../server/config.ts'
import { Secret } from '../../server/secrets/secret.ts'
import { createProvider } from '../../server/sso/provider.ts'
import { PlainBrowser, startIdentityProvider, type IdentityProvider } from '../support/identity-provider.ts'
import { newKeyAndCsr, startTestServer, user, type ApiResult, type TestServer } from './support/access-server.ts'

const REDIRECT = 'http://127.0.0.1:40999/callback'
const MINUTE_MS = 60_000

let provider: IdentityProvider
let server: TestServer
let directory: string
beforeAll(async () => {
  provider = await startIdentityProvider()
  directory = await mkdtemp(path.join(tmpdir(), 'postern-oidc-'))
  const file = path.join(directory, 'postern.yaml')
  await writeFile(file, provider.settings)
  server = await startTestServer({
    oidc: loadConfig(file).oidc,
    loginLimits: { perUserPerMinute: 10, perAddressPerMinute: 40 },
  })
  const root = await server.setUp()
  const applied = await server.apply(
    root,
    user('alice', { email: 'Alice@shop.example' }),
    user('carl', { email: 'carl@shop.example', disabled: true }),
    user('twin-a', { email: 'twin@shop.example' }),
    user('twin-b', { email: 'twin@shop.example' }),
    user('bob', { email: 'bob@shop.example' }),
  )
  expect(applied.status).toBe(200)
})
afterAll(async () => {
  await server.close()
  await provider.close()
  await rm(directory, { recursive: true, force: true })
})
beforeEach(() => {
  server.audit.length = 0
  // Every test has its own minute: starts and failures are limited per address.
  server.clock.advance(2 * MINUTE_MS)
})

const verifierOf = (): { verifier: string; challenge: string } => {
  const verifier = randomBytes(32).toString('base64url')
  return { verifier, challenge: createHash('sha256').update(verifier).digest('base64url') }
}

type Begun = { ssoId: string; verifier: string; authorizationUrl: string; state: string }
async function begin(): Promise<Begun> {
  const { verifier, challenge } = verifierOf()
  const { status, body } = await server.call('POST', '/v1/sso/start', { body: { redirectUri: REDIRECT, challenge } })
  expect(status, JSON.stringify(body)).toBe(200)
  return { verifier, ssoId: body.ssoId, authorizationUrl: body.authorizationUrl, state: body.state }
}

/** The person logs in at the provider; what came back. */
async function comeBack(begun: Begun, person: string): Promise<{ code: string; state: string; iss: string }> {
  const back = new URL(await new PlainBrowser().throughProvider(begun.authorizationUrl, person))
  return Object.fromEntries(back.searchParams) as { code: string; state: string; iss: string }
}

const finish = (begun: Begun, answer: object, more: object = {}): Promise<ApiResult> =>
  server.call('POST', '/v1/sso/finish', {
    body: { ssoId: begun.ssoId, verifier: begun.verifier, csr: newKeyAndCsr().csr, ...answer, ...more },
  })

it('W7: the server says what it can, and sends the browser to the provider with state, nonce and PKCE', async () => {
  const cluster = await server.call('GET', '/v1/cluster')
  expect(cluster.body.login).toEqual({ password: true, sso: { name: 'Shop ID' } })
  const { authorizationUrl, state } = await begin()
  const url = new URL(authorizationUrl)
  expect(url.origin).toBe(provider.issuer)
  expect(Object.fromEntries(url.searchParams)).toMatchObject({
    client_id: 'postern',
    response_type: 'code',
    redirect_uri: REDIRECT,
    scope: 'openid email',
    state,
    code_challenge_method: 'S256',
  })
  expect(url.searchParams.get('nonce')).toMatch(/^[\w-]{43}$/)
})

it('W7, C1: who logged in there gets a login here, once, as with a password; the audit log says how', async () => {
  const begun = await begin()
  const answer = await comeBack(begun, 'alice')
  const stored = await server.store.db
    .selectFrom('sso_requests')
    .selectAll()
    .where('id', '=', begun.ssoId)
    .executeTakeFirstOrThrow()
  expect(stored.journey_sealed).toMatch(/^v1:/)
  expect(JSON.stringify(stored)).not.toContain(begun.state)
  const { status, body } = await finish(begun, answer, { ttlSeconds: 60 })
  expect(status, JSON.stringify(body)).toBe(200)
  expect(body.user).toBe('alice')
  expect(body.certificate).toContain('BEGIN CERTIFICATE')
  expect(Date.parse(body.expiresAt) - Date.parse(body.serverTime)).toBeLessThanOrEqual(60_000)
  expect(server.audit).toEqual([
    expect.objectContaining({
      event: 'login.succeeded',
      user: 'alice',
      detail: expect.objectContaining({ how: 'sso' }),
    }),
  ])
  const again = await finish(begun, answer)
  expect([again.status, again.body.error.code]).toEqual([401, 'sso_failed'])
  expect(again.body.error.text).toContain('finished already')
})

it('W7: a wrong state, a wrong verifier and a wrong code are refused, and use the login up', async () => {
  for (const wrong of [
    { state: 'x'.repeat(43) },
    { verifier: verifierOf().verifier },
    { code: 'no-such-code' },
    { iss: 'https://elsewhere.example' },
  ]) {
    const begun = await begin()
    const answer = await comeBack(begun, 'alice')
    const refused = await finish(begun, answer, wrong)
    expect([refused.status, refused.body.error.code], JSON.stringify(wrong)).toEqual([401, 'sso_failed'])
    const right = await finish(begun, answer)
    expect(right.body.error.code, JSON.stringify(wrong)).toBe('sso_failed')
    expect(server.audit.at(-1)).toMatchObject({ event: 'login.failed', detail: { how: 'sso', code: 'sso_failed' } })
  }
  expect(server.logLines.join('')).not.toContain('no-such-code')
})

it('W7: ten minutes later it is too late', async () => {
  const begun = await begin()
  const answer = await comeBack(begun, 'alice')
  server.clock.advance(10 * MINUTE_MS)
  const late = await finish(begun, answer)
  expect([late.status, late.body.error.code]).toEqual([401, 'sso_failed'])
  expect(late.body.error.text).toContain('longer than 10 minutes')
})

it('W7: of two that finish the same login at once, one gets it', async () => {
  const begun = await begin()
  const answer = await comeBack(begun, 'alice')
  const both = await Promise.all([finish(begun, answer), finish(begun, answer)])
  expect(both.map(({ status }) => status).sort()).toEqual([200, 401])
})

it('W7: nobody is made a person by the provider; the refusal names what it said, and so does the audit log', async () => {
  provider.claims.set('mallory', { email: 'alice@shop.example', email_verified: false })
  for (const [person, code, text] of [
    ['eve', 'sso_denied', 'Shop ID knows you as eve@shop.example, but nobody of that email is known here'],
    ['twin', 'sso_denied', 'several people here have that email'],
    ['mallory', 'sso_denied', 'has not verified that alice@shop.example is yours'],
    ['carl', 'user_disabled', 'the account carl is disabled'],
  ] as const) {
    const begun = await begin()
    const refused = await finish(begun, await comeBack(begun, person))
    expect([refused.status, refused.body.error.code], person).toEqual([403, code])
    expect(refused.body.error.text).toContain(text)
    const said = person === 'mallory' ? 'alice@shop.example' : `${person}@shop.example`
    expect(server.audit.at(-1)).toMatchObject({ event: 'login.failed', detail: { how: 'sso', code, person: said } })
  }
})

it('W7: the way back is a literal loopback address and this one path, the challenge a challenge', async () => {
  const { challenge } = verifierOf()
  for (const redirectUri of [
    'http://localhost:4000/callback',
    'https://127.0.0.1:4000/callback',
    'http://127.0.0.1/callback',
    'http://127.0.0.1:70000/callback',
    'http://127.0.0.1:4000/callback/../x',
    'http://127.0.0.1:4000/callback?x=1',
    'http://127.0.0.1.evil.example:4000/callback',
    'http://evil.example/callback',
  ]) {
    const refused = await server.call('POST', '/v1/sso/start', { body: { redirectUri, challenge } })
    expect([refused.status, refused.body.error.code], redirectUri).toEqual([400, 'bad_request'])
  }
  const refused = await server.call('POST', '/v1/sso/start', { body: { redirectUri: REDIRECT, challenge: 'short' } })
  expect(refused.body.error.detail).toMatchObject({ field: 'challenge' })
})

it('W8: beginning is limited per address, and what is under way per cluster', async () => {
  for (let index = 0; index < 40; index++) await begin()
  const { challenge } = verifierOf()
  const refused = await server.call('POST', '/v1/sso/start', { body: { redirectUri: REDIRECT, challenge } })
  expect([refused.status, refused.body.error.code]).toEqual([429, 'rate_limited'])
  // What has run out is swept by the next one that begins.
  server.clock.advance(11 * MINUTE_MS)
  await begin()
  expect(await server.store.db.selectFrom('sso_requests').select('id').execute()).toHaveLength(1)
})

it('W7: without a provider there is no such login, and no open door', async () => {
  await using plain = await startTestServer().then((started) => ({
    ...started,
    [Symbol.asyncDispose]: () => started.close(),
  }))
  expect((await plain.call('GET', '/v1/cluster')).body.login).toEqual({ password: true, sso: null })
  const { verifier, challenge } = verifierOf()
  const start = await plain.call('POST', '/v1/sso/start', { body: { redirectUri: REDIRECT, challenge } })
  expect([start.status, start.body.error.code]).toEqual([400, 'unsupported'])
  const { csr } = newKeyAndCsr()
  const done = await plain.call('POST', '/v1/sso/finish', {
    body: { ssoId: crypto.randomUUID(), verifier, code: 'c', state: 's', csr },
  })
  expect([done.status, done.body.error.code]).toEqual([400, 'unsupported'])
})

it('W7: a provider that cannot be reached, is another one, or refuses this server is named', async () => {
  const { oidc } = server.config
  if (!oidc) throw new Error('the test server has a provider')
  const now = () => new Date()
  const gone = createProvider({ ...oidc, issuer: new URL('http://127.0.0.1:1') }, now)
  await expect(gone.begin(REDIRECT)).rejects.toMatchObject({
    code: 'sso_unreachable',
    message: expect.stringContaining('cannot reach Shop ID: nothing listens there'),
  })
  const other = createProvider({ ...oidc, issuer: new URL(provider.issuer.replace('localhost', '127.0.0.1')) }, now)
  await expect(other.begin(REDIRECT)).rejects.toMatchObject({ code: 'misconfigured' })
  const unknown = createProvider({ ...oidc, clientSecret: new Secret('another secret') }, now)
  const { authorizationUrl, journey } = await unknown.begin(REDIRECT)
  const back = await comeBack({ ssoId: '', verifier: '', authorizationUrl, state: journey.state }, 'alice')
  await expect(unknown.redeem({ redirectUri: REDIRECT, ...back, ...journey })).rejects.toMatchObject({
    code: 'misconfigured',
    message: expect.stringContaining('refuses this server (invalid_client); check clientId and clientSecret'),
  })

  const begun = await begin()
  const answer = await comeBack(begun, 'alice')
  await provider.pause()
  const unreachable = await finish(begun, answer)
  await provider.resume()
  expect([unreachable.status, unreachable.body.error.code]).toEqual([502, 'sso_unreachable'])
  expect((await finish(begun, answer)).body.error.code).toBe('sso_failed')
})

it('W7: the name there can be the name here', async () => {
  const { oidc } = server.config
  if (!oidc) throw new Error('the test server has a provider')
  const byName = createProvider(
    { ...oidc, personClaim: 'preferred_username', scopes: ['openid', 'profile'] },
    () => new Date(),
  )
  const { authorizationUrl, journey } = await byName.begin(REDIRECT)
  const back = new URL(await new PlainBrowser().throughProvider(authorizationUrl, 'bob'))
  const returned = {
    redirectUri: REDIRECT,
    code: back.searchParams.get('code') ?? '',
    iss: back.searchParams.get('iss') ?? undefined,
    ...journey,
  }
  expect(await byName.redeem(returned)).toEqual({ claim: 'preferred_username', value: 'bob' })
})
