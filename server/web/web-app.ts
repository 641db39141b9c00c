// The JSON API of the access server on both of its ALPN names. Gets finished TLS connections from the router; owns them
// from then on; serve-endpoints.ts answers the requests.
import http from 'node:http'
import type { TLSSocket } from 'node:tls'
import fastify from 'fastify'
import { ERROR_CATALOGUE, PosternError } from '../../shared/errors.ts'
import { createLogins } from '../accounts/logins.ts'
import { createOwnAccount } from '../accounts/own-account.ts'
import { createRateLimit, type LoginLimits } from '../accounts/rate-limit.ts'
import type { ControlStreams } from '../control/hub.ts'
import type { ControlTimings } from '../control/stream.ts'
import { createControlUpgrade } from '../control/upgrade.ts'
import type { Provider } from '../sso/provider.ts'
import { createSsoLogins } from '../sso/sso-logins.ts'
import type { ApiParts } from './endpoint.ts'
import { endWithAnswer } from './http-answer.ts'
import { REQUEST_TIMEOUT_MS, sendError, serveEndpoints } from './serve-endpoints.ts'

/** Largest body, in bytes. */
const BODY_MAX_BYTES = 1024 * 1024
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

/** Resolves when the set is empty, at the latest after `graceMs`. */
async function allClosed(sockets: ReadonlySet<TLSSocket>, graceMs: number): Promise<void> {
  const closed = Promise.all([...sockets].map((socket) => new Promise((resolve) => socket.once('close', resolve))))
  let timer: NodeJS.Timeout | undefined
  const late = new Promise((resolve) => (timer = setTimeout(resolve, graceMs)))
  await Promise.race([closed, late])
  clearTimeout(timer)
}
