// W1: the table of endpoints × permission levels, walked over real TLS. A new endpoint that is not written here fails.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { PERMISSION_LEVELS, type PermissionLevel } from '../../shared/api.ts'
import { ALPN } from '../../shared/names.ts'
import { ENDPOINTS } from '../../server/web/endpoints.ts'
import { startTestServer, user, type Person, type TestServer } from './support/access-server.ts'

/** Written by hand, not derived: what each endpoint must ask for. */
const EXPECTED: Record<string, 'anonymous' | PermissionLevel> = {
  'GET /v1/health': 'anonymous',
  'GET /v1/cluster': 'anonymous',
  'POST /v1/login': 'anonymous',
  'POST /v1/sso/start': 'anonymous',
  'POST /v1/sso/finish': 'anonymous',
  'POST /v1/setup': 'anonymous',
  'GET /v1/me': 'none',
  'POST /v1/login/certificate': 'none',
  'POST /v1/logout': 'none',
  'POST /v1/account/password': 'none',
  'POST /v1/account/totp': 'none',
  'POST /v1/account/totp/confirm': 'none',
  'GET /v1/resources': 'none',
  'POST /v1/routes': 'none',
  'POST /v1/routes/:routeId/close': 'none',
  // One's own; more by scope and by whose it is: tests/server/sessions-are-seen-and-ended-by-those-who-may.test.ts.
  'GET /v1/sessions': 'none',
  'GET /v1/sessions/:id': 'none',
  'GET /v1/sessions/:id/statements': 'none',
  'POST /v1/sessions/:id/end': 'none',
  'GET /v1/audit': 'viewer',
  'GET /v1/admin/users': 'viewer',
  'GET /v1/admin/roles': 'viewer',
  'GET /v1/admin/resources': 'viewer',
  'GET /v1/admin/grants': 'viewer',
  'POST /v1/admin/apply': 'editor',
  'DELETE /v1/admin/users/:name': 'admin',
  'DELETE /v1/admin/roles/:name': 'editor',
  'DELETE /v1/admin/resources/:name': 'editor',
  'DELETE /v1/admin/grants/:user/:role': 'admin',
  'GET /v1/admin/ca': 'admin',
  'POST /v1/admin/ca/rotate': 'admin',
  'POST /v1/admin/ca/finish': 'admin',
}

let server: TestServer
const people = new Map<PermissionLevel, Person>()
beforeAll(async () => {
  server = await startTestServer()
  const root = await server.setUp()
  await server.apply(root, ...PERMISSION_LEVELS.map((level) => user(`p-${level}`, { level })))
  for (const level of PERMISSION_LEVELS) people.set(level, await server.logIn(`p-${level}`, `correct horse p-${level}`))
})
afterAll(() => server.close())

/** A body that is refused as such, so that nothing is changed by a call that gets through. */
const BROKEN = '{'

const call = (method: string, path: string, person: Person | undefined) =>
  server.call(method, path.replace(/:\w+/g, 'x'), {
    ...(person ? { credentials: person } : {}),
    ...(method === 'POST' ? { raw: BROKEN } : {}),
  })

describe('W1: permission levels', () => {
  it('W1: the table of this test and the server have the same endpoints and levels', () => {
    expect(Object.fromEntries(ENDPOINTS.map(({ method, path, access }) => [`${method} ${path}`, access]))).toEqual(
      EXPECTED,
    )
  })

  for (const [endpoint, needed] of Object.entries(EXPECTED)) {
    const [method = '', path = ''] = endpoint.split(' ')
    if (path === '/v1/logout') continue // it needs no body, so a call that gets through would end the login; see below

    it(`W1: ${endpoint} is for ${needed}`, async () => {
      const nobody = await call(method, path, undefined)
      if (needed === 'anonymous') {
        expect([200, 400]).toContain(nobody.status)
        return
      }
      expect([nobody.status, nobody.body.error.code]).toEqual([401, 'login_required'])
      for (const level of PERMISSION_LEVELS) {
        const answer = await call(method, path, people.get(level))
        const isAllowed = PERMISSION_LEVELS.indexOf(level) >= PERMISSION_LEVELS.indexOf(needed)
        if (isAllowed) expect([200, 400, 404]).toContain(answer.status)
        else expect([answer.status, answer.body.error.code]).toEqual([403, 'forbidden'])
      }
    })
  }

  it('W1: POST /v1/logout is for none', async () => {
    const nobody = await server.call('POST', '/v1/logout', { raw: BROKEN })
    expect([nobody.status, nobody.body.error.code]).toEqual([401, 'login_required'])
    const person = await server.logIn('p-none', 'correct horse p-none')
    expect((await server.call('POST', '/v1/logout', { credentials: person, raw: BROKEN })).status).toBe(400)
  })

  it('W2: a broken body of somebody who may not call is refused for that, not for the body', async () => {
    const answer = await call('POST', '/v1/admin/apply', people.get('viewer'))
    expect(answer.body.error.code).toBe('forbidden')
  })

  it('W1: a certificate on the anonymous ALPN name counts for nothing', async () => {
    const credentials = people.get('admin')!
    const answer = await server.call('GET', '/v1/admin/users', { credentials, alpn: ALPN.web })
    expect([answer.status, answer.body.error.code]).toEqual([401, 'login_required'])
  })

  it('R5: a denial is in the audit log with who wanted what', async () => {
    await call('GET', '/v1/audit', people.get('none'))
    expect(server.audit).toContainEqual(
      expect.objectContaining({
        event: 'access.denied',
        user: 'p-none',
        detail: expect.objectContaining({ code: 'forbidden', request: 'GET /v1/audit' }) as unknown,
      }),
    )
  })

  it('W1: an editor applies resources and roles, but no people and grants', async () => {
    const editor = people.get('editor')!
    const apply = (document: object) => server.apply(editor, document)
    expect((await apply({ kind: 'role', name: 'readers' })).status).toBe(200)
    const refused = await apply({ kind: 'user', name: 'mallory', level: 'admin' })
    expect([refused.status, refused.body.error.code]).toEqual([403, 'forbidden'])
    expect(refused.body.error.text).toContain('writing user mallory needs the permission level admin')
    expect((await apply({ kind: 'grant', user: 'p-editor', role: 'readers' })).status).toBe(403)
  })
})

it('W2: without the store no endpoint lets anybody through: 503 for everybody who is signed in, 401 for nobody', async () => {
  const own = await startTestServer()
  const root = await own.setUp()
  await own.store.close()
  for (const { method, path, access } of ENDPOINTS) {
    const request = [method, path.replace(/:\w+/g, 'x')] as const
    const signedIn = await own.call(...request, { credentials: root, ...(method === 'POST' ? { raw: BROKEN } : {}) })
    if (access === 'anonymous')
      expect([...request, [200, 400, 503].includes(signedIn.status)]).toEqual([...request, true])
    else {
      expect([...request, signedIn.status, signedIn.body.error.code]).toEqual([...request, 503, 'internal'])
      const nobody = await own.call(...request, method === 'POST' ? { raw: BROKEN } : {})
      expect([...request, nobody.status]).toEqual([...request, 401])
    }
  }
  await own.close()
})
