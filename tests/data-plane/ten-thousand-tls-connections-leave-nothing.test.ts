// Ten thousand connections with a TLS connection each, as a gateway dials them with session tickets, that end or are broken off by either
// side: none leaves a handle at the gateway's end or the access server's. Over tunnels: connections-over-a-tunnel-….test.ts.
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { createSecureContext, createServer as createTlsServer, type TLSSocket } from 'node:tls'
import { afterEach, expect, it } from 'vitest'
import { parseAddress } from '../../client/cluster/address.ts'
import { connectTls } from '../../client/cluster/tls.ts'
import { linkOf } from '../../link/link.ts'
import { ALPN } from '../../shared/names.ts'
import { createTestCa } from '../support/certificates.ts'
import { LivingTimers } from '../support/living-timers.ts'
import { until } from '../support/run.ts'

const TIMEOUT_MS = 600_000
const CONNECTIONS = 10_000
const AT_ONCE = 40

const listeners: Server[] = []
async function listen(server: Server): Promise<number> {
  listeners.push(server)
  server.listen({ port: 0, host: '127.0.0.1', backlog: 1024 })
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}
afterEach(() => {
  for (const server of listeners.splice(0)) server.close()
})

const openHandles = (): number =>
  process.getActiveResourcesInfo().filter((kind) => /TCP|TLS|Timeout|Immediate/i.test(kind)).length

const byPort = (port: number): Socket => {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
  return socket.on('error', () => undefined)
}

/** What is asked for in the first byte: an answer and no more, a reset, an answer with the end behind it. */
type Ending = 'near ends' | 'far ends' | 'near resets' | 'far resets'
const ENDINGS: readonly Ending[] = ['near ends', 'far ends', 'near resets', 'far resets']

/** The target: does what the client says. */
function target(): Server {
  return createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    socket.on('error', () => undefined)
    socket.once('data', (said: Buffer) => {
      const ending = ENDINGS[Number(said.toString())]
      if (ending === 'far resets') socket.resetAndDestroy()
      else if (ending === 'far ends') socket.resume().end('answer')
      else
        socket
          .resume()
          .once('end', () => socket.end())
          .write('answer')
    })
  })
}

it(
  'G1: 10,000 connects and closes with a TLS connection each leave no handle and no timer',
  { timeout: TIMEOUT_MS },
  async () => {
    using timers = new LivingTimers()
    const ca = createTestCa()
    const { certPem, keyPem } = ca.issueServer()
    const targetPort = await listen(target())
    let pumping = 0
    let resumed = 0
    const transports = new Map<number, Socket>()
    const tls = createTlsServer({ cert: certPem, key: keyPem, minVersion: 'TLSv1.3', ALPNProtocols: [ALPN.tcp] })
    tls.on('tlsClientError', () => undefined)
    tls.on('secureConnection', (socket: TLSSocket) => {
      if (socket.isSessionReused()) resumed += 1
      const there = byPort(targetPort)
      const [a, b] = [linkOf(socket, transports.get(socket.remotePort ?? 0)), linkOf(there)]
      pumping += 1
      there.once('connect', () => void a.pumpTo(b).then(() => (pumping -= 1)))
    })
    const serverPort = await listen(
      createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, (socket) => {
        const remote = socket.remotePort ?? 0
        transports.set(remote, socket)
        socket.on('error', () => undefined).once('close', () => transports.delete(remote))
        tls.emit('connection', socket)
        socket.resume()
      }),
    )
    const address = parseAddress(`127.0.0.1:${serverPort}`)
    const context = createSecureContext({ ca: ca.certPem, minVersion: 'TLSv1.3' })
    const gatewayPort = await listen(
      createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
        pumping += 1
        const here = linkOf(socket)
        const signal = AbortSignal.timeout(TIMEOUT_MS)
        connectTls({ address, alpn: ALPN.tcp, context, signal, isResumable: true })
          .then((dialed) => here.pumpTo(linkOf(dialed.socket, dialed.transport)))
          .catch(() => here.reset())
          .finally(() => (pumping -= 1))
      }),
    )

    /** How it ended for the client. */
    async function connectAndClose(ending: Ending): Promise<string> {
      const near = byPort(gatewayPort)
      const closed = once(near, 'close').catch(() => once(near, 'close'))
      let heard = ''
      let outcome = 'no end'
      near.once('end', () => (outcome = 'end')).once('error', () => (outcome = 'reset'))
      near.write(String(ENDINGS.indexOf(ending)))
      near.on('data', (bytes: Buffer) => {
        heard += bytes.toString()
        if (heard !== 'answer') return
        if (ending === 'near resets') near.resetAndDestroy()
        else near.end()
      })
      await closed
      return `${heard || 'nothing'}, ${outcome}`
    }

    const before = openHandles()
    const outcomes = new Map<string, number>()
    for (let round = 0; round < CONNECTIONS / AT_ONCE; round++)
      await Promise.all(
        Array.from({ length: AT_ONCE }, async (_, at) => {
          const ending = ENDINGS[at % ENDINGS.length]!
          const key = `${ending}: ${await connectAndClose(ending)}`
          outcomes.set(key, (outcomes.get(key) ?? 0) + 1)
        }),
      )
    const each = CONNECTIONS / ENDINGS.length
    expect(Object.fromEntries(outcomes)).toEqual({
      'near ends: answer, end': each,
      'far ends: answer, end': each,
      'near resets: answer, no end': each,
      'far resets: nothing, reset': each,
    })
    // Both kinds of handshakes were among them.
    expect(resumed).toBeGreaterThan(CONNECTIONS / 10)
    expect(resumed).toBeLessThan(CONNECTIONS)
    await until(() => pumping === 0 && transports.size === 0, 'the connections to be over', 30_000)
    await until(() => openHandles() <= before, 'the handles to be gone', 30_000)
    await expect.poll(() => timers.places()).toEqual([])
  },
)
