// A tunnel at the server: each of its streams is served as a connection of its own (route-connection.ts), with the certificate of
// the handshake judged anew, a preamble and an engine. A tunnel by itself allows nothing. Called by start.ts.
import type { Socket } from 'node:net'
import type { X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import type { Logger } from 'pino'
import { Tunnel, TunnelSilent, type TunnelSettings } from '../../link/tunnel/tunnel.ts'
import type { RoutePeer } from './route-connection.ts'

/** Clients close theirs after a minute; one that does not is closed here. In ms, as all of these. */
const SETTINGS: TunnelSettings = { idleMs: 150_000, pingEveryMs: 30_000, pongWithinMs: 15_000 }

export type RouteTunnelOptions = {
  /** Serves one stream to its end. */
  serve: (peer: RoutePeer) => void
  /** The client answers no more, and has not for so long, in ms; the certificate of its handshake was not judged. */
  onSilent: (certificate: X509Certificate | undefined, silentMs: number) => void
  /** Aborts when the server begins to stop: no new streams then, and those that live are ended by whoever serves them. */
  draining: AbortSignal
  log: Logger
  settings?: TunnelSettings
}

/** Serves the tunnel over a finished handshake. Resolves when it is closed; never rejects. */
export async function serveRouteTunnel(
  { socket, transport }: { socket: TLSSocket; transport: Socket },
  { serve, onSilent, draining, log, settings = SETTINGS }: RouteTunnelOptions,
): Promise<void> {
  // Asked now: a socket that has closed knows neither.
  const address = `${socket.remoteAddress ?? 'unknown'}:${socket.remotePort ?? 0}`
  const certificate = socket.getPeerX509Certificate()
  const tunnel = new Tunnel({
    ...{ socket, transport, settings },
    onStream: (link, alpn) => serve({ link, certificate, alpn, address }),
  })
  const drain = () => tunnel.drain()
  draining.addEventListener('abort', drain, { once: true })
  if (draining.aborted) drain()
  const failure = await tunnel.closed
  draining.removeEventListener('abort', drain)
  if (failure instanceof TunnelSilent) onSilent(certificate, settings.pongWithinMs)
  if (failure) log.warn({ err: failure, address }, 'a tunnel was broken off')
}
