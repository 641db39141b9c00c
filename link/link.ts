// Link: the duplex byte channel that gateways and engines are given, whatever carries the bytes (a socket, TLS, later a
// multiplexed tunnel or an agent's stream). Half-close is kept, back-pressure is the stream's.
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { carry, counting } from './carry.ts'

export interface Link {
  /** The bytes. `end()` on it is a half-close; whoever owns the link destroys it. */
  readonly stream: Duplex
  /** Resolves, never rejects, when both directions are over and the resource is released. */
  readonly closed: Promise<void>
  /**
   * Copies both directions until both are over. An end on one side half-closes the other; an error on either resets
   * both, so that what was broken off does not look finished. Resolves when both links are closed; never rejects (the error is in `cause`).
   * @param progress is added to as bytes move
   * @param forwardFrom until it resolves, nothing is taken from this link: somebody else reads the first bytes of its stream, and
   * has written what is to go on to the other's by then. What comes the other way flows from the start.
   */
  pumpTo(other: Link, progress?: PumpProgress, forwardFrom?: Promise<void>): Promise<PumpOutcome>
  /** Now: drops the bytes that wait. Idempotent. */
  destroy(error?: Error): void
  /**
   * Now, and the other end sees an error instead of an end (TCP RST), where what carries the bytes knows such a thing. A TLS
   * connection that is merely closed looks like a good end to Node's side of it, close_notify or not.
   */
  reset(): void
}

export type PumpOutcome = { cause: Error | undefined }

/**
 * What a pump has moved, in bytes: `forward` from the link to the other, `backward` the other way. Whoever wants to know whether
 * a connection is active looks whether these have grown; nobody is called for each piece.
 */
export type PumpProgress = { forward: number; backward: number }

/** An error that comes while nobody pumps must not end the process; whoever waits on `closed` learns of the end. */
const noted = (): void => undefined

/**
 * A Link on any Node duplex (TCP or Unix socket, TLS socket). The stream must have been made with `allowHalfOpen`.
 * @param transport the TCP socket below it, if that is another one (TLS)
 */
export const linkOf = (stream: Duplex, transport: Duplex = stream): Link => new StreamLink(stream, transport)

/** A thousand of these lie idle for hours: what each keeps, counts. */
class StreamLink implements Link {
  readonly stream: Duplex
  readonly #transport: Duplex
  #closed: Promise<void> | undefined
  #isResetting = false

  constructor(stream: Duplex, transport: Duplex) {
    this.stream = stream
    this.#transport = transport
    stream.on('error', noted)
  }

  get closed(): Promise<void> {
    const { stream } = this
    return (this.#closed ??= stream.closed
      ? Promise.resolve()
      : new Promise((resolve) => void stream.once('close', resolve)))
  }

  pumpTo(other: Link, progress?: PumpProgress, forwardFrom?: Promise<void>): Promise<PumpOutcome> {
    return pumpBetween(this, other, progress, forwardFrom)
  }

  destroy(error?: Error): void {
    if (!this.#isResetting) this.stream.destroy(error)
  }

  reset(): void {
    if (this.#isResetting) return
    if (this.#transport === this.stream) {
      this.#resetNow()
      return
    }
    this.#isResetting = true
    // Not inside a callback of TLS, where this may have been called from: taking its transport away there crashes Node 24.
    setImmediate(() => this.#resetNow())
  }

  #resetNow(): void {
    const { stream } = this
    const transport = this.#transport
    // While a FIN is on its way the system resets nothing, and Node would then never say that the socket is closed.
    const isEnding = stream.writableEnded && !stream.writableFinished
    if (!stream.destroyed && !isEnding) resetTransport(transport)
    // TLS hears of its end from its transport, and is not pulled away from under it.
    if (transport === stream || isEnding || transport.closed) stream.destroy()
    else transport.once('close', () => stream.destroy())
  }
}

function resetTransport(transport: Duplex): void {
  // A stream of a tunnel can be reset as a socket can.
  if (!('resetAndDestroy' in transport) || transport.destroyed) return
  try {
    ;(transport as Socket).resetAndDestroy()
  } catch {
    // Not on TCP (a Unix socket, TLS on its own): closing is all there is.
    transport.destroy()
  }
}

async function pumpBetween(
  a: Link,
  b: Link,
  progress: PumpProgress = { forward: 0, backward: 0 },
  forwardFrom?: Promise<void>,
): Promise<PumpOutcome> {
  const there = (): void => carryIfOpen(a, b, (bytes) => (progress.forward += bytes))
  if (forwardFrom) void forwardFrom.then(there)
  else there()
  carryIfOpen(b, a, (bytes) => (progress.backward += bytes))
  const cause = await untilOver(a.stream, b.stream)
  // A broken direction takes the other with it.
  if (cause) {
    a.reset()
    b.reset()
  }
  a.destroy()
  b.destroy()
  await Promise.all([a.closed, b.closed])
  return { cause }
}

function carryIfOpen(from: Link, to: Link, count: (bytes: number) => void): void {
  if (!from.stream.destroyed) carry(from.stream, to.stream, counting(to.stream, count))
  // It said all, and heard all, while somebody else read its first bytes.
  else if (from.stream.readableEnded) to.stream.end()
}

/**
 * Until both have ended and said everything that was written to them, or one of them breaks; resolves with the error then. Less than
 * a `finished` of Node for each direction: that keeps some forty objects for a stream.
 */
function untilOver(a: Duplex, b: Duplex): Promise<Error | undefined> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (isOver(a) && isOver(b)) resolve(undefined)
    }
    const onClose = (): void => {
      const broken = [a, b].find((stream) => stream.closed && !isOver(stream))
      if (broken) resolve(broken.errored ?? new Error('the connection was closed before its end'))
    }
    for (const stream of [a, b]) {
      stream.on('end', look).on('finish', look).on('close', onClose).on('error', resolve)
      // What was closed before says nothing any more.
      if (stream.closed) process.nextTick(onClose)
    }
    process.nextTick(look)
  })
}

const isOver = (stream: Duplex): boolean => stream.readableEnded && stream.writableFinished
