// Tunnels of HTTP/2 streams (CONNECT, RFC 9113, 8.5) in the place of Postern's own frames, as the product would have them: the same
// certificate, the same number of tunnels, the same choice among them, the same window for a stream. Only for comparing the two
// (link-ways.ts); nothing of the product knows it.
import {
  connect,
  constants,
  createSecureServer,
  type ClientHttp2Session,
  type Http2SecureServer,
  type SecureServerOptions,
} from 'node:http2'
import type { SecureContext } from 'node:tls'
import { linkOf, type Link } from '../../link/link.ts'

/** As frames of our own have it (docs/protocol.md), in bytes. */
const STREAM_WINDOW = 262_144
/** For all streams of a connection: so large that no stream waits for what another's reader leaves lying. */
const CONNECTION_WINDOW = 64 * 1024 * 1024
/** With the default of 16 KiB bulk is a tenth slower. */
const FRAME_BYTES = 64 * 1024
const SETTINGS = {
  initialWindowSize: STREAM_WINDOW,
  maxFrameSize: FRAME_BYTES,
  maxConcurrentStreams: 256,
  enablePush: false,
}

/** Gives each stream that is opened to `onStream`. Listens nowhere yet. */
export function http2TunnelServer(
  options: Pick<SecureServerOptions, 'cert' | 'key' | 'ca'>,
  onStream: (link: Link) => void,
): Http2SecureServer {
  const server = createSecureServer({
    ...options,
    ...{ minVersion: 'TLSv1.3', requestCert: true, rejectUnauthorized: false, settings: SETTINGS },
  })
  server.on('session', (session) => {
    session.on('error', () => undefined)
    session.setLocalWindowSize(CONNECTION_WINDOW)
  })
  server.on('stream', (stream) => {
    stream.respond({ ':status': 200 })
    onStream(linkOf(stream))
  })
  return server
}

type Http2Tunnel = { session: ClientHttp2Session; streams: number }

/** The tunnels of one gateway: a stream has one to itself while there are few, and shares where there are many. */
export class Http2Tunnels {
  readonly #port: number
  readonly #secureContext: SecureContext
  readonly #tunnelsMax: number
  readonly #tunnels: Http2Tunnel[] = []

  constructor(options: { port: number; secureContext: SecureContext; tunnelsMax: number }) {
    this.#port = options.port
    this.#secureContext = options.secureContext
    this.#tunnelsMax = options.tunnelsMax
  }

  /** Opens a stream; a tunnel that has yet to come up takes it, too. The caller owns the link. */
  open(): Link {
    const best = this.#leastBusy()
    const isFull = this.#tunnels.length >= this.#tunnelsMax
    const tunnel = best && (best.streams === 0 || isFull) ? best : this.#dial()
    const request = { [constants.HTTP2_HEADER_METHOD]: 'CONNECT', [constants.HTTP2_HEADER_AUTHORITY]: 'tcp' }
    const stream = tunnel.session.request(request, { endStream: false })
    tunnel.streams += 1
    stream.once('close', () => (tunnel.streams -= 1))
    // The next one finds a tunnel that is up.
    if (this.#leastBusy()?.streams !== 0 && this.#tunnels.length < this.#tunnelsMax) this.#dial()
    return linkOf(stream)
  }

  #leastBusy(): Http2Tunnel | undefined {
    let best: Http2Tunnel | undefined
    for (const tunnel of this.#tunnels) if (best === undefined || tunnel.streams < best.streams) best = tunnel
    return best
  }

  #dial(): Http2Tunnel {
    const session = connect(`https://127.0.0.1:${this.#port}`, {
      secureContext: this.#secureContext,
      settings: SETTINGS,
    })
    session.on('error', () => undefined)
    session.once('connect', () => session.setLocalWindowSize(CONNECTION_WINDOW))
    const tunnel = { session, streams: 0 }
    this.#tunnels.push(tunnel)
    session.once('close', () => this.#tunnels.splice(this.#tunnels.indexOf(tunnel), 1))
    return tunnel
  }
}
