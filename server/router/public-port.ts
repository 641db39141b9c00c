// The one public TLS port: accepts, peeks at the ClientHello, and hands the connection to the web listener (no client
// certificate asked) or to the route listener (client certificate asked, judged by us so that we can say why, C5).
// Unknown or missing ALPN is refused by the TLS alert no_application_protocol (C3).
import net from 'node:net'
import tls from 'node:tls'
import type { Logger } from 'pino'
import { ALPN, type Alpn } from '../../shared/names.ts'
import { keepAlive } from '../../link/keepalive.ts'
import { PosternError } from '../../shared/errors.ts'
import { CLIENT_HELLO_MAX_BYTES, peekClientHello } from './client-hello.ts'

/** How long a connection may take to send its ClientHello, and then to finish the handshake, in ms. */
const HELLO_TIMEOUT_MS = 10_000
const HANDSHAKE_TIMEOUT_MS = 10_000
/** How long a session may be resumed after the handshake that it began with, in seconds. */
const TICKET_LIFE_S = 300

/** What the handshakes of the port go by; a rotation of the CAs replaces it (C7). */
export type PortIdentity = {
  /** The server's key and certificate with its CA behind it, PEM (C8). */
  material: { key: string; cert: string }
  /** Names of the CAs in the certificate request, PEM; verification itself is access-check's. */
  clientCas: string[]
}

export type PublicPortOptions = PortIdentity & {
  host: string
  port: number
  /** A finished handshake over `transport`; `alpn` is one of ours. The callee owns the socket. */
  onConnection: (socket: tls.TLSSocket, alpn: Alpn, transport: net.Socket) => void
  /** Told how each handshake ended, and how long after its connection was accepted, in s. */
  onHandshake?: (isGood: boolean, seconds: number) => void
  log: Logger
}

export interface PublicPort {
  readonly host: string
  readonly port: number
  /**
   * New handshakes go by this from now on; connections that live go on as they are. Nothing changes if it cannot be used.
   * @throws Error if it is no key with its certificate
   */
  setIdentity(identity: PortIdentity): void
  /** Stops accepting at once; connections that live go on. */
  stopAccepting(): void
  /** Stops accepting and drops every connection. */
  destroy(): Promise<void>
}

const ROUTE_ALPN: readonly Alpn[] = [ALPN.control, ALPN.tunnel, ALPN.postgres, ALPN.postgresCancel, ALPN.tcp]

const peerOf = (socket: net.Socket): string => `${socket.remoteAddress ?? ''}:${socket.remotePort ?? 0}`

/** Which listener serves a ClientHello with these ALPN names: the first of the client's names that is ours decides. */
function listenerFor(names: readonly string[]): { listener: 'web' | 'route'; alpn: Alpn } | undefined {
  for (const name of names) {
    if (name === ALPN.web) return { listener: 'web', alpn: ALPN.web }
    const route = ROUTE_ALPN.find((known) => known === name)
    if (route) return { listener: 'route', alpn: route }
  }
  return undefined
}

/**
 * Opens the port and resolves once it listens.
 * @throws PosternError `misconfigured` if the address cannot be listened on
 */
export async function openPublicPort(options: PublicPortOptions): Promise<PublicPort> {
  const { log } = options
  /** By the other end's address, under which the TLS socket above it is known, too. */
  const sockets = new Map<string, net.Socket>()
  const acceptedAt = new WeakMap<net.Socket, number>()
  const tellHandshake = (socket: tls.TLSSocket, isGood: boolean): void => {
    const transport = sockets.get(peerOf(socket))
    const beginning = transport && acceptedAt.get(transport)
    if (beginning !== undefined) options.onHandshake?.(isGood, (performance.now() - beginning) / 1000)
  }
  const common: tls.TlsOptions = {
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    // Runs for every ClientHello; what the peek chose must be what TLS agrees on, or a client could be served without
    // the certificate check that its ALPN name needs.
    ALPNCallback: ({ protocols }) => listenerFor(protocols)?.alpn,
  }
  const web = tls.createServer({ ...common, ...contextsOf(options).web })
  const route = tls.createServer({
    ...common,
    ...contextsOf(options).route,
    requestCert: true,
    rejectUnauthorized: false,
  })
  for (const [server, kind] of [[web, 'web'] as const, [route, 'route'] as const]) {
    server.on('secureConnection', (socket) => {
      tellHandshake(socket, true)
      const chosen = typeof socket.alpnProtocol === 'string' ? listenerFor([socket.alpnProtocol]) : undefined
      const transport = sockets.get(peerOf(socket))
      if (chosen?.listener === kind && transport) options.onConnection(socket, chosen.alpn, transport)
      else socket.destroy()
    })
    server.on('tlsClientError', (error, socket) => {
      tellHandshake(socket, false)
      log.debug({ err: error, address: socket.remoteAddress }, 'TLS handshake failed')
      socket.destroy()
    })
  }
  const listeners = { web, route }

  const accept = net.createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (socket) => {
    keepAlive(socket)
    const peer = peerOf(socket)
    sockets.set(peer, socket)
    acceptedAt.set(socket, performance.now())
    socket.once('close', () => {
      if (sockets.get(peer) === socket) sockets.delete(peer)
    })
    socket.on('error', (error) => log.debug({ err: error, address: socket.remoteAddress }, 'connection failed'))
    peek(socket, (hello) => {
      // Without ALPN the route listener's callback is not called; both listeners then refuse in `secureConnection`,
      // and for unknown names ALPNCallback answers with the alert.
      const listener = listenerFor(hello)?.listener ?? 'web'
      listeners[listener].emit('connection', socket)
    })
  })
  await new Promise<void>((resolve, reject) => {
    accept.once('error', (error: NodeJS.ErrnoException) => {
      const why = error.code === 'EADDRINUSE' ? 'another program listens there' : error.message
      reject(
        new PosternError('misconfigured', `listen: cannot listen on ${options.host}:${options.port}: ${why}`, {
          cause: error,
        }),
      )
    })
    accept.listen({ host: options.host, port: options.port, backlog: 1024 }, resolve)
  })
  const address = accept.address() as net.AddressInfo
  const stopAccepting = () =>
    new Promise<void>((resolve) => (accept.listening ? void accept.close(() => resolve()) : resolve()))

  return {
    host: address.address,
    port: address.port,
    setIdentity: (identity) => {
      const contexts = contextsOf(identity)
      // Tried first: both listeners change, or none.
      for (const context of [contexts.web, contexts.route]) tls.createSecureContext(context)
      web.setSecureContext(contexts.web)
      route.setSecureContext(contexts.route)
    },
    stopAccepting: () => void stopAccepting(),
    destroy: async () => {
      const stopped = stopAccepting()
      for (const socket of sockets.values()) socket.destroy()
      await stopped
    },
  }
}

/** All that the TLS contexts of the two listeners are made of: setSecureContext forgets what it is not given again. */
function contextsOf({ material, clientCas }: PortIdentity): {
  web: tls.SecureContextOptions
  route: tls.SecureContextOptions
} {
  const web = { ...material, minVersion: 'TLSv1.3' as const }
  return {
    web,
    // A resumed session keeps the certificate of its first handshake, which access-check judges on every connection (C4). What it
    // is resumed by is sealed with keys of this context alone: after a rotation, or a restart, it is nothing, and the handshake is whole.
    route: { ...web, ca: clientCas, sessionTimeout: TICKET_LIFE_S },
  }
}

/** Collects bytes until the ClientHello is whole, puts them back, and calls on. Closes what is no TLS, or too slow. */
function peek(socket: net.Socket, onHello: (alpn: string[]) => void): void {
  let bytes: Buffer = Buffer.alloc(0)
  const timer = setTimeout(() => socket.destroy(), HELLO_TIMEOUT_MS)
  const settle = () => {
    clearTimeout(timer)
    socket.off('data', onData).off('end', onGone).off('close', onGone)
  }
  const onGone = () => {
    settle()
    socket.destroy()
  }
  const onData = (chunk: Buffer) => {
    bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk])
    const peeked = peekClientHello(bytes)
    if (peeked.kind === 'incomplete' && bytes.length <= 2 * CLIENT_HELLO_MAX_BYTES) return
    settle()
    if (peeked.kind !== 'hello') {
      socket.end(NOT_TLS_ANSWER, () => socket.destroy())
      return
    }
    socket.pause()
    socket.unshift(bytes)
    onHello(peeked.hello.alpn)
  }
  socket.on('data', onData).on('end', onGone).on('close', onGone)
  socket.resume()
}

/** What a plain HTTP client (or a person with telnet) is told; TLS clients never see it. */
const NOT_TLS_ANSWER =
  'HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nThis port speaks TLS 1.3 only (Postern access server).\n'
