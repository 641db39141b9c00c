// The JSON API of the access server on both of its ALPN names. Gets finished TLS connections from the router; owns them
// from then on. For each request, in this order (W2): authenticate, authorise, parse, handle, answer.
import http from 'node:http'
import type { TLSSocket } from 'node:tls'
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { CONTROL_PATH } from '../../shared/control.ts'
import { ERROR_CATALOGUE, PosternError } from '../../shared/errors.ts'
import { createLogins } from '../accounts/logins.ts'
import { createOwnAccount } from '../accounts/own-account.ts'
import { createRateLimit, type LoginLimits } from '../accounts/rate-limit.ts'
import type { ControlStreams } from '../control/hub.ts'
import type { ControlTimings } from '../control/stream.ts'
import { createControlUpgrade } from '../control/upgrade.ts'
import type { Provider } from '../sso/provider.ts'
import { createSsoLogins } from '../sso/sso-logins.ts'
import { answerError, parseInput } from './answer-error.ts'
import { authenticateRequest, authoriseRequest, peerOf } from './authenticate.ts'
import type { Actor, ApiParts, Endpoint } from './endpoint.ts'
import { ENDPOINTS } from './endpoints.ts'
import { endWithAnswer } from './http-answer.ts'
import { untilAborted } from '../until-aborted.ts'

/** Largest body, in bytes. */
const BODY_MAX_BYTES = 1024 * 1024
/** From the request's first byte to its answer; the audit long-poll waits 25 s at most. */
const REQUEST_TIMEOUT_MS = 30_000
/** A client that connects must send its headers within this; each handshake and request was paid for. */
const HEADERS_TIMEOUT_MS = 10_000
/** Connections without a request are kept this long. */
const KEEP_ALIVE_MS = 60_000
/** How long `close` waits for requests that run. */
const CLOSE_GRACE_MS = 5000

export type WebDeps = Omit<ApiParts, 'logins' | 'ownAccount' | 'control' | 'sso'> & {
  control: ControlStreams
  /** Instead of those of the contract. */
  controlTimings?: ControlTimings
  /** The identity provider, where the cluster has one. */
  provider?: Provider | undefined
  userTtlMs: number
  loginLimits: LoginLimits
  /** Instead of HEADERS_TIMEOUT_MS. */
  headersTimeoutMs?: number
}

export interface WebApp {
  /** Serves a finished handshake with ALPN `http/1.1` or `postern-control`. */
  handleConnection(socket: TLSSocket): void
  /** Lets running requests finish (bounded), drops the rest. Idempotent. */
  close(): Promise<void>
}

export async function createWebApp(options: WebDeps): Promise<WebApp> {
  const { userTtlMs, loginLimits, provider, headersTimeoutMs = HEADERS_TIMEOUT_MS, controlTimings, ...deps } = options
  const rateLimit = createRateLimit(loginLimits, deps.now)
  const sso = provider && createSsoLogins({ ...deps, rateLimit, provider })
  const parts: ApiParts = {
    ...deps,
    sso,
    logins: createLogins({ ...deps, rateLimit, sso, userTtlMs }),
    ownAccount: createOwnAccount({ ...deps, rateLimit }),
  }
  const stopping = new AbortController()
  const upgrade = createControlUpgrade({
    parts,
    streams: deps.control,
    timings: controlTimings,
    stopping: stopping.signal,
  })
  const servers: http.Server[] = []
  const app = fastify({
    bodyLimit: BODY_MAX_BYTES,
    exposeHeadRoutes: false,
    routerOptions: { maxParamLength: 200 },
    frameworkErrors: (error, request, reply) => void sendError(parts, request, reply, error),
    serverFactory: (handler) => {
      const server = http.createServer(
        {
          requestTimeout: REQUEST_TIMEOUT_MS,
          headersTimeout: headersTimeoutMs,
          keepAliveTimeout: KEEP_ALIVE_MS,
          // How often the two deadlines above are looked at; Node's default of 30 s would triple the shorter one.
          connectionsCheckingInterval: Math.ceil(headersTimeoutMs / 5),
          // Whatever else wants to be upgraded is an ordinary request, which gets its ordinary answer (E2).
          shouldUpgradeCallback: (request) => upgrade.isWanted(request),
        },
        handler,
      )
      server.on('upgrade', (request, socket, head) => upgrade.handle(request, socket, head))
      servers.push(server)
      return server
    },
    clientErrorHandler: (_error, socket) => {
      // Not HTTP, or too slow: a framed answer where one can still be read (E2).
      endWithAnswer(socket, ERROR_CATALOGUE.bad_request.http, {
        error: { code: 'bad_request', text: 'this is not an HTTP request' },
      })
    },
  })
  serveEndpoints(app, parts, stopping.signal)
  await app.ready()
  const [server] = servers
  if (!server) throw new Error('fastify made no server')
  // Node checks header and request deadlines from `listening` on; this server never listens itself, the router does.
  server.emit('listening')

  const sockets = new Set<TLSSocket>()
  let closing: Promise<void> | undefined
  return {
    handleConnection(socket) {
      if (closing) {
        socket.destroy()
        return
      }
      sockets.add(socket)
      socket.once('close', () => sockets.delete(socket))
      server.emit('connection', socket)
    },
    close: () =>
      (closing ??= (async () => {
        // Long polls end at once; everything else gets its time.
        stopping.abort(new PosternError('server_unreachable', 'the access server is stopping'))
        server.closeIdleConnections()
        await deps.control.close()
        await allClosed(sockets, CLOSE_GRACE_MS)
        for (const socket of sockets) socket.destroy()
        // Also stops Node's deadline checks; it says that the server does not listen, which is so.
        server.close(() => undefined)
        await app.close()
      })()),
  }
}

function serveEndpoints(app: FastifyInstance, parts: ApiParts, stopping: AbortSignal): void {
  // Not fastify's own parser: an empty body is a request without fields, and the text of the error is ours.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, body, done) => {
    try {
      done(null, body.length === 0 ? undefined : (JSON.parse(body.toString()) as unknown))
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : ''
      done(new PosternError('bad_request', `the body is not valid JSON: ${why}`, { cause }))
    }
  })

  // A stopping server keeps no connection for a next request.
  app.addHook('onSend', async (_request, reply) => {
    if (stopping.aborted) void reply.header('connection', 'close')
  })

  const actors = new WeakMap<FastifyRequest, Actor>()
  for (const endpoint of ENDPOINTS) {
    app.route({
      method: endpoint.method,
      url: endpoint.path,
      onRequest: async (request) => {
        if (endpoint.access === 'anonymous') return
        const actor = await authenticateRequest(parts, request.raw.socket, { allowExpired: endpoint.takesExpired })
        actors.set(request, actor)
        authoriseRequest(actor, endpoint.access, `${endpoint.method} ${endpoint.path}`)
      },
      handler: async (request, reply) => {
        const answer = await handle(parts, endpoint, request, reply, actors.get(request), stopping)
        // What an answer says has happened is in the log before it is said: a crash right after it loses nothing.
        if (endpoint.method !== 'GET') await parts.audit.flush()
        return { ...answer, serverTime: parts.now().toISOString() }
      },
    })
  }
  app.setErrorHandler(async (error, request, reply) => {
    recordDenial(parts, request, actors.get(request), error)
    // A refusal stays one when the log cannot be written now; the log says so itself, and tries again.
    await parts.audit.flush().catch(() => undefined)
    return sendError(parts, request, reply, error)
  })
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0] ?? ''
    if (path === CONTROL_PATH) {
      void reply.header('upgrade', 'websocket').header('connection', 'upgrade')
      const text = `${CONTROL_PATH} is a WebSocket: ask for it with GET and Upgrade: websocket`
      return sendStatus(parts, reply, 426, { code: 'unsupported', text })
    }
    const methods = ENDPOINTS.filter((endpoint) => isPathOf(endpoint, path)).map(({ method }) => method)
    if (methods.length === 0)
      return sendError(parts, request, reply, new PosternError('not_found', `there is no ${path} in this API`))
    void reply.header('allow', methods.join(', '))
    return sendStatus(parts, reply, 405, {
      code: 'unsupported',
      text: `${request.method} ${path} is not possible; it takes ${methods.join(', ')}`,
    })
  })
}

async function handle(
  parts: ApiParts,
  endpoint: Endpoint,
  request: FastifyRequest,
  reply: FastifyReply,
  actor: Actor | undefined,
  stopping: AbortSignal,
) {
  const gone = new AbortController()
  reply.raw.once('close', () => gone.abort(new PosternError('bad_request', 'the client has gone')))
  const overdue = AbortSignal.any([gone.signal, AbortSignal.timeout(REQUEST_TIMEOUT_MS)])
  // A stopping server ends waits (the long poll answers what it has), not work that has begun.
  const signal = AbortSignal.any([overdue, stopping])
  // Without a body there are no fields; what is required is then named by the schema.
  const given = endpoint.method === 'GET' ? request.query : (request.body ?? {})
  const input = endpoint.input === undefined ? undefined : parseInput(endpoint.input, given)
  const params = paramsOf(request.params)
  const peer = peerOf(request.raw.socket)
  return untilAborted(endpoint.handle({ parts, params, peer, signal }, input, actor), overdue)
}

const paramsOf = (params: unknown): Record<string, string> =>
  Object.fromEntries(Object.entries(params ?? {}).map(([name, value]) => [name, String(value)]))

function isPathOf(endpoint: Endpoint, path: string): boolean {
  const pattern = endpoint.path.split('/')
  const segments = path.split('/')
  return (
    pattern.length === segments.length &&
    pattern.every((part, index) => (part.startsWith(':') ? segments[index] !== '' : part === segments[index]))
  )
}

/** Denials after the login are in the audit log (R5); those of logins are written by accounts/logins.ts. */
function recordDenial(parts: ApiParts, request: FastifyRequest, actor: Actor | undefined, error: unknown): void {
  if (!(error instanceof PosternError) || error.kind !== 'denied') return
  const url = request.routeOptions.url ?? request.url
  const isAnonymous = ENDPOINTS.some((endpoint) => endpoint.path === url && endpoint.access === 'anonymous')
  if (isAnonymous) return
  parts.audit.record({
    event: 'access.denied',
    user: actor?.user,
    login: actor?.loginId,
    address: peerOf(request.raw.socket).address,
    detail: { code: error.code, text: error.message, request: `${request.method} ${url}` },
  })
}

function sendError(parts: ApiParts, request: FastifyRequest, reply: FastifyReply, error: unknown): FastifyReply {
  const log = parts.log.child({ request: `${request.method} ${request.routeOptions.url ?? ''}` })
  const { status, body } = answerError(error, parts.reportError, log)
  return sendStatus(parts, reply, status, body)
}

function sendStatus(parts: ApiParts, reply: FastifyReply, status: number, error: object): FastifyReply {
  return reply.code(status).send({ error, serverTime: parts.now().toISOString() })
}

/** Resolves when the set is empty, at the latest after `graceMs`. */
async function allClosed(sockets: ReadonlySet<TLSSocket>, graceMs: number): Promise<void> {
  const closed = Promise.all([...sockets].map((socket) => new Promise((resolve) => socket.once('close', resolve))))
  let timer: NodeJS.Timeout | undefined
  const late = new Promise((resolve) => (timer = setTimeout(resolve, graceMs)))
  await Promise.race([closed, late])
  clearTimeout(timer)
}
