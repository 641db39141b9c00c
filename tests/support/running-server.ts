// The real access server in this process on a free port, its API, and doors: local ports on which psql reaches a route as through a
// gateway, without a core in between. Used by tests of sessions on the server's side.
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import http from 'node:http'
import net, { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import tls from 'node:tls'
import { readPreamble } from '../../link/preamble.ts'
import { loadConfig } from '../../server/config.ts'
import { initialise } from '../../server/init.ts'
import { startServer, type StartOptions } from '../../server/start.ts'
import { openStore } from '../../server/store/store.ts'
import { ALPN, type ResourceProtocol } from '../../shared/names.ts'
import { newKeyAndCsr } from '../server/support/access-server.ts'

export type Credentials = { cert: string; key: string }
export type Door = {
  port: number
  /** Codes and texts of the connections that were refused. */
  refusals: { code: string; text: string }[]
  close: () => void
}
export type RunningTestServer = Awaited<ReturnType<typeof startRunningServer>>

const PATIENCE_MS = 30_000

/**
 * @param settings further lines of the YAML settings
 * @param options what only tests change of a server
 */
export async function startRunningServer(settings = '', options: Partial<StartOptions> = {}) {
  const directory = await mkdtemp(join(tmpdir(), 'postern-running-'))
  const file = join(directory, 'server.yaml')
  await writeFile(file, `listen: 127.0.0.1:0\ndataDir: data\nlog: { level: info, file: server.log }\n${settings}\n`)
  const now = () => new Date()
  const config = loadConfig(file)
  const made = await initialise(config, { now })
  const server = await startServer(config, { now, version: '0.0.0-test', ...options })
  const store = await openStore(config.store)
  const port = Number(server.address.split(':').at(-1))
  const doors = new Set<Door>()
  let ca: string[] = []

  /** Before its handshake. Trusts the server's CAs of the start, unless the options say otherwise. */
  const connect = (alpn: string | undefined, options: tls.ConnectionOptions = {}): tls.TLSSocket => {
    const trust = ca.length === 0 ? { rejectUnauthorized: false } : { ca }
    const names = alpn === undefined ? {} : { ALPNProtocols: [alpn] }
    const socket = tls.connect({ host: '127.0.0.1', port, ...names, ...trust, ...options })
    return socket.on('error', () => undefined)
  }

  /** One call of the API; its answer, which is not an error. */
  async function call<Answer>(method: string, path: string, body?: unknown, login?: Credentials): Promise<Answer> {
    const socket = connect(login ? ALPN.control : ALPN.web, login)
    try {
      const signal = AbortSignal.timeout(PATIENCE_MS)
      const headers = { 'content-type': 'application/json' }
      const request = http.request({ method, path, createConnection: () => socket, headers, signal })
      const payload = body ?? (method === 'POST' ? {} : undefined)
      request.end(payload === undefined ? undefined : JSON.stringify(payload))
      const [response] = (await once(request, 'response')) as [http.IncomingMessage]
      let text = ''
      for await (const chunk of response) text += String(chunk)
      if (response.statusCode !== 200) throw new Error(`${method} ${path}: ${String(response.statusCode)} ${text}`)
      return JSON.parse(text) as Answer
    } finally {
      socket.destroy()
    }
  }
  ca = (await call<{ cas: string[] }>('GET', '/v1/cluster')).cas

  const withKey = async (path: string, body: object, login?: Credentials) => {
    const { key, csr } = newKeyAndCsr()
    const answer = await call<{ certificate: string; routeId: string }>('POST', path, { ...body, csr }, login)
    return { cert: answer.certificate, key, routeId: answer.routeId }
  }
  const root = await withKey('/v1/setup', { setupCode: made.setupCode, user: 'root', password: 'correct horse root' })

  return {
    config,
    store,
    root,
    call,
    connect,
    apply: (...documents: object[]) => call('POST', '/v1/admin/apply', { documents }, root),
    logIn: (user: string) => withKey('/v1/login', { user, password: `correct horse ${user}` }),
    routeFor: (login: Credentials, resource: string, protocol: ResourceProtocol = 'postgres', account = 'app') =>
      withKey('/v1/routes', { resource, protocol, account }, login),

    async door(route: Credentials, alpn: string = ALPN.postgres): Promise<Door> {
      const refusals: Door['refusals'] = []
      const sockets = new Set<net.Socket | tls.TLSSocket>()
      const carry = async (local: net.Socket): Promise<void> => {
        const remote = connect(alpn, route)
        sockets.add(local.on('error', () => remote.destroy())).add(remote)
        remote.once('close', () => local.destroy())
        try {
          await once(remote, 'secureConnect', { signal: AbortSignal.timeout(PATIENCE_MS) })
          const preamble = await readPreamble(remote, AbortSignal.timeout(PATIENCE_MS))
          if ('refused' in preamble) refusals.push(preamble.refused)
          else local.pipe(remote).pipe(local)
          if ('refused' in preamble) local.destroy()
        } catch {
          local.destroy()
        }
      }
      const listener = net.createServer((local) => void carry(local))
      listener.listen(0, '127.0.0.1')
      await once(listener, 'listening')
      const door: Door = {
        port: (listener.address() as AddressInfo).port,
        refusals,
        close: () => {
          listener.close()
          for (const socket of sockets) socket.destroy()
        },
      }
      doors.add(door)
      return door
    },

    stop: (why: string) => server.stop(why),
    async close(): Promise<void> {
      for (const door of doors) door.close()
      await server.stop('the test is over')
      await store.close()
      await rm(directory, { recursive: true, force: true, maxRetries: 10 })
    },
  }
}
