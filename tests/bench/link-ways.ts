// Gateway and server with nothing but what carries bytes (client/cluster, link), so that ways which the product chooses between can be
// measured beside each other: a TLS connection each, with tickets and without, tunnels that stay in frames, tunnels as they are
// shipped, one tunnel for everything, and HTTP/2 in the place of our own frames. Each end is a process of its own. Started by the
// benchmarks beside it; forks itself.
import { fork, type ChildProcess } from 'node:child_process'
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer, type TLSSocket } from 'node:tls'
import { pino } from 'pino'
import { parseAddress } from '../../client/cluster/address.ts'
import { dialRoute } from '../../client/cluster/dial.ts'
import { buildKeyedCertificate } from '../../client/cluster/keyed-certificate.ts'
import { RouteTunnels, unknownTunnelSupport } from '../../client/cluster/route-tunnels.ts'
import { linkOf, type Link } from '../../link/link.ts'
import { encodePreamble, readPreamble } from '../../link/preamble.ts'
import { Tunnel } from '../../link/tunnel/tunnel.ts'
import { ALPN } from '../../shared/names.ts'
import { createTestCa } from '../support/certificates.ts'
import type { RunningWay } from './data-plane/way.ts'
import { http2TunnelServer, Http2Tunnels } from './http2-tunnels.ts'

/**
 * `own`: a TLS connection each. `frames`: tunnels that no stream leaves. `tunnels`: as shipped. `one tunnel`: shared by all. `http2`
 * and `one http2`: as `frames` and `one tunnel`.
 */
export const LINK_WAYS = ['own', 'own, no tickets', 'frames', 'tunnels', 'http2', 'one tunnel', 'one http2'] as const
export type LinkWay = (typeof LINK_WAYS)[number]

/** What the access server's end has seen since it began. */
export type Handshakes = { full: number; resumed: number }
export type RunningLinkWay = RunningWay & { handshakes: () => Promise<Handshakes> }

type Setup = {
  role: 'server' | 'gateway'
  way: LinkWay
  /** Where it leads to. */
  port: number
  certPem: string
  keyPem: string
  caPem: string
}

const SETTINGS = { idleMs: 60_000, pingEveryMs: 30_000, pongWithinMs: 15_000 }
const DAY_MS = 86_400_000
/** As route-tunnels.ts has it. */
const HTTP2_TUNNELS_MAX = 16

/** Starts both ends of one way to that port of this machine. */
export async function startLinkWay(way: LinkWay, targetPort: number): Promise<RunningLinkWay> {
  const ca = createTestCa()
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const uri = 'spiffe://bench/user/alice/login/l-1/route/r-1'
  const certPem = ca.issueClient(uri, publicKey, new Date(Date.now() - DAY_MS), new Date(Date.now() + DAY_MS))
  const keyPem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const common = { way, caPem: ca.certPem }
  const server = await start({ role: 'server', port: targetPort, ...ca.issueServer(), ...common })
  const gateway = await start({ role: 'gateway', port: server.port, certPem, keyPem, ...common })
  return {
    port: gateway.port,
    pids: [gateway, server].map(({ child }) => child.pid ?? -1),
    handshakes: async () => {
      server.child.send('handshakes')
      return ((await once(server.child, 'message')) as [Handshakes])[0]
    },
    stop: async () => {
      for (const { child } of [gateway, server]) {
        child.kill()
        if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
      }
    },
  }
}

async function start(setup: Setup): Promise<{ child: ChildProcess; port: number }> {
  const child = fork(import.meta.filename, [])
  child.send(setup)
  const [{ port }] = (await once(child, 'message')) as [{ port: number }]
  return { child, port }
}

// --- the processes ------------------------------------------------------------------------------------------------------

const play = (setup: Setup): Promise<number> => listen(setup.role === 'server' ? server(setup) : gateway(setup))

async function listen(server: Server): Promise<number> {
  server.listen({ port: 0, host: '127.0.0.1', backlog: 1024 })
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

const handshakes: Handshakes = { full: 0, resumed: 0 }

function noteHandshake(socket: TLSSocket): void {
  handshakes[socket.isSessionReused() ? 'resumed' : 'full'] += 1
}

function server({ way, port, certPem, keyPem, caPem }: Setup): Server {
  const serve = (link: Link): void => void serveRoute(link, port).catch(() => link.destroy())
  if (isHttp2(way)) {
    const http2 = http2TunnelServer({ cert: certPem, key: keyPem, ca: caPem }, serve)
    return http2.on('secureConnection', noteHandshake)
  }
  const transports = new Map<number, Socket>()
  const tls = createTlsServer({
    ...{ cert: certPem, key: keyPem, ca: caPem, minVersion: 'TLSv1.3', requestCert: true, rejectUnauthorized: false },
    ...{ ALPNProtocols: [ALPN.tunnel, ALPN.tcp], sessionTimeout: 300 },
  })
  tls.on('secureConnection', (socket: TLSSocket) => {
    const transport = transports.get(socket.remotePort ?? 0)
    if (!transport) throw new Error('a TLS socket without its transport')
    noteHandshake(socket)
    if (socket.alpnProtocol === ALPN.tcp) serve(linkOf(socket, transport))
    else new Tunnel({ socket, transport, settings: SETTINGS, onStream: serve })
  })
  // The client keeps tickets where it gets some: none are taken where the keys change.
  if (way === 'own, no tickets') tls.on('connection', () => tls.setTicketKeys(randomBytes(48)))
  return createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, (socket) => {
    const remote = socket.remotePort ?? 0
    transports.set(remote, socket)
    socket.on('error', () => undefined).once('close', () => transports.delete(remote))
    tls.emit('connection', socket)
    socket.resume()
  })
}

async function serveRoute(link: Link, targetPort: number): Promise<void> {
  const socket = connect({ port: targetPort, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
  const target = linkOf(socket)
  await once(socket, 'connect')
  link.stream.write(encodePreamble({ ok: { version: 1, sessionId: 's', serverTime: new Date().toISOString() } }))
  await link.pumpTo(target)
}

function gateway({ way, port, certPem, keyPem, caPem }: Setup): Server {
  const certificate = buildKeyedCertificate({ certificatePem: certPem, keyPem, caPems: [caPem] }, 'route')
  const cluster = { address: parseAddress(`127.0.0.1:${port}`), caPems: [caPem] }
  const { signal } = new AbortController()
  let dial: () => Promise<Link>
  if (isHttp2(way)) {
    const secureContext = certificate.contextFor(cluster.caPems)
    const tunnels = new Http2Tunnels({ port, secureContext, tunnelsMax: way === 'http2' ? HTTP2_TUNNELS_MAX : 1 })
    dial = async () => {
      const link = tunnels.open()
      await readPreamble(link.stream, signal)
      return link
    }
  } else {
    const tunnels = way.startsWith('own') ? undefined : tunnelsOf(way)
    const options = { cluster, certificate, tunnels, alpn: ALPN.tcp, noteServerTime: () => undefined, signal }
    dial = async () => (await dialRoute(options)).link
  }
  return createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    const here = linkOf(socket)
    dial()
      .then((link) => here.pumpTo(link))
      .catch(() => here.destroy())
  })
}

const isHttp2 = (way: LinkWay): boolean => way === 'http2' || way === 'one http2'

const tunnelsOf = (way: LinkWay): RouteTunnels =>
  new RouteTunnels({
    ...{ support: unknownTunnelSupport(), now: Date.now, log: pino({ level: 'silent' }) },
    settings: way === 'frames' ? { ...SETTINGS, rawFromBytes: Infinity } : SETTINGS,
    ...(way === 'one tunnel' ? { tunnelsMax: 1 } : {}),
  })

if (process.send)
  process.once('message', (setup: Setup) => {
    void play(setup).then((port) => process.send?.({ port }))
    process.on('message', () => process.send?.(handshakes))
  })
