// Walks the table of endpoints: for each request, in this order (W2), authenticate, authorise, parse, handle, answer; what goes wrong
// is answered, logged, and audited where it is a denial. Called by web-app.ts.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { CONTROL_PATH } from '../../shared/control.ts'
import { PosternError } from '../../shared/errors.ts'
import { untilAborted } from '../until-aborted.ts'
import { answerError, parseInput } from './answer-error.ts'
import { authenticateRequest, authoriseRequest, peerOf } from './authenticate.ts'
import type { Actor, ApiParts, Endpoint } from './endpoint.ts'
import { ENDPOINTS } from './endpoints.ts'

/** From the request's first byte to its answer, in ms; the audit long-poll waits 25 s at most. */
export const REQUEST_TIMEOUT_MS = 30_000

/** @param stopping aborts when the server stops */
export function serveEndpoints(app: FastifyInstance, parts: ApiParts, stopping: AbortSignal): void {
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

/** Also for what goes wrong before an endpoint is found. */
export function sendError(parts: ApiParts, request: FastifyRequest, reply: FastifyReply, error: unknown): FastifyReply {
  const log = parts.log.child({ request: `${request.method} ${request.routeOptions.url ?? ''}` })
  const { status, body } = answerError(error, parts.reportError, log)
  return sendStatus(parts, reply, status, body)
}

function sendStatus(parts: ApiParts, reply: FastifyReply, status: number, error: object): FastifyReply {
  return reply.code(status).send({ error, serverTime: parts.now().toISOString() })
}
