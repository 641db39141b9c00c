// Ways for bytes that tests put under load: a path connects two ends with everything that it tests between them. The ways of the
// pump are here, each with plain TCP or TLS on either side; others are made by whoever tests them (Path). And the load itself: a
// pattern of bytes that any loss, doubling or swap breaks, readers and writers that are slow.
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { duplexPair, type Duplex } from 'node:stream'
import { connect as connectTls, createSecureContext, TLSSocket } from 'node:tls'
import { listenOnUnixSocket } from '../../client/gateways/unix-listener.ts'
import { linkOf, type Link, type PumpOutcome, type PumpProgress } from '../../link/link.ts'
import { createTestCa } from './certificates.ts'

/** Both ends of a connection, with half-close. Errors are theirs to look at; none ends the process. */
export type Ends = {
  near: Duplex
  far: Duplex
  /** Breaks off now, so that the other end sees an error. */
  resetNear: () => void
  resetFar: () => void
}

/** A way for bytes; each call connects anew. */
export type Path = () => Promise<Ends>

/** What a pump between two connections has: both ends, and what is between them. */
export type PumpedEnds = Ends & { progress: PumpProgress; pumped: Promise<PumpOutcome> }

type Side = { end: Duplex; reset: () => void; link: Link }
/** One connection: its far end, and the link that is pumped. */
export type MakeSide = () => Promise<Side>

/** The way between two connections with a pump in between. @param prepare may change the links before the pump begins */
export const pumpedPath =
  (a: MakeSide, b: MakeSide, prepare: (ends: Ends, links: [Link, Link]) => Promise<void> | void = () => undefined) =>
  async (): Promise<PumpedEnds> => {
    const [left, right] = await Promise.all([a(), b()])
    const ends = { near: left.end, far: right.end, resetNear: left.reset, resetFar: right.reset }
    await prepare(ends, [left.link, right.link])
    const progress = { forward: 0, backward: 0 }
    return { ...ends, progress, pumped: left.link.pumpTo(right.link, progress) }
  }

/** Two ends of one TCP connection over loopback. */
export async function tcpPair(): Promise<[Socket, Socket]> {
  const server = createServer({ allowHalfOpen: true, noDelay: true })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const client = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
  const [accepted] = (await once(server, 'connection')) as [Socket]
  server.close()
  for (const socket of [client, accepted]) socket.on('error', () => undefined)
  return [client, accepted]
}

export const tcpSide: MakeSide = async () => {
  const [end, here] = await tcpPair()
  return { end, reset: () => void end.resetAndDestroy(), link: linkOf(here) }
}

/** A client of a gateway's Unix socket. There is no RST on one: whoever breaks off just closes. */
export const unixSide: MakeSide = async () => {
  const dir = await mkdtemp(join(tmpdir(), 'postern-side-'))
  try {
    const path = join(dir, 's')
    const accepting = Promise.withResolvers<Socket>()
    const listener = await listenOnUnixSocket(path, accepting.resolve)
    const end = connect({ path, allowHalfOpen: true })
    end.on('error', () => undefined)
    const here = await accepting.promise
    listener.stop()
    return { end, reset: () => void end.destroy(), link: linkOf(here) }
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

const ca = createTestCa()
const { certPem, keyPem } = ca.issueServer()
const serverContext = createSecureContext({ cert: certPem, key: keyPem, minVersion: 'TLSv1.3' })
const clientContext = createSecureContext({ ca: ca.certPem, minVersion: 'TLSv1.3' })

/** A TLS connection; the pump is at its client's end or at its server's. */
export const tlsSide =
  (pumped: 'client' | 'server'): MakeSide =>
  async () => {
    const [below, belowServer] = await tcpPair()
    const server = new TLSSocket(belowServer, { isServer: true, secureContext: serverContext })
    const options = { socket: below, host: '127.0.0.1', secureContext: clientContext, allowHalfOpen: true }
    const client = connectTls(options)
    for (const socket of [client, server]) socket.on('error', () => undefined)
    await Promise.all([once(client, 'secureConnect'), once(server, 'secure')])
    const [end, endTransport, here, transport] =
      pumped === 'client' ? [server, belowServer, client, below] : [client, below, server, belowServer]
    const endLink = linkOf(end, endTransport)
    return { end, reset: () => endLink.reset(), link: linkOf(here, transport) }
  }

/** No socket at all. */
export const streamSide: MakeSide = () => {
  const [end, here] = duplexPair({ allowHalfOpen: true })
  for (const stream of [end, here]) stream.on('error', () => undefined)
  const link = linkOf(here)
  // An end that is broken off takes the other with it, as a reset would.
  end.once('close', () => (end.errored ? link.destroy(end.errored) : undefined))
  here.once('close', () =>
    here.readableEnded && here.writableFinished
      ? undefined
      : end.destroy(Object.assign(new Error('reset'), { code: 'ECONNRESET' })),
  )
  return Promise.resolve({ end, reset: () => void end.destroy(new Error('broken off')), link })
}

/** A link whose handle takes no buffers, as it would be where Node has changed. */
export function hideHandle({ stream }: Pick<Link, 'stream'>): void {
  const handle: unknown = Reflect.get(stream, '_handle')
  if (typeof handle !== 'object' || handle === null) throw new Error('this link has no handle to hide')
  Reflect.set(handle, 'useUserBuffer', undefined)
}

/** Not a multiple of anything that carries bytes, so a record more, less or elsewhere changes what comes. */
const PERIOD = 1_000_003
const patternOf = (seed: number): Buffer => {
  const bytes = Buffer.allocUnsafeSlow(2 * PERIOD)
  let state = seed * 2_654_435_761 + 1
  for (let at = 0; at < PERIOD; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    bytes[at] = state >>> 24
  }
  bytes.copy(bytes, PERIOD, 0, PERIOD)
  return bytes
}
const patterns = new Map<number, Buffer>()
function pattern(seed: number): Buffer {
  const known = patterns.get(seed) ?? patternOf(seed)
  patterns.set(seed, known)
  return known
}

export type Load = {
  bytes: number
  /** Which pattern. */
  seed: number
  /** After so many bytes the writer, the reader, takes a rest. */
  writerRests?: number
  readerRests?: number
  /** The writer's second half is not begun before. */
  halfTime?: Promise<unknown>
  /**
   * Only in phases, so that a gigabyte with slow ends comes to an end: the reader rests in the first `slow` of each `of` bytes, the
   * writer in as many from the middle on; in between both are as fast as they can be, and what lies in buffers drains.
   */
  phases?: { slow: number; of: number }
}

/** How long a slow reader or writer rests, in ms. */
const REST_MS = 20
/** What a writer writes at a time, in bytes: single bytes, less than a record, just one, more than any buffer. */
const PIECES = [1, 300, 4_096, 16_384, 16_385, 65_536, 300_000, 262_144, 700_000]

/** @param from where in each `of` bytes the slow ones begin */
const isSlow = (at: number, from: number, { slow, of } = { slow: 1, of: 1 }): boolean => (at + of - from) % of < slow

/** Writes a load with back-pressure and ends. */
export async function writeLoad(
  to: Duplex,
  { bytes, seed, writerRests = Number.POSITIVE_INFINITY, halfTime, phases }: Load,
): Promise<void> {
  const block = pattern(seed)
  let rested = 0
  let isHalf = false
  for (let at = 0, piece = 0; at < bytes; piece++) {
    const size = Math.min(PIECES[piece % PIECES.length]!, bytes - at)
    if (!to.write(block.subarray(at % PERIOD, (at % PERIOD) + size))) await once(to, 'drain')
    at += size
    if (!isHalf && at >= bytes / 2) {
      isHalf = true
      await halfTime
    }
    if (at - rested < writerRests || !isSlow(at, phases ? phases.of / 2 : 0, phases)) continue
    rested = at
    await rest()
  }
  to.end()
}

/** Reads to the end. @returns how many bytes came; throws at the first that is not what was written */
export async function readLoad(
  from: Duplex,
  { seed, readerRests = Number.POSITIVE_INFINITY, phases }: Load,
): Promise<number> {
  const block = pattern(seed)
  let at = 0
  let rested = 0
  for await (const chunk of from as AsyncIterable<Buffer>) {
    for (let within = 0; within < chunk.length;) {
      const size = Math.min(PERIOD, chunk.length - within)
      const offset = at % PERIOD
      if (chunk.compare(block, offset, offset + size, within, within + size) !== 0)
        throw new Error(`what came at ${at} of ${size} bytes is not what was sent`)
      within += size
      at += size
    }
    if (at - rested < readerRests || !isSlow(at, 0, phases)) continue
    rested = at
    await rest()
  }
  return at
}

const rest = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, REST_MS))

/** Both directions at once, to their ends. @returns what came far and near, in bytes */
export async function exchange({ near, far }: Ends, up: Load, down: Load): Promise<[number, number]> {
  const [there, back] = await Promise.all([
    readLoad(far, up),
    readLoad(near, down),
    writeLoad(near, up),
    writeLoad(far, down),
  ])
  return [there, back]
}
