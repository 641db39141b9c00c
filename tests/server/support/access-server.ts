// The access server's foundations for tests: a real init in a fresh directory, real TLS on a free port, a clock that the
// test moves, and recorded audit entries and session ends instead of the router's and the session owner's.
import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import tls from 'node:tls'
import pino from 'pino'
import { TOTP, Secret as OtpSecret } from 'otpauth'
import { LoginResponse } from '../../../shared/login-api.ts'
import { ALPN, type Alpn } from '../../../shared/names.ts'
import {
  bitString,
  distinguishedName,
  explicit,
  fromDer,
  integer,
  OID,
  oid,
  sequence,
  toDer,
  toPem,
} from '../../../shared/x509/der.ts'
import { createAccessCheck } from '../../../server/access/access-check.ts'
import { openAuthority, type Authority } from '../../../server/ca/authority.ts'
import { createControlStreams, type ControlStreams } from '../../../server/control/hub.ts'
import type { ControlTimings } from '../../../server/control/stream.ts'
import { createCaRotation } from '../../../server/ca/rotation.ts'
import { loadConfig, type ServerConfig } from '../../../server/config.ts'
import { initialise, type Initialised } from '../../../server/init.ts'
import { loadMasterKey, type MasterKey } from '../../../server/secrets/master-key.ts'
import type { AccessCheck, AuditEntry, TransactionalAuditLog } from '../../../server/seams.ts'
import { createProvider } from '../../../server/sso/provider.ts'
import { openStore, type Store } from '../../../server/store/store.ts'
import { createWebApp } from '../../../server/web/web-app.ts'

/** Every field that some answer of the API has; a test asks only for those of the answer that it expects. */
export type ApiBody = {
  error: { code: string; text: string; errorId: string; detail: Record<string, unknown> }
  serverTime: string
  certificate: string
  expiresAt: string
  ssoId: string
  authorizationUrl: string
  state: string
  user: string
  login: { password: boolean; sso: { name: string } | null }
  routeId: string
  sessionId: string | null
  secret: string
  uri: string
  applied: { kind: string; name: string; change: string }[]
  events: unknown[]
  users: unknown[]
  roles: unknown[]
  resources: unknown[]
  grants: unknown[]
}
export type ApiResult = { status: number; body: ApiBody; headers: Record<string, unknown> }
export type Credentials = { certificate: string; key: string }
export type CallOptions = {
  alpn?: Alpn
  credentials?: Credentials
  body?: unknown
  /** Sent as it is, instead of `body`. */
  raw?: string
  headers?: Record<string, string>
  signal?: AbortSignal
}

export type TestServer = {
  directory: string
  config: ServerConfig
  made: Initialised
  store: Store
  masterKey: MasterKey
  authority: Authority
  access: AccessCheck
  control: ControlStreams
  port: number
  caPem: string
  audit: AuditEntry[]
  /** What was asked of the session owner, as text: `endUser alice revoked`. */
  sessionEnds: string[]
  /** Log lines of the server. */
  logLines: string[]
  clock: { now: Date; advance: (ms: number) => void }
  /** Replaces the reader of the audit log's long poll. */
  onAuditQuery: { wait: (signal: AbortSignal) => Promise<void> }
  call: (method: string, path: string, options?: CallOptions) => Promise<ApiResult>
  setUp: () => Promise<Person>
  logIn: (user: string, password: string, extra?: { totp?: string; ttlSeconds?: number }) => Promise<Person>
  apply: (admin: Person, ...documents: unknown[]) => Promise<ApiResult>
  close: () => Promise<void>
}

/** A person who is signed in. */
export type Person = Credentials & LoginResponse

export const ADMIN_PASSWORD = 'correct horse admin'

/** A new P-256 key and a signing request for it, PEM. */
export function newKeyAndCsr(): { key: string; csr: string } {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return { key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), csr: csrOf(privateKey, publicKey) }
}

export function csrOf(privateKey: KeyObject, publicKey: KeyObject, signer = privateKey): string {
  const spki = publicKey.export({ type: 'spki', format: 'der' })
  const info = sequence(integer(Buffer.from([0])), distinguishedName('whoever'), fromDer(spki), explicit(0))
  const signature = sign('sha256', toDer(info), signer)
  return toPem(toDer(sequence(info, sequence(oid(OID.ecdsaWithSha256)), bitString(signature))), 'CERTIFICATE REQUEST')
}

export const totpCode = (seed: string, at: Date): string =>
  new TOTP({ secret: OtpSecret.fromBase32(seed) }).generate({ timestamp: at.getTime() })

export const user = (name: string, extra: object = {}): object => ({
  kind: 'user',
  name,
  password: `correct horse ${name}`,
  ...extra,
})

export const resource = (name: string, extra: object = {}): object => ({
  kind: 'resource',
  name,
  protocol: 'postgres',
  address: '127.0.0.1:5432',
  accounts: [
    { name: 'reader', password: 'target-reader' },
    { name: 'writer', password: 'target-writer' },
    { name: 'admin' },
  ],
  ...extra,
})

export const role = (name: string, ...allow: object[]): object => ({ kind: 'role', name, allow })
export const grant = (who: string, what: string, until: string | null = null): object => ({
  kind: 'grant',
  user: who,
  role: what,
  until,
})

/** @param overrides of the parsed settings */
export async function startTestServer(
  overrides: Partial<ServerConfig> = {},
  controlTimings?: ControlTimings,
  headersTimeoutMs?: number,
): Promise<TestServer> {
  const directory = await mkdtemp(path.join(tmpdir(), 'postern-server-'))
  const config = {
    ...loadConfig(undefined, { dataDir: path.join(directory, 'data'), listen: '127.0.0.1:0' }),
    ...overrides,
  }
  const clock = {
    now: new Date(),
    advance(ms: number) {
      clock.now = new Date(clock.now.getTime() + ms)
    },
  }
  const now = () => clock.now
  const made = await initialise(config, { now })
  const masterKey = await loadMasterKey(config.masterKeyFile)
  const store = await openStore(config.store)
  const authority = await openAuthority(store.db, masterKey, now)
  const access = createAccessCheck({ db: store.db, authority, cluster: config.cluster, now })
  const audit: AuditEntry[] = []
  const sessionEnds: string[] = []
  const logLines: string[] = []
  const onAuditQuery: TestServer['onAuditQuery'] = { wait: () => Promise.resolve() }
  let errorIds = 0
  const log = pino({ level: 'info' }, { write: (line) => void logLines.push(line) })
  const control = createControlStreams({ limits: config.controlStreams, log })
  const recorded: TransactionalAuditLog = {
    record: (entry) => void audit.push(entry),
    flush: () => Promise.resolve(),
    transaction: async (change, recordsOf) => {
      const outcome = await store.db.transaction().execute(change)
      audit.push(...recordsOf(outcome))
      return outcome
    },
  }
  const caRotation = createCaRotation({
    ...{ db: store.db, audit: recorded, masterKey, authority, now },
    cluster: config.cluster,
    serverNames: config.serverNames,
    publish: (fresh) => {
      port.setSecureContext({ ...fresh, minVersion: 'TLSv1.3' })
      control.casChanged()
      return Promise.resolve()
    },
  })
  const app = await createWebApp({
    caRotation,
    db: store.db,
    masterKey,
    authority,
    access,
    cluster: config.cluster,
    version: '0.0.0-test',
    userTtlMs: config.ttl.user,
    routeTtlMs: config.ttl.route,
    loginLimits: config.loginLimits,
    ...(headersTimeoutMs === undefined ? {} : { headersTimeoutMs }),
    provider: config.oidc && createProvider(config.oidc, now),
    now,
    sessions: {
      live: () => [],
      end: (id, reason) => {
        sessionEnds.push(`end ${id} ${reason}`)
        return Promise.resolve(reason)
      },
      endRoute: (id, reason) => {
        sessionEnds.push(`endRoute ${id} ${reason}`)
        return Promise.resolve('session-1')
      },
      endLogin: (id, reason) => Promise.resolve(void sessionEnds.push(`endLogin ${id} ${reason}`)),
      endUser: (name, reason) => Promise.resolve(void sessionEnds.push(`endUser ${name} ${reason}`)),
      endDisallowed: () => Promise.resolve(void sessionEnds.push('endDisallowed')),
      noteCore: () => undefined,
    },
    audit: recorded,
    auditReader: {
      query: (_query, signal) => onAuditQuery.wait(signal).then(() => ({ events: [], upTo: 0, more: false })),
    },
    reportError: (code, cause, log) => {
      log.error({ err: cause, code }, 'reported')
      return `error-${++errorIds}`
    },
    control,
    ...(controlTimings ? { controlTimings } : {}),
    log,
  })
  const material = await authority.serverTls(config.serverNames)
  const port = tls.createServer({
    ...material,
    minVersion: 'TLSv1.3',
    requestCert: true,
    rejectUnauthorized: false,
    ALPNCallback: ({ protocols }) => [ALPN.control, ALPN.web].find((name) => protocols.includes(name)),
  })
  port.on('secureConnection', (socket) => {
    socket.on('error', () => undefined)
    app.handleConnection(socket)
  })
  port.listen(0, '127.0.0.1')
  await once(port, 'listening')
  const address = port.address() as AddressInfo
  const caPem = authority.serverCaPem

  const call: TestServer['call'] = (method, url, options = {}) =>
    new Promise((resolve, reject) => {
      const { credentials, body, raw, signal } = options
      const alpn = options.alpn ?? (credentials ? ALPN.control : ALPN.web)
      const payload = raw ?? (body === undefined ? undefined : JSON.stringify(body))
      const connection = tls.connect({
        host: '127.0.0.1',
        port: address.port,
        ca: caPem,
        ALPNProtocols: [alpn],
        ...(credentials ? { cert: credentials.certificate, key: credentials.key } : {}),
      })
      const request = http.request(
        {
          method,
          path: url,
          createConnection: () => connection,
          ...(signal ? { signal } : {}),
          headers: {
            connection: 'close',
            ...(payload === undefined ? {} : { 'content-type': 'application/json' }),
            ...options.headers,
          },
        },
        (response) => {
          const chunks: Buffer[] = []
          response.on('data', (chunk: Buffer) => chunks.push(chunk))
          response.on('end', () =>
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers,
              body: JSON.parse(Buffer.concat(chunks).toString()) as ApiBody,
            }),
          )
          response.on('error', reject)
        },
      )
      request.on('error', reject)
      request.end(payload)
    })

  const signIn = async (path: string, body: object): Promise<Person> => {
    const { key, csr } = newKeyAndCsr()
    const answer = await call('POST', path, { body: { ...body, csr } })
    if (answer.status !== 200) throw new Error(`${path}: ${JSON.stringify(answer.body)}`)
    return { ...LoginResponse.parse(answer.body), key }
  }
  const logIn: TestServer['logIn'] = (name, password, extra = {}) =>
    signIn('/v1/login', { user: name, password, ...extra })

  return {
    directory,
    config,
    made,
    store,
    masterKey,
    authority,
    access,
    control,
    port: address.port,
    caPem,
    audit,
    sessionEnds,
    logLines,
    clock,
    onAuditQuery,
    call,
    logIn,
    setUp: () => signIn('/v1/setup', { setupCode: made.setupCode, user: 'root', password: ADMIN_PASSWORD }),
    apply: (admin, ...documents) => call('POST', '/v1/admin/apply', { credentials: admin, body: { documents } }),
    async close() {
      const closed = once(port, 'close')
      port.close()
      await app.close()
      await closed
      await store.close()
      await rm(directory, { recursive: true, force: true, maxRetries: 10 })
    },
  }
}

/** The DER of a PEM text. */
export const derOf = (pem: string): Buffer => Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ''), 'base64')
