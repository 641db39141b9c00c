// What a tunnel gives and costs: the same gateway and the same server, once with a TLS connection for each client connection and once
// with tunnels (with and without handing bulk the whole connection), interleaved. Load, gateway, server and target are processes of
// their own. Run by hand: `node tests/bench/tunnel-and-own-connections.ts [--rounds 3] [--seconds 2]`; prints one JSON object:
// medians and, for each row, the ratio to connections of their own in the same round. Judges nothing.
import { fork, type ChildProcess } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { loadavg } from 'node:os'
import { createServer as createTlsServer, type TLSSocket } from 'node:tls'
import { parseArgs } from 'node:util'
import { pino } from 'pino'
import { parseAddress } from '../../client/cluster/address.ts'
import { dialRoute } from '../../client/cluster/dial.ts'
import { buildKeyedCertificate } from '../../client/cluster/keyed-certificate.ts'
import { RouteTunnels, unknownTunnelSupport } from '../../client/cluster/route-tunnels.ts'
import { linkOf, type Link } from '../../link/link.ts'
import { encodePreamble } from '../../link/preamble.ts'
import { Tunnel } from '../../link/tunnel/tunnel.ts'
import { ALPN } from '../../shared/names.ts'
import { createTestCa } from '../support/certificates.ts'

type Kind = 'own' | 'frames' | 'raw'
type Setup = {
  role: 'target' | 'server' | 'gateway'
  kind: Kind
  port: number
  certPem: string
  keyPem: string
  caPem: string
}
const tidy = (value: number): number => Number(value.toPrecision(3))
const median = (values: number[]): number => tidy(values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN)
const quantile = (values: number[], q: number): number =>
  tidy(values.toSorted((a, b) => a - b)[Math.floor(values.length * q)] ?? NaN)

const SETTINGS = { idleMs: 60_000, pingEveryMs: 30_000, pongWithinMs: 15_000 }
const PIECE = Buffer.alloc(64 * 1024, 7)

async function listen(server: Server): Promise<number> {
  server.listen({ port: 0, host: '127.0.0.1', backlog: 1024 })
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

/** The first byte says what it does: e(cho), d(ownload until closed), u(pload: one byte back for each 16 MiB). */
function serveTarget(socket: Socket): void {
  socket.on('error', () => undefined)
  socket.once('data', (first: Buffer) => {
    const what = String.fromCharCode(first[0] ?? 0)
    if (what === 'd') {
      const more = (): void => {
        while (!socket.destroyed && socket.write(PIECE));
      }
      socket.on('drain', more).resume()
      more()
    } else if (what === 'u') {
      let counted = 0
      socket.on('data', (bytes: Buffer) => {
        counted += bytes.length
        for (; counted >= 16 * 1024 * 1024; counted -= 16 * 1024 * 1024) socket.write('x')
      })
    } else {
      if (first.length > 1) socket.write(first.subarray(1))
      socket.on('data', (bytes: Buffer) => socket.write(bytes))
    }
  })
  socket.on('end', () => socket.end())
}

async function serveRoute(link: Link, targetPort: number): Promise<void> {
  const socket = connect({ port: targetPort, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
  const target = linkOf(socket)
  await once(socket, 'connect')
  link.stream.write(encodePreamble({ ok: { version: 1, sessionId: 's', serverTime: new Date().toISOString() } }))
  await link.pumpTo(target)
}

async function play(setup: Setup): Promise<number> {
  const { role, kind, certPem, keyPem, caPem, port } = setup
  if (role === 'target') return listen(createServer({ allowHalfOpen: true, noDelay: true }, serveTarget))
  if (role === 'server') {
    const transports = new Map<number, Socket>()
    const options = {
      ...{ cert: certPem, key: keyPem, ca: caPem, minVersion: 'TLSv1.3', requestCert: true, rejectUnauthorized: false },
      ...{ allowHalfOpen: true, ALPNProtocols: [ALPN.tunnel, ALPN.tcp] },
    }
    const tls = createTlsServer(options as Parameters<typeof createTlsServer>[0], (socket: TLSSocket) => {
      const transport = transports.get(socket.remotePort ?? 0)
      if (!transport) throw new Error('a TLS socket without its transport')
      const serve = (link: Link) => void serveRoute(link, port).catch(() => link.destroy())
      if (socket.alpnProtocol === ALPN.tcp) serve(linkOf(socket, transport))
      else new Tunnel({ socket, transport, settings: SETTINGS, onStream: serve })
    })
    return listen(
      createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, (socket) => {
        const remote = socket.remotePort ?? 0
        transports.set(remote, socket)
        socket.on('error', () => undefined).once('close', () => transports.delete(remote))
        tls.emit('connection', socket)
        socket.resume()
      }),
    )
  }
  const log = pino({ level: 'silent' })
  const certificate = buildKeyedCertificate({ certificatePem: certPem, keyPem, caPems: [caPem] }, 'route')
  const cluster = { address: parseAddress(`127.0.0.1:${port}`), caPems: [caPem] }
  const settings = { ...SETTINGS, rawFromBytes: kind === 'raw' ? 1024 * 1024 : Infinity }
  const tunnels =
    kind === 'own' ? undefined : new RouteTunnels({ support: unknownTunnelSupport(), now: Date.now, log, settings })
  const { signal } = new AbortController()
  return listen(
    createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      const here = linkOf(socket)
      dialRoute({ cluster, certificate, tunnels, alpn: ALPN.tcp, noteServerTime: () => undefined, signal })
        .then(({ link }) => here.pumpTo(link))
        .catch(() => here.destroy())
    }),
  )
}

if (process.send) {
  process.once('message', (setup: Setup) => void play(setup).then((port) => process.send?.({ port })))
  process.on('message', (message: unknown) => {
    if (message === 'usage') process.send?.({ usage: process.memoryUsage().rss, cpu: process.cpuUsage() })
  })
} else {
  const { values } = parseArgs({
    options: { rounds: { type: 'string', default: '3' }, seconds: { type: 'string', default: '2' } },
  })
  process.stdout.write(`${JSON.stringify(await measure(Number(values.rounds), Number(values.seconds)), null, 1)}\n`)
}

type Figures = Record<string, number>
type Way = { kind: Kind; port: number; gateway: ChildProcess }

async function measure(rounds: number, seconds: number): Promise<unknown> {
  const ca = createTestCa()
  const issued = ca.issueServer()
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const uri = 'spiffe://test/user/alice/login/l-1/route/r-1'
  const day = 86_400_000
  const clientCert = ca.issueClient(uri, publicKey, new Date(Date.now() - day), new Date(Date.now() + day))
  const clientKey = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const children: ChildProcess[] = []
  const start = async (setup: Omit<Setup, 'caPem'>): Promise<{ child: ChildProcess; port: number }> => {
    const child = fork(import.meta.filename, [])
    children.push(child)
    child.send({ ...setup, caPem: ca.certPem })
    const [{ port }] = (await once(child, 'message')) as [{ port: number }]
    return { child, port }
  }
  try {
    const nothing = { certPem: '', keyPem: '', kind: 'own' as const }
    const target = await start({ role: 'target', port: 0, ...nothing })
    const server = await start({ role: 'server', port: target.port, ...issued, kind: 'own' })
    const ways: Way[] = []
    for (const kind of ['own', 'frames', 'raw'] as const) {
      const keys = { certPem: clientCert, keyPem: clientKey }
      const { child, port } = await start({ role: 'gateway', kind, port: server.port, ...keys })
      ways.push({ kind, port, gateway: child })
    }
    const results: Record<Kind, Figures[]> = { own: [], frames: [], raw: [] }
    for (let round = 0; round < rounds; round++)
      for (const way of round % 2 === 0 ? ways : ways.toReversed())
        results[way.kind].push(await figuresOf(way, seconds * 1000))
    return { load1: loadavg()[0], rounds, seconds, ...summary(results) }
  } finally {
    for (const child of children) child.kill()
  }
}

function summary(results: Record<Kind, Figures[]>): Record<string, unknown> {
  const rows = Object.keys(results.own[0] ?? {})
  return Object.fromEntries(
    rows.map((row) => {
      const of = (kind: Kind) => results[kind].map((figures) => figures[row] ?? NaN)
      const ratio = (kind: Kind) => median(of(kind).map((value, round) => value / (of('own')[round] ?? NaN)))
      return [
        row,
        {
          ...{ own: median(of('own')), frames: median(of('frames')), raw: median(of('raw')) },
          ...{ framesToOwn: ratio('frames'), rawToOwn: ratio('raw') },
        },
      ]
    }),
  )
}

async function figuresOf({ port, gateway }: Way, forMs: number): Promise<Figures> {
  const connect1 = await newConnections(port, 1, forMs)
  const connect32 = await newConnections(port, 32, forMs)
  const idle = await pingPong(port, forMs)
  const down1 = await bulk(port, 'd', 1, forMs)
  const beside = await besideBulk(port, forMs)
  return {
    connectsAtOnce1: connect1.perSecond,
    firstByteP50Ms: connect1.p50,
    connectsAtOnce32: connect32.perSecond,
    pingP50Us: idle.p50,
    pingP99Us: idle.p99,
    ...{ pingBesideBulkP50Us: beside.p50, pingBesideBulkP99Us: beside.p99, bulkBesidePingMBs: beside.MBs },
    downMBs: down1,
    down8MBs: await bulk(port, 'd', 8, forMs),
    upMBs: await bulk(port, 'u', 1, forMs),
    up8MBs: await bulk(port, 'u', 8, forMs),
    kibOfIdle: await idleMemory(port, gateway, 1000),
  }
}

async function open(port: number, first: string): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  socket.write(first)
  return socket
}

async function closeAll(sockets: readonly Socket[]): Promise<void> {
  for (const socket of sockets) {
    socket.destroy()
    if (!socket.closed) await once(socket, 'close')
  }
}

async function newConnections(port: number, atOnce: number, forMs: number) {
  const took: number[] = []
  const until = performance.now() + forMs
  const from = performance.now()
  const one = async (): Promise<void> => {
    while (performance.now() < until) {
      const begin = performance.now()
      const socket = await open(port, 'ex')
      await once(socket, 'data')
      took.push(performance.now() - begin)
      socket.end()
      await once(socket, 'close')
    }
  }
  await Promise.all(Array.from({ length: atOnce }, one))
  return { perSecond: tidy((took.length * 1000) / (performance.now() - from)), p50: quantile(took, 0.5) }
}

async function pingPong(port: number, forMs: number): Promise<{ p50: number; p99: number }> {
  const socket = await open(port, 'e')
  const took: number[] = []
  const until = performance.now() + forMs
  while (performance.now() < until) {
    const begin = performance.now()
    socket.write('x')
    await once(socket, 'data')
    took.push((performance.now() - begin) * 1000)
  }
  socket.destroy()
  return { p50: quantile(took, 0.5), p99: quantile(took, 0.99) }
}

async function bulk(port: number, what: 'd' | 'u', count: number, forMs: number): Promise<number> {
  const sockets = await Promise.all(Array.from({ length: count }, () => open(port, what)))
  let moved = 0
  for (const socket of sockets) {
    if (what === 'd') {
      socket.on('data', (bytes: Buffer) => (moved += bytes.length))
    } else {
      socket.on('data', (bytes: Buffer) => (moved += bytes.length * 16 * 1024 * 1024))
      const more = (): void => {
        while (!socket.destroyed && socket.write(PIECE));
      }
      socket.on('drain', more)
      more()
    }
  }
  await new Promise((resolve) => setTimeout(resolve, forMs / 4))
  const [before, from] = [moved, performance.now()]
  await new Promise((resolve) => setTimeout(resolve, forMs))
  const MBs = (moved - before) / 1000 / (performance.now() - from)
  await closeAll(sockets)
  return tidy(MBs)
}

/** Ping-pong first, then a bulk download that shares its tunnel or takes another. */
async function besideBulk(port: number, forMs: number) {
  const [ping, MBs] = await Promise.all([pingPong(port, forMs * 1.25), bulk(port, 'd', 1, forMs)])
  return { ...ping, MBs }
}

async function idleMemory(port: number, gateway: ChildProcess, count: number): Promise<number> {
  const usage = async (): Promise<number> => {
    gateway.send('usage')
    const [{ usage }] = (await once(gateway, 'message')) as [{ usage: number }]
    return usage
  }
  const before = await usage()
  const sockets: Socket[] = []
  for (let at = 0; at < count; at += 20)
    sockets.push(
      ...(await Promise.all(
        Array.from({ length: 20 }, async () => {
          const socket = await open(port, 'ex')
          await once(socket, 'data')
          return socket
        }),
      )),
    )
  const kib = ((await usage()) - before) / 1024 / count
  await closeAll(sockets)
  return tidy(kib)
}
