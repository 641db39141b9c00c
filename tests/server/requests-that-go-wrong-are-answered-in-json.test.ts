// E1, W2: whatever comes over the API's connections, the answer is an ApiError that says what was wrong, and no more.
import { once } from 'node:events'
import tls from 'node:tls'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { ApiError } from '../../shared/api.ts'
import { ALPN } from '../../shared/names.ts'
import { startTestServer, type TestServer } from './support/access-server.ts'

let server: TestServer
beforeEach(async () => {
  server = await startTestServer()
})
afterEach(() => server.close())

const login = (raw: string, headers = {}) => server.call('POST', '/v1/login', { raw, headers })

it('E1: every error has a code of the catalogue, a text and the server time', async () => {
  const answers = [
    await server.call('GET', '/v1/nothing'),
    await server.call('PUT', '/v1/login', { body: {} }),
    await login('{"user":'),
    await login('{}'),
    await login('user=alice', { 'content-type': 'application/x-www-form-urlencoded' }),
    await login(JSON.stringify({ user: 'x'.repeat(1024 * 1024) })),
    await server.call('GET', '/v1/%zz'),
  ]
  for (const { body } of answers) {
    expect(ApiError.parse(body).error.text.length).toBeGreaterThan(10)
    expect(body.serverTime).toBe(server.clock.now.toISOString())
  }
  expect(answers.map(({ status }) => status)).toEqual([404, 405, 400, 400, 415, 413, 400])
  expect(answers[1]?.headers['allow']).toBe('POST')
  expect(answers[2]?.body.error.text).toContain('not valid JSON')
})

it('W2: a field that is wrong is named', async () => {
  const missing = await login(JSON.stringify({ user: 'alice', password: 'x' }))
  expect(missing.body.error.text).toMatch(/^csr: /)
  const unknown = await login(JSON.stringify({ user: 'alice', password: 'x', csr: 'x', admin: true }))
  expect(unknown.body.error.text).toContain('admin')
})

it('W2: a store that is gone is 503 with an error id, and its cause is in the log only', async () => {
  await server.store.close()
  for (const [method, path, body] of [
    ['GET', '/v1/health', undefined],
    ['POST', '/v1/setup', { setupCode: 'x', user: 'root', password: 'x', csr: 'x' }],
  ] as const) {
    const answer = await server.call(method, path, body ? { body } : {})
    if (path === '/v1/setup') {
      expect(answer.status).toBe(400)
      continue
    }
    expect([answer.status, answer.body.error.code]).toEqual([503, 'internal'])
    expect(answer.body.error.errorId).toMatch(/^error-/)
    expect(answer.body.error.text).toContain(answer.body.error.errorId)
    expect(JSON.stringify(answer.body)).not.toContain('driver')
  }
  expect(server.logLines.join('\n')).toContain('driver has already been destroyed')
})

it('every answer carries the server time', async () => {
  const health = await server.call('GET', '/v1/health')
  expect(health.body).toEqual({ status: 'ok', serverTime: server.clock.now.toISOString() })
  const cluster = await server.call('GET', '/v1/cluster')
  expect(cluster.body).toMatchObject({ cluster: 'postern', protocolVersion: 1, serverTime: health.body.serverTime })
})

it('the long poll of the audit log ends when its client goes', async () => {
  const admin = await server.setUp()
  const started = Promise.withResolvers<undefined>()
  const aborted = Promise.withResolvers<undefined>()
  server.onAuditQuery.wait = (signal) => {
    started.resolve(undefined)
    return new Promise((resolve) =>
      signal.addEventListener('abort', () => {
        aborted.resolve(undefined)
        resolve()
      }),
    )
  }
  const gone = new AbortController()
  const call = server.call('GET', '/v1/audit?waitSeconds=25', { credentials: admin, signal: gone.signal })
  call.catch(() => undefined)
  await started.promise
  gone.abort()
  await aborted.promise
  await expect(call).rejects.toThrow()
})

it('a stopping server answers a waiting long poll instead of cutting it off', async () => {
  const own = await startTestServer()
  const admin = await own.setUp()
  const started = Promise.withResolvers<undefined>()
  own.onAuditQuery.wait = (signal) => {
    started.resolve(undefined)
    return new Promise((resolve) => signal.addEventListener('abort', () => resolve()))
  }
  const call = own.call('GET', '/v1/audit?waitSeconds=25', { credentials: admin })
  await started.promise
  const [answer] = await Promise.all([call, own.close()])
  expect([answer.status, answer.body.events]).toEqual([200, []])
})

const connect = async ({ port, caPem } = server): Promise<tls.TLSSocket> => {
  const socket = tls.connect({ host: '127.0.0.1', port, ca: caPem, ALPNProtocols: [ALPN.web] })
  await once(socket, 'secureConnect')
  return socket
}

const readAll = async (socket: tls.TLSSocket): Promise<string> => {
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}

it('E2: bytes that are not HTTP get a framed 400', async () => {
  const socket = await connect()
  socket.write('\0\0\0\x08\x04\xd2\x16/ this is PostgreSQL\r\n\r\n')
  const text = await readAll(socket)
  expect(text).toMatch(/^HTTP\/1\.1 400 /)
  expect(JSON.parse(text.split('\r\n\r\n')[1] ?? '')).toMatchObject({ error: { code: 'bad_request' } })
})

it('a client that never finishes its headers is cut off', async () => {
  const impatient = await startTestServer({}, undefined, 1000)
  const socket = await connect(impatient)
  socket.write('GET /v1/health HTTP/1.1\r\nHost: x\r\n')
  expect(await readAll(socket)).toMatch(/^HTTP\/1\.1 400 /)
  await impatient.close()
})
