// How a gateway uses tunnels: how many it dials, when it shares, what it does where there are none, and what a swap of the
// certificate changes. Real TLS and a server that counts handshakes; behind each connection is an echo.
import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import net from 'node:net'
import tls from 'node:tls'
import { pino } from 'pino'
import { afterEach, describe, expect, it } from 'vitest'
import { parseAddress } from '../../client/cluster/address.ts'
import { dialRoute, type DialedRoute } from '../../client/cluster/dial.ts'
import { buildKeyedCertificate } from '../../client/cluster/keyed-certificate.ts'
import { RouteTunnels, unknownTunnelSupport } from '../../client/cluster/route-tunnels.ts'
import { linkOf, type Link } from '../../link/link.ts'
import { encodePreamble } from '../../link/preamble.ts'
import { Tunnel } from '../../link/tunnel/tunnel.ts'
import { ALPN, type Alpn } from '../../shared/names.ts'
import { createTestCa } from '../support/certificates.ts'
import { waitUntil } from '../support/client-core.ts'
import { startWay } from '../support/network-between.ts'
import { readLoad, writeLoad } from '../support/pumped-paths.ts'
import { CALM } from '../support/tunnel-pair.ts'

const ca = createTestCa()
const HOUR_MS = 3_600_000

function newCertificate(routeId: string) {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const uri = `spiffe://test/user/alice/login/l/route/${routeId}`
  const certificatePem = ca.issueClient(uri, publicKey, new Date(Date.now() - HOUR_MS), new Date(Date.now() + HOUR_MS))
  const keyPem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  return buildKeyedCertificate({ certificatePem, keyPem, caPems: [ca.certPem] }, 'route')
}

class EchoServer {
  /** ALPN names of the handshakes, in order. */
  readonly handshakes: string[] = []
  /** Of the same ones: whose certificate it saw (SHA-256), and whether a session was resumed. */
  readonly seen: { certificate: string; isResumed: boolean }[] = []
  readonly tunnels: Tunnel[] = []
  readonly sockets = new Set<net.Socket>()
  knowsTunnels = true
  /** What happens to a stream or a connection. */
  serve = (link: Link, alpn: string): void => {
    const serverTime = new Date().toISOString()
    link.stream.write(encodePreamble({ ok: { version: 1, sessionId: alpn, serverTime } }))
    link.stream.pipe(link.stream)
  }
  readonly #tls = tls.createServer(
    {
      ...{ cert: ca.issueServer().certPem, minVersion: 'TLSv1.3', requestCert: true, rejectUnauthorized: false },
      ca: ca.certPem,
      ALPNCallback: ({ protocols: [name = ''] }) => (name === ALPN.tunnel && !this.knowsTunnels ? undefined : name),
    },
    (socket) => {
      this.handshakes.push(String(socket.alpnProtocol))
      this.seen.push({
        certificate: socket.getPeerCertificate().fingerprint256,
        isResumed: socket.isSessionReused(),
      })
      const transport = [...this.sockets].find(({ remotePort }) => remotePort === socket.remotePort)!
      if (socket.alpnProtocol !== ALPN.tunnel) this.serve(linkOf(socket, transport), String(socket.alpnProtocol))
      else
        this.tunnels.push(
          new Tunnel({ socket, transport, settings: CALM, onStream: (link, alpn) => this.serve(link, alpn) }),
        )
    },
  )
  readonly #server = net.createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, (socket) => {
    this.sockets.add(socket)
    socket.on('error', () => undefined).once('close', () => this.sockets.delete(socket))
    this.#tls.emit('connection', socket)
    socket.resume()
  })

  async start(): Promise<number> {
    const { certPem, keyPem } = ca.issueServer()
    this.#tls.setSecureContext({ cert: certPem, key: keyPem, ca: ca.certPem, minVersion: 'TLSv1.3' })
    this.#tls.on('tlsClientError', () => undefined)
    this.#server.listen({ port: 0, host: '127.0.0.1', backlog: 1024 })
    await once(this.#server, 'listening')
    return (this.#server.address() as net.AddressInfo).port
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    for (const socket of this.sockets) socket.destroy()
    await closed
  }
}

let routes = 0
const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

async function newGateway(prepare: (server: EchoServer) => void = () => undefined) {
  const server = new EchoServer()
  prepare(server)
  const way = await startWay(await server.start())
  closing.push(() => way.close())
  const cluster = { address: parseAddress(way.address), caPems: [ca.certPem] }
  closing.push(() => server.close())
  let now = 0
  const support = unknownTunnelSupport()
  const log = pino({ level: 'silent' })
  const tunnels = new RouteTunnels({ support, now: () => now, log, settings: CALM })
  closing.push(() => tunnels.close())
  const routeId = `r-${++routes}`
  const gateway = {
    ...{ server, way, tunnels, cluster, certificate: newCertificate(routeId) },
    swap: () => (gateway.certificate = newCertificate(routeId)),
    later: (ms: number) => (now += ms),
    dial: (alpn: Alpn = ALPN.tcp, signal = AbortSignal.timeout(60_000)): Promise<DialedRoute> =>
      dialRoute({ cluster, alpn, certificate: gateway.certificate, tunnels, noteServerTime: () => undefined, signal }),
  }
  return gateway
}

async function expectEcho({ link }: DialedRoute, text: string): Promise<void> {
  link.stream.write(text)
  expect(String((await once(link.stream, 'data', { signal: AbortSignal.timeout(30_000) }))[0])).toBe(text)
}
async function finish({ link }: DialedRoute): Promise<void> {
  link.stream.resume().end()
  await link.closed
}
const only = (names: readonly string[], name: string): number => names.filter((one) => one === name).length

const fingerprintOf = ({ certificatePem }: { certificatePem: string }): string =>
  new X509Certificate(certificatePem).fingerprint256

describe('C4, G1: a TLS session is resumed with the certificate that it began with, and with no other', () => {
  it('the first tunnel after a swap begins anew, later ones of the same certificate do not', async () => {
    const { dial, swap, server } = await newGateway()
    await dial()
    await waitUntil(() => server.tunnels.length === 2, 'one was dialled ahead')
    swap()
    await dial()
    await waitUntil(() => server.tunnels.length === 4, 'one was dialled ahead with the new certificate')
    expect(server.handshakes).toEqual(Array(4).fill(ALPN.tunnel))
    expect(server.seen.map(({ isResumed }) => isResumed)).toEqual([false, true, false, true])
  })

  it.each([
    ['tunnels', true],
    ['connections of their own', false],
  ])('two that are alive at once share none, with %s', async (_, knowsTunnels) => {
    const gateway = await newGateway((one) => (one.knowsTunnels = knowsTunnels))
    const { server, dial } = gateway
    const one = gateway.certificate
    const other = gateway.swap()
    for (const [at, certificate] of [one, other, one, other].entries()) {
      gateway.certificate = certificate
      await expectEcho(await dial(), 'hello')
      // A dial that the next certificate breaks off might have taken a ticket with it, or not.
      if (knowsTunnels) await waitUntil(() => server.tunnels.length === 2 * (at + 1), 'one was dialled ahead')
    }
    for (const certificate of [one, other]) {
      const ofIt = server.seen.filter((seen) => seen.certificate === fingerprintOf(certificate))
      // A whole handshake gives two tickets, one that resumed gives none: what is dialled ahead at last finds none.
      const wanted = knowsTunnels ? [false, true, true, false] : [false, true]
      expect(ofIt.map(({ isResumed }) => isResumed)).toEqual(wanted)
    }
  })

  it('each has one TLS context as long as it trusts the same CAs, and shares it with no other', async () => {
    const { certificate, cluster, swap } = await newGateway()
    const context = certificate.contextFor(cluster.caPems)
    expect(certificate.contextFor(cluster.caPems)).toBe(context)
    expect(swap().contextFor(cluster.caPems)).not.toBe(context)
    expect(certificate.contextFor([...cluster.caPems])).not.toBe(context)
  })
})

describe('G1: the connections of a gateway', () => {
  it('one after the other use the same tunnels again', async () => {
    const { dial, server } = await newGateway()
    for (let at = 0; at < 20; at++) {
      const dialed = await dial()
      expect(dialed.sessionId).toBe(ALPN.tcp)
      await expectEcho(dialed, `hello ${at}`)
      await finish(dialed)
    }
    // The first, and the one that was dialled ahead when it was taken.
    expect(server.handshakes.length).toBeLessThanOrEqual(2)
    expect(only(server.handshakes, ALPN.tunnel)).toBe(server.handshakes.length)
  })

  it('that come 300 at once cost sixteen handshakes', async () => {
    const { dial, server } = await newGateway()
    const dialed = await Promise.all(Array.from({ length: 300 }, () => dial()))
    await Promise.all(dialed.map((one, at) => expectEcho(one, `I am ${at}`)))
    expect(server.handshakes).toEqual(Array.from({ length: 16 }, () => ALPN.tunnel))
    expect(Math.max(...server.tunnels.map(({ size }) => size))).toBeLessThan(150)
    await Promise.all(dialed.map(finish))
  })

  it('have a tunnel each while they are few', async () => {
    const { dial, server } = await newGateway()
    const dialed: DialedRoute[] = []
    for (let at = 1; at <= 3; at++) {
      dialed.push(await dial())
      await waitUntil(() => server.tunnels.length > at, 'the next one is dialled ahead')
    }
    expect(server.tunnels.map(({ size }) => size)).toEqual([1, 1, 1, 0])
    await Promise.all(dialed.map(finish))
  })

  it('share a tunnel while short ones come and go fast, but none with bulk, and have one each again after a pause', async () => {
    const { dial, later, server } = await newGateway()
    const comeAndGo = async (): Promise<void> => {
      for (let at = 0; at < 16; at++) await finish(await dial())
    }
    const dialFew = async (): Promise<DialedRoute[]> => [await dial(), await dial(), await dial()]
    const sizes = (): number[] => server.tunnels.map(({ size }) => size).filter((size) => size > 0)
    later(1)
    await comeAndGo()
    const together = await dialFew()
    expect(sizes()).toEqual([3])
    await Promise.all(together.map(finish))

    const bulk = await dial()
    bulk.link.stream.resume().write(Buffer.alloc(100 * 1024))
    await waitUntil(() => server.tunnels.some(({ most }) => most > 100 * 1024), 'it has moved much')
    const beside = await dialFew()
    expect(sizes().sort()).toEqual([1, 3])
    await Promise.all([bulk, ...beside].map(finish))

    await comeAndGo()
    later(1000)
    const apart = await dialFew()
    expect(sizes()).toEqual([1, 1, 1])
    await Promise.all(apart.map(finish))
  })

  it('G12: go over tunnels of the new certificate after a swap; what runs on the old ones goes on, and they close', async () => {
    const { dial, swap, server } = await newGateway()
    const running = await dial()
    await waitUntil(() => server.tunnels.length === 2, 'one was dialled ahead')
    const old = [...server.tunnels]
    swap()
    const fresh = await dial()
    await expectEcho(fresh, 'new')
    expect(server.tunnels.length).toBeGreaterThan(2)
    await expectEcho(running, 'still here')
    await waitUntil(() => old.filter(({ size }) => size > 0).length === 1, 'the free one closes')
    await finish(running)
    expect(await Promise.all(old.map(({ closed }) => closed))).toEqual([undefined, undefined])
    await expectEcho(fresh, 'goes on')
  })

  it('G12: that have left the frames go on whole over a swap', async () => {
    const { dial, swap, server } = await newGateway()
    const swapped = Promise.withResolvers<true>()
    const load = { bytes: 8_000_000, seed: 81, halfTime: swapped.promise }
    const running = await Promise.all([dial(), dial()])
    const done = Promise.all(
      running.map(
        async ({ link: { stream } }) => (await Promise.all([readLoad(stream, load), writeLoad(stream, load)]))[0],
      ),
    )
    const isRaw = ({ isOpen, size }: Tunnel): boolean => !isOpen && size === 1
    await waitUntil(() => server.tunnels.filter(isRaw).length === running.length, 'both to be raw')
    swap()
    const fresh = await dial()
    await expectEcho(fresh, 'new')
    swapped.resolve(true)
    await expectEcho(fresh, 'beside what is old')
    expect(await done).toEqual([load.bytes, load.bytes])
    expect(server.tunnels.filter(isRaw)).toEqual([])
  })

  it('have a TLS connection each where the server knows no tunnels, which is asked once in a while', async () => {
    const { dial, later, server } = await newGateway((one) => (one.knowsTunnels = false))
    for (const dialed of [await dial(), await dial()]) await expectEcho(dialed, 'as ever')
    expect(server.handshakes).toEqual([ALPN.tcp, ALPN.tcp])
    server.knowsTunnels = true
    await dial()
    expect(server.handshakes).toEqual([ALPN.tcp, ALPN.tcp, ALPN.tcp])
    later(11 * 60_000)
    await dial()
    expect(server.handshakes.slice(3, 4)).toEqual([ALPN.tunnel])
  })

  it('find another way when the server takes no more streams on the tunnel that was up', async () => {
    const { dial, server } = await newGateway()
    await finish(await dial())
    for (const tunnel of server.tunnels) tunnel.drain()
    const dialed = await dial()
    await expectEcho(dialed, 'there is always a way')
  })

  it('find another way when the tunnel that was up is silent, as after a sleep', async () => {
    const { dial, server, way } = await newGateway()
    await finish(await dial())
    await waitUntil(() => server.tunnels.length === 2, 'one was dialled ahead')
    way.swallow()
    const dialed = await dial()
    await expectEcho(dialed, 'on a connection of its own')
    expect(server.handshakes.at(-1)).toBe(ALPN.tcp)
  })

  it('find another way when a stream is broken off before the server said anything of it', async () => {
    const { dial, server } = await newGateway()
    const { serve } = server
    server.serve = (link) => {
      server.serve = serve
      link.reset()
    }
    await expectEcho(await dial(), 'the second time')
    expect(server.handshakes.at(-1)).toBe(ALPN.tcp)
  })

  it('DB1: cancel requests take a tunnel that is up, and otherwise wait for none', async () => {
    const { dial, server } = await newGateway()
    expect((await dial(ALPN.postgresCancel)).sessionId).toBe(ALPN.postgresCancel)
    expect(server.handshakes).toEqual([ALPN.postgresCancel])
    await dial()
    await waitUntil(() => server.tunnels.length === 2, 'one was dialled ahead')
    expect((await dial(ALPN.postgresCancel)).sessionId).toBe(ALPN.postgresCancel)
    expect(only(server.handshakes, ALPN.postgresCancel)).toBe(1)
  })

  it('S10: leave the wait at once when their client goes', async () => {
    const { dial } = await newGateway((one) => (one.serve = () => undefined))
    const gone = new AbortController()
    const dialing = dial(ALPN.tcp, gone.signal)
    setTimeout(() => gone.abort(new Error('the client hung up')), 20)
    await expect(dialing).rejects.toThrow('the client hung up')
  })

  it('G7: say that the server cannot be reached, all at once', async () => {
    const { dial, way } = await newGateway()
    await way.close()
    const outcomes = await Promise.allSettled(Array.from({ length: 50 }, () => dial()))
    for (const outcome of outcomes)
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'server_unreachable' } })
  })
})
