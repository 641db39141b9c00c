// Both ends of a tunnel in the test's own process, over TLS on loopback as in the product, and byte patterns that tell where a byte
// belongs. Used by tests/tunnel.
import { once } from 'node:events'
import net from 'node:net'
import type { Duplex } from 'node:stream'
import tls from 'node:tls'
import { linkOf, type Link } from '../../link/link.ts'
import { Tunnel, type TunnelSettings } from '../../link/tunnel/tunnel.ts'
import { createTestCa } from './certificates.ts'

/** No timer of these fires in a test that does not ask for it. */
export const CALM: TunnelSettings = { idleMs: 3_600_000, pingEveryMs: 3_600_000, pongWithinMs: 3_600_000 }

const ca = createTestCa()
const server = ca.issueServer()

export type TunnelPair = {
  /** The end that dialled. */
  near: Tunnel
  far: Tunnel
  /** The TLS connection below them, and the TCP connection below that. */
  nearSocket: tls.TLSSocket
  farSocket: tls.TLSSocket
  nearTransport: net.Socket
  farTransport: net.Socket
  /** Streams that were opened from the near end, in order. */
  accepted: { link: Link; alpn: string }[]
  /** Opens one; both its ends. */
  open: (alpn?: string) => Promise<{ here: Link; there: Link }>
  close: () => Promise<void>
}

/** The two ends of a TCP connection with TLS over it. */
export async function tlsPair() {
  const listener = net.createServer({ allowHalfOpen: true, noDelay: true })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = listener.address() as net.AddressInfo
  const nearTransport = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
  const [farTransport] = (await once(listener, 'connection')) as [net.Socket]
  listener.close()
  const half = { allowHalfOpen: true }
  const far = new tls.TLSSocket(farTransport, {
    ...half,
    isServer: true,
    cert: server.certPem,
    key: server.keyPem,
  })
  const near = tls.connect({
    ...half,
    socket: nearTransport,
    ca: ca.certPem,
    host: '127.0.0.1',
  } as tls.ConnectionOptions)
  for (const socket of [nearTransport, farTransport, near, far]) socket.on('error', () => undefined)
  await once(near, 'secureConnect')
  return { near, far, nearTransport, farTransport }
}

export async function tunnelPair(
  nearSettings: Partial<TunnelSettings> = {},
  farSettings: Partial<TunnelSettings> = {},
): Promise<TunnelPair> {
  const { near, far, nearTransport, farTransport } = await tlsPair()
  const accepted: TunnelPair['accepted'] = []
  const watchers = new Set<() => void>()
  let opened = 0
  const farEnd = new Tunnel({
    ...{ socket: far, transport: farTransport, settings: { ...CALM, ...farSettings } },
    onStream: (link, alpn) => {
      accepted.push({ link, alpn })
      for (const watch of [...watchers]) watch()
    },
  })
  const nearEnd = new Tunnel({ socket: near, transport: nearTransport, settings: { ...CALM, ...nearSettings } })
  return {
    near: nearEnd,
    far: farEnd,
    ...{ nearSocket: near, farSocket: far, nearTransport, farTransport, accepted },
    async open(alpn = 'echo') {
      const at = opened++
      const here = nearEnd.open(alpn)
      await new Promise<void>((resolve) => {
        const watch = (): void => {
          if (accepted.length <= at) return
          watchers.delete(watch)
          resolve()
        }
        watchers.add(watch)
        watch()
      })
      return { here, there: accepted[at]!.link }
    },
    async close() {
      nearEnd.destroy()
      farEnd.destroy()
      await Promise.all([nearEnd.closed, farEnd.closed])
    },
  }
}

/** Ends of a TCP connection, as links. */
export async function socketLinks(): Promise<[net.Socket, Link]> {
  const listener = net.createServer({ allowHalfOpen: true, noDelay: true })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = listener.address() as net.AddressInfo
  const outer = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
  const [inner] = (await once(listener, 'connection')) as [net.Socket]
  listener.close()
  outer.on('error', () => undefined)
  return [outer, linkOf(inner)]
}

/** Bytes of which each tells its place: a block that is lost, doubled or moved shows. @param from the place of the first one */
export function pattern(size: number, from: number, seed: number): Buffer {
  const bytes = Buffer.allocUnsafe(size)
  for (let at = 0; at < size; at++) {
    const place = from + at
    bytes[at] = (place ^ (place >>> 8) ^ (place >>> 16) ^ (place >>> 24)) + seed
  }
  return bytes
}

/** Writes that many bytes of the pattern in pieces of many sizes, waiting where it has to, and ends. */
export async function writePattern(stream: Duplex, size: number, seed: number): Promise<void> {
  for (let at = 0, turn = 0; at < size; turn++) {
    const piece = pattern(Math.min(size - at, 1 + ((turn * 7919) % 70_000)), at, seed)
    at += piece.length
    if (!stream.write(piece)) await once(stream, 'drain')
  }
  stream.end()
}

/** Reads to the end; how many bytes came as they were written, and whether all did. @param pauses so often it stops for a moment */
export async function readPattern(
  stream: Duplex,
  seed: number,
  pauses = 0,
): Promise<{ size: number; isWhole: boolean }> {
  let size = 0
  let isWhole = true
  let sincePause = 0
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    isWhole &&= chunk.equals(pattern(chunk.length, size, seed))
    size += chunk.length
    sincePause += chunk.length
    if (pauses === 0 || sincePause < pauses) continue
    sincePause = 0
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  return { size, isWhole }
}

/** All that comes until the end, as text. */
export async function readAll(stream: Duplex): Promise<string> {
  const parts: Buffer[] = []
  for await (const chunk of stream as AsyncIterable<Buffer>) parts.push(chunk)
  return Buffer.concat(parts).toString()
}
