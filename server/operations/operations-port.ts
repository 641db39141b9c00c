// The operator's own port: /metrics, /startup, /readiness, /liveness. Plain HTTP without any login, so it listens on loopback unless
// the settings say otherwise (config.ts). Opened by start.ts before anything else, closed after everything else.
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { PosternError } from '../../shared/errors.ts'
import type { Health } from './health.ts'
import type { Metrics } from './metrics.ts'

/** For a whole request, in ms; there is no body. */
const REQUEST_TIMEOUT_MS = 10_000
const CONNECTIONS_MAX = 64

type Answer = { status: number; contentType: string; text: string }

export interface OperationsPort {
  /** HOST:PORT, IPv6 in brackets. */
  readonly address: string
  close(): Promise<void>
}

/** @throws PosternError `misconfigured` if the address cannot be listened on */
export async function openOperationsPort(
  listen: { host: string; port: number },
  parts: { health: Health; metrics: Metrics },
): Promise<OperationsPort> {
  const server = http.createServer(
    { requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: REQUEST_TIMEOUT_MS, keepAliveTimeout: REQUEST_TIMEOUT_MS },
    (request, response) => {
      // Nobody has anything to send here.
      request.resume()
      answerTo(request, parts).then(
        ({ status, contentType, text }) => {
          response.writeHead(status, { 'content-type': contentType, 'cache-control': 'no-store' })
          response.end(request.method === 'HEAD' ? undefined : text)
        },
        () => response.destroy(),
      )
    },
  )
  server.maxConnections = CONNECTIONS_MAX
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const why = cause.code === 'EADDRINUSE' ? 'another program listens there' : cause.message
      const where = `${listen.host}:${listen.port}`
      reject(new PosternError('misconfigured', `metrics.listen: cannot listen on ${where}: ${why}`, { cause }))
    })
    server.listen(listen, resolve)
  })
  const { address, port } = server.address() as AddressInfo
  return {
    address: `${address.includes(':') ? `[${address}]` : address}:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function answerTo({ method, url = '/' }: http.IncomingMessage, { health, metrics }: Parts): Promise<Answer> {
  const path = url.split('?', 1)[0] ?? ''
  const answer = ANSWERS[path]
  if (!answer) return json(404, { paths: Object.keys(ANSWERS) })
  if (method !== 'GET' && method !== 'HEAD') return json(405, { methods: ['GET', 'HEAD'] })
  return answer({ health, metrics })
}

type Parts = { health: Health; metrics: Metrics }

const ANSWERS: Record<string, (parts: Parts) => Promise<Answer>> = {
  '/metrics': async ({ metrics }) => ({ status: 200, ...(await metrics.page()) }),
  '/startup': ({ health }) =>
    Promise.resolve(health.hasStarted ? json(200, { status: 'started' }) : json(503, { status: 'starting' })),
  '/readiness': async ({ health }) => {
    const reasons = await health.notReady()
    return reasons.length === 0 ? json(200, { status: 'ready' }) : json(503, { status: 'not ready', reasons })
  },
  // That this is said at all means that the event loop turns.
  '/liveness': () => Promise.resolve(json(200, { status: 'alive' })),
}

const json = (status: number, body: object): Answer => ({
  status,
  contentType: 'application/json; charset=utf-8',
  text: `${JSON.stringify(body)}\n`,
})
