// An access server for tests of the client core: real TLS 1.3, the API of fake-api.ts, control streams, the preamble, and behind it
// a tiny PostgreSQL or an echo. Its knobs are plain fields.
import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createServer as createTlsServer, type TLSSocket } from 'node:tls'
import { WebSocketServer, type WebSocket } from 'ws'
import { encodePreamble } from '../../link/preamble.ts'
import { readBytes } from '../../link/read-bytes.ts'
import { CONTROL_PATH, encodeControlMessage } from '../../shared/control.ts'
import type { ErrorCode } from '../../shared/errors.ts'
import { ALPN, type Identity } from '../../shared/names.ts'
import { createTestCa, type TestCa } from './certificates.ts'
import { FakeApi, identityOf, tlsSocketOf, type Seen } from './fake-api.ts'
import { readStartup, speakPostgres } from './fake-postgres.ts'

// What tests of the whole server need of its API stands here too.
export { PASSWORD, TCP_RESOURCE } from './fake-api.ts'

export class FakeAccessServer extends FakeApi {
  /** Refuses dials in the preamble. */
  refuseDial: ((identity: Identity) => { code: ErrorCode; text: string } | undefined) | undefined
  /** What stands behind routes of plain TCP; an echo by default. */
  serveTcp: (socket: TLSSocket) => void = (socket) => void socket.pipe(socket)
  /** Takes each control stream, already upgraded; while there is none, the server knows no such path. */
  onControl: ((stream: WebSocket, identity: Identity) => void) | undefined
  port = 0
  readonly #sockets = new Set<TLSSocket>()
  readonly #tls
  readonly #http
  readonly #webSockets = new WebSocketServer({ noServer: true, autoPong: false })

  constructor(options: { ca?: TestCa; notBefore?: Date; notAfter?: Date; ips?: string[] } = {}) {
    super(options.ca ?? createTestCa())
    const { certPem, keyPem } = this.ca.issueServer(options)
    this.#http = createHttpServer(
      { shouldUpgradeCallback: ({ url }) => url === CONTROL_PATH && this.onControl !== undefined },
      (request, response) => void this.answer(request, response),
    )
    this.#http.on('upgrade', (request, socket, head) => {
      this.#webSockets.handleUpgrade(request, socket, head, (stream) => {
        stream.on('error', () => undefined)
        const identity = identityOf(tlsSocketOf(request))
        if (identity) this.onControl?.(stream, identity)
      })
    })
    this.#tls = createTlsServer(
      {
        cert: certPem,
        key: keyPem,
        ca: this.ca.certPem,
        minVersion: 'TLSv1.3',
        requestCert: true,
        rejectUnauthorized: false,
        allowHalfOpen: true,
        // As a server from before there were tunnels.
        ALPNCallback: ({ protocols }) =>
          protocols.find((name) => name !== ALPN.tunnel && Object.values<string>(ALPN).includes(name)),
      } as Parameters<typeof createTlsServer>[0] & { allowHalfOpen: boolean },
      (socket) => {
        this.#sockets.add(socket)
        socket.once('close', () => this.#sockets.delete(socket))
        socket.on('error', () => undefined)
        if (socket.alpnProtocol === ALPN.web || socket.alpnProtocol === ALPN.control) {
          this.#http.emit('connection', socket)
        } else {
          this.#serveProtocol(socket).catch(() => socket.destroy())
        }
      },
    )
    this.#tls.on('tlsClientError', () => undefined)
  }

  get address(): string {
    return `127.0.0.1:${this.port}`
  }

  async start(): Promise<this> {
    this.#tls.listen(this.port, '127.0.0.1')
    await once(this.#tls, 'listening')
    this.port = (this.#tls.address() as AddressInfo).port
    return this
  }

  async close(): Promise<void> {
    if (!this.#tls.listening) return
    // Its own 'close' event never comes: connections given to the HTTP server are not counted back.
    this.#tls.close()
    const closed = [...this.#sockets].map((socket) => once(socket, 'close'))
    this.dropConnections()
    await Promise.all(closed)
  }

  dropConnections(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  async #serveProtocol(socket: TLSSocket): Promise<void> {
    const identity = identityOf(socket)
    const serverTime = new Date(this.now()).toISOString()
    const refuse = (refused: { code: ErrorCode; text: string }) =>
      socket.end(encodePreamble({ refused: { ...refused, version: 1, errorId: 'e-1', serverTime } }))
    if (identity?.kind !== 'route') {
      refuse({ code: 'bad_certificate', text: 'no route certificate' })
      return
    }
    const alpn = String(socket.alpnProtocol)
    const dial: Seen['dials'][number] = { alpn, identity, isResumed: socket.isSessionReused(), startup: undefined }
    this.seen.dials.push(dial)
    const isCancel = alpn === ALPN.postgresCancel
    if (!isCancel && this.isExpired(socket, identity)) {
      refuse({ code: 'certificate_expired', text: 'the route certificate has expired' })
      return
    }
    const refused = this.refuseDial?.(identity)
    if (refused) {
      refuse(refused)
      return
    }
    socket.write(encodePreamble({ ok: { version: 1, sessionId: `s-${identity.routeId}`, serverTime } }))
    const never = new AbortController().signal
    if (alpn === ALPN.tcp) {
      this.serveTcp(socket)
      return
    }
    if (isCancel) {
      this.seen.cancels.push(await readBytes(socket, 16, never))
      socket.end()
      return
    }
    const startup = await readStartup(socket, never)
    dial.startup = startup
    await speakPostgres(socket, startup.get('database') === 'echo', never)
  }
}

/** Says hello on a control stream and answers its pings as the access server does, until `isDeaf` says otherwise. */
export function greetControl(
  server: FakeAccessServer,
  stream: WebSocket,
  isDeaf: () => boolean = () => false,
  timeOf: () => number = () => server.now(),
): void {
  const serverTime = (): string => new Date(timeOf()).toISOString()
  const loginEndsAt = new Date(server.now() + server.userTtlMs).toISOString()
  stream.on('ping', (data) => {
    if (isDeaf()) return
    stream.send(encodeControlMessage({ type: 'time', serverTime: serverTime() }))
    stream.pong(data)
  })
  stream.send(encodeControlMessage({ type: 'hello', serverTime: serverTime(), version: 'fake', loginEndsAt }))
}
