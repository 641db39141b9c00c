// The real server on its public port, spoken to with Node's TLS as an attacker or an old client would: handshakes with any name,
// certificate or ticket, and what the server says first. Used by the tests of the router.
import { once } from 'node:events'
import type tls from 'node:tls'
import { readPreamble } from '../../../link/preamble.ts'
import { openAuthority, type Authority } from '../../../server/ca/authority.ts'
import { loadMasterKey } from '../../../server/secrets/master-key.ts'
import { ALPN } from '../../../shared/names.ts'
import { grant, resource, role, user } from '../../server/support/access-server.ts'
import { startRunningServer, type Credentials, type RunningTestServer } from '../../support/running-server.ts'

/** Every field that some answer has; a test asks for those of the answer that it expects. */
type Body = { user: string; renewCertificate: boolean; cas: string[]; error: { code: string } }

const PATIENCE_MS = 20_000

export type SpokenToServer = {
  server: RunningTestServer
  /** The CAs of that server, to sign what it would not. */
  authority: Authority
  /** The server's clock and this one go on by so much. */
  pass: (ms: number) => void
  now: () => Date
  /** Whether alice's role allows her anything. */
  allow: (isAllowed: boolean) => Promise<unknown>
  /** A route of a new login of alice's, or of this one. */
  route: (login?: Credentials) => Promise<Credentials>
  /** A socket with this ALPN name (or none), after its handshake; it verifies the server. */
  connect: (alpn: string | undefined, options?: tls.ConnectionOptions) => Promise<tls.TLSSocket>
  /** One call of the API on a connection of its own, whatever is answered. */
  call: (method: string, url: string, body?: unknown, credentials?: Credentials) => Promise<Body>
  /** What the server says to a connection on a protocol's name: `ok` or the code of its refusal. */
  dial: (alpn: string, options?: tls.ConnectionOptions) => Promise<string>
  /** What a client is given to resume a session by, which comes at any time behind the handshake. */
  ticketsOf: (
    alpn: string,
    options: tls.ConnectionOptions,
    read: (socket: tls.TLSSocket) => Promise<unknown>,
  ) => Promise<Buffer[]>
}

/** A server with alice, who may reach `orders`. Whoever starts it ends it with `server.close()`. */
export async function startSpokenToServer(): Promise<SpokenToServer> {
  let shiftMs = 0
  const now = () => new Date(Date.now() + shiftMs)
  const server = await startRunningServer('', { now })
  const authority = await openAuthority(server.store.db, await loadMasterKey(server.config.masterKeyFile), now)
  const allowed = role('dev', { resources: ['*'], accounts: ['*'] })
  await server.apply(user('alice'), resource('orders', { address: '127.0.0.1:9' }), allowed, grant('alice', 'dev'))

  const connect: SpokenToServer['connect'] = async (alpn, options = {}) => {
    const socket = server.connect(alpn, options)
    await once(socket, 'secureConnect', { signal: AbortSignal.timeout(PATIENCE_MS) })
    return socket
  }
  return {
    server,
    authority,
    now,
    pass: (ms) => (shiftMs += ms),
    allow: (isAllowed) => server.apply(isAllowed ? allowed : role('dev')),
    route: async (login) => server.routeFor(login ?? (await server.logIn('alice')), 'orders', 'postgres', 'reader'),
    connect,

    async call(method, url, body, credentials) {
      const socket = await connect(credentials ? ALPN.control : ALPN.web, credentials ?? {})
      try {
        return await ask(socket, method, url, body)
      } finally {
        socket.destroy()
      }
    },

    async dial(alpn, options) {
      const socket = await connect(alpn, options)
      try {
        return await preambleOf(socket)
      } finally {
        socket.destroy()
      }
    },

    async ticketsOf(alpn, options, read) {
      const tickets: Buffer[] = []
      const socket = await connect(alpn, options)
      socket.on('session', (ticket) => tickets.push(ticket))
      const given = once(socket, 'session', { signal: AbortSignal.timeout(PATIENCE_MS) })
      await read(socket)
      await given
      socket.destroy()
      return tickets
    },
  }
}

/** What the server says first: `ok` or the code of its refusal. */
export async function preambleOf(socket: tls.TLSSocket): Promise<string> {
  const preamble = await readPreamble(socket, AbortSignal.timeout(PATIENCE_MS))
  return 'ok' in preamble ? 'ok' : preamble.refused.code
}

/** One request on a connected socket, which stays connected for the next one. */
export async function ask(socket: tls.TLSSocket, method: string, url: string, body?: unknown): Promise<Body> {
  const payload = body === undefined ? '' : JSON.stringify(body)
  const headers = `host: here\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(payload)}`
  let text = ''
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const onData = (bytes: Buffer) => {
    text += bytes.toString('latin1')
    const [head = '', rest] = text.split('\r\n\r\n', 2)
    const length = /^content-length: (\d+)$/im.exec(head)?.[1]
    if (rest !== undefined && rest.length >= Number(length)) resolve(rest)
  }
  const onClose = () => reject(new Error(`closed before the answer was whole: ${text}`))
  socket.on('data', onData).on('close', onClose)
  socket.write(`${method} ${url} HTTP/1.1\r\n${headers}\r\n\r\n${payload}`)
  try {
    return JSON.parse(await promise) as Body
  } finally {
    socket.off('data', onData).off('close', onClose)
  }
}
