// The API of an access server as the client core uses it, answered from knobs, with real certificates of a CA of the test's own. Extended
// by fake-access-server.ts, which listens.
import { createHash, randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { TLSSocket } from 'node:tls'
import { z } from 'zod'
import { CONTROL_PATH } from '../../shared/control.ts'
import { ERROR_CATALOGUE, type ErrorCode } from '../../shared/errors.ts'
import { formatIdentity, identityFromSubjectAltName, type Identity } from '../../shared/names.ts'
import { publicKeyOfCsr, type TestCa } from './certificates.ts'

export const PASSWORD = 'open sesame'
const MINUTE_MS = 60_000
/** Numbers and booleans are not looked at here. */
const Body = z.record(z.string(), z.coerce.string())

/** What the server saw, in order. */
export type Seen = {
  logins: { user: string; totp: string | undefined }[]
  /** Logins in the browser that were begun: id → what the core sent and was told. */
  sso: { id: string; redirectUri: string; challenge: string; state: string }[]
  ssoFinished: Record<string, string>[]
  /** Certificates issued: resource → how many. */
  routes: string[]
  closedRoutes: string[]
  logouts: number
  /** All API calls, with their bodies as they came. */
  calls: { what: string; body: string }[]
  /** Connections on protocol ALPN names. */
  dials: { alpn: string; identity: Identity; isResumed: boolean; startup: ReadonlyMap<string, string> | undefined }[]
  cancels: Buffer[]
}

export class FakeApi {
  readonly ca: TestCa
  readonly seen: Seen = {
    logins: [],
    sso: [],
    ssoFinished: [],
    routes: [],
    closedRoutes: [],
    logouts: 0,
    calls: [],
    dials: [],
    cancels: [],
  }
  cluster = 'test'
  userTtlMs = 60 * MINUTE_MS
  routeTtlMs = 10 * MINUTE_MS
  /** The server's clock. */
  now: () => number = Date.now
  resources = ['orders', 'payments']
  /** Refuses to issue these routes. */
  refusedRoutes = new Map<string, { code: ErrorCode; text: string }>()
  /** Ended logins: the server says `login_expired`. */
  endedLogins = new Set<string>()
  /** Refused whatever they ask for with their certificate. */
  disabledUsers = new Set<string>()
  /** Answers every API call (or those at `path`) with this instead; `cut` breaks off before the end of what it names. */
  rawAnswer: { body: string; contentType: string; cut?: boolean | 'headers'; path?: string } | undefined
  /** What the resources named here look like beyond their name. */
  resourceDetails = new Map<string, object>()
  /** The identity provider that the server says it has; its authorization page is nowhere. */
  sso: { name: string } | null = null
  /** Refuses to begin or to finish a login in the browser. */
  refuseSso: { path: '/v1/sso/start' | '/v1/sso/finish'; code: ErrorCode; text: string } | undefined
  /** Held before a login is answered. */
  beforeLogin: (() => Promise<void>) | undefined
  /** Answers signed-in calls that are none of the above; undefined: not found. */
  onCall: ((what: string, identity: Identity) => [number, object] | undefined) | undefined
  /** Held before a route certificate is answered. */
  beforeRoute: (() => Promise<void>) | undefined
  /** Added to every good answer: what the server says about its CAs. */
  trustNews: { cas?: string[]; renewCertificate?: boolean } = {}
  /** Names everybody's certificates wrongly. */
  certificateUser: string | undefined
  readonly #loginIds: string[] = []

  constructor(ca: TestCa) {
    this.ca = ca
  }

  /** The login that was given last is over, and nobody has told its owner. */
  endLatestLogin(): void {
    const latest = this.#loginIds.at(-1)
    if (latest !== undefined) this.endedLogins.add(latest)
  }

  protected async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = ''
    for await (const chunk of request) text += String(chunk)
    this.seen.calls.push({ what: `${request.method ?? ''} ${request.url ?? ''}`, body: text })
    if (this.rawAnswer && (this.rawAnswer.path ?? request.url) === request.url) {
      const { body, contentType, cut } = this.rawAnswer
      if (cut === 'headers') {
        request.socket.write('HTTP/1.1 200 OK\r\ncontent-ty', () => request.socket.destroy())
        return
      }
      const length = Buffer.byteLength(body) + (cut ? 10 : 0)
      response.writeHead(200, { 'content-type': contentType, 'content-length': length })
      response.write(body, () => (cut ? request.socket.destroy() : response.end()))
      return
    }
    const [status, body] = await this.#handle(request, text === '' ? {} : Body.parse(JSON.parse(text)))
    const serverTime = new Date(this.now()).toISOString()
    response.writeHead(status, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ ...body, ...(status === 200 ? this.trustNews : {}), serverTime }))
  }

  async #handle(request: IncomingMessage, body: Record<string, string>): Promise<[number, object]> {
    const identity = identityOf(tlsSocketOf(request))
    const what = `${request.method ?? ''} ${request.url ?? ''}`
    if (what === 'GET /v1/cluster') {
      const login = { password: true, sso: this.sso }
      return [200, { cluster: this.cluster, version: 'fake', protocolVersion: 1, login }]
    }
    if (what === `POST ${this.refuseSso?.path ?? ''}` && this.refuseSso)
      return refusal(this.refuseSso.code, this.refuseSso.text)
    if (what === 'POST /v1/sso/start') return this.#startSso(body)
    if (what === 'POST /v1/sso/finish') return this.#finishSso(body)
    if (what === 'POST /v1/login') return this.#logIn(body)
    if (!identity) return refusal('login_required', 'no certificate')
    if (request.url === CONTROL_PATH) return refusal('not_found', `no such endpoint: ${what}`)
    if (this.disabledUsers.has(identity.user)) return refusal('user_disabled', `${identity.user} is disabled`)
    // To end something, a certificate that has run out is good enough.
    if (what === 'POST /v1/logout') {
      this.seen.logouts += 1
      return [200, {}]
    }
    if (this.isExpired(tlsSocketOf(request), identity)) return refusal('login_expired', 'the login has expired')
    if (what === 'GET /v1/resources') {
      return [
        200,
        { resources: this.resources.map((name) => ({ ...resourceView(name), ...this.resourceDetails.get(name) })) },
      ]
    }
    if (what === 'POST /v1/routes') return this.#issueRoute(identity, body)
    if (what === 'GET /v1/me') {
      const { cluster, user, loginId } = identity
      const expiresAt = new Date(this.now() + this.userTtlMs).toISOString()
      return [200, { cluster, user, email: null, level: 'none', loginId, expiresAt, totp: false, roles: [] }]
    }
    if (what === 'POST /v1/login/certificate' && identity.kind === 'user') return this.#renew(request, identity, body)
    const closing = /^POST \/v1\/routes\/([^/]+)\/close$/.exec(what)
    if (closing?.[1]) {
      this.seen.closedRoutes.push(closing[1])
      return [200, { sessionId: null }]
    }
    return this.onCall?.(what, identity) ?? refusal('not_found', `no such endpoint: ${what}`)
  }

  async #logIn(body: Record<string, string>): Promise<[number, object]> {
    await this.beforeLogin?.()
    if (body['password'] !== PASSWORD) return refusal('bad_credentials', 'wrong user or password')
    const user = body['user'] ?? ''
    const loginId = randomUUID()
    this.#loginIds.push(loginId)
    this.seen.logins.push({ user, totp: body['totp'] })
    const identity = { kind: 'user' as const, cluster: this.cluster, user: this.certificateUser ?? user, loginId }
    const { certificate, expiresAt } = this.#issue(identity, body['csr'] ?? '', this.userTtlMs)
    return [200, { cluster: this.cluster, user, level: 'none', loginId, certificate, expiresAt }]
  }

  #startSso({ redirectUri = '', challenge = '' }: Record<string, string>): [number, object] {
    const id = randomUUID()
    const state = `state-of-${id}`
    this.seen.sso.push({ id, redirectUri, challenge, state })
    const expiresAt = new Date(this.now() + 10 * MINUTE_MS).toISOString()
    return [200, { ssoId: id, state, expiresAt, authorizationUrl: `https://id.example/authorize?state=${state}` }]
  }

  async #finishSso(body: Record<string, string>): Promise<[number, object]> {
    await this.beforeLogin?.()
    this.seen.ssoFinished.push(body)
    const begun = this.seen.sso.find(({ id }) => id === body['ssoId'])
    const challenge = createHash('sha256')
      .update(body['verifier'] ?? '')
      .digest('base64url')
    if (!begun || begun.state !== body['state'] || begun.challenge !== challenge)
      return refusal('sso_failed', 'this answer does not belong to the login that was begun')
    const loginId = randomUUID()
    const identity = { kind: 'user' as const, cluster: this.cluster, user: 'alice', loginId }
    const { certificate, expiresAt } = this.#issue(identity, body['csr'] ?? '', this.userTtlMs)
    return [200, { cluster: this.cluster, user: 'alice', level: 'none', loginId, certificate, expiresAt }]
  }

  /** The same login again, to the same second. */
  #renew(request: IncomingMessage, identity: Identity, body: Record<string, string>): [number, object] {
    const notAfter = tlsSocketOf(request).getPeerX509Certificate()?.validToDate.getTime() ?? 0
    const renewed = { ...identity, user: this.certificateUser ?? identity.user }
    return [200, this.#issue(renewed, body['csr'] ?? '', notAfter - this.now())]
  }

  async #issueRoute(identity: Identity, body: Record<string, string>): Promise<[number, object]> {
    await this.beforeRoute?.()
    const resource = body['resource'] ?? ''
    const refused = this.refusedRoutes.get(resource)
    if (refused) return refusal(refused.code, refused.text)
    if (!this.resources.includes(resource)) return refusal('not_found', `no resource named ${resource}`)
    const { cluster, user, loginId } = identity
    const routeId = `${loginId}-${resource}-${body['account'] ?? ''}`.replace(/[^\w-]/g, '_').slice(0, 64)
    this.seen.routes.push(resource)
    const route = { kind: 'route' as const, cluster, user, loginId, routeId }
    return [200, { routeId, ...this.#issue(route, body['csr'] ?? '', this.routeTtlMs) }]
  }

  #issue(identity: Identity, csrPem: string, ttlMs: number): { certificate: string; expiresAt: string } {
    const notAfter = new Date(Math.floor((this.now() + ttlMs) / 1000) * 1000)
    const notBefore = new Date(this.now() - 5 * MINUTE_MS)
    const certificate = this.ca.issueClient(formatIdentity(identity), publicKeyOfCsr(csrPem), notBefore, notAfter)
    return { certificate, expiresAt: notAfter.toISOString() }
  }

  /** Whether its certificate or its login is over. */
  protected isExpired(socket: TLSSocket, identity: Identity): boolean {
    const notAfter = socket.getPeerX509Certificate()?.validToDate.getTime() ?? 0
    return notAfter <= this.now() || this.endedLogins.has(identity.loginId)
  }
}

export function tlsSocketOf({ socket }: IncomingMessage): TLSSocket {
  if (socket instanceof TLSSocket) return socket
  throw new TypeError('the HTTP server is only given TLS sockets')
}

export function identityOf(socket: TLSSocket): Identity | undefined {
  return identityFromSubjectAltName(socket.getPeerX509Certificate()?.subjectAltName)
}

const refusal = (code: ErrorCode, text: string): [number, object] => [
  ERROR_CATALOGUE[code].http,
  { error: { code, text } },
]

const resourceView = (name: string) => ({
  name,
  protocol: 'postgres',
  description: '',
  labels: {},
  accounts: ['reader', 'writer'],
  defaultAccount: 'reader',
  databases: ['*'],
  defaultDatabase: name,
})

/** What `resourceDetails` makes a resource of plain TCP. */
export const TCP_RESOURCE = {
  protocol: 'tcp',
  accounts: ['tcp'],
  defaultAccount: 'tcp',
  databases: [],
  defaultDatabase: '',
}
