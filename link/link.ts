// Link: the duplex byte channel that gateways and engines are given, whatever carries the bytes (a socket, TLS, later a
// multiplexed tunnel or an agent's stream). Half-close is kept, back-pressure is the stream's.
import type { Socket } from 'node:net'
import { finished } from 'node:stream/promises'
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

/**
 * A Link on any Node duplex (TCP or Unix socket, TLS socket). The stream must have been made with `allowHalfOpen`.
 * @param transport the TCP socket below it, if that is another one (TLS)
 */
export function linkOf(stream: Duplex, transport: Duplex = stream): Link {
  const closed = new Promise<void>((resolve) => {
    if (stream.closed) resolve()
    else stream.once('close', resolve)
  })
  // An error that comes while nobody pumps must not end the process; whoever waits on `closed` learns of the end.
  stream.on('error', () => undefined)
  let isResetting = false
  const resetNow = (): void => {
    // While a FIN is on its way the system resets nothing, and Node would then never say that the socket is closed.
    const isEnding = stream.writableEnded && !stream.writableFinished
    if (!stream.destroyed && !isEnding) resetTransport(transport)
    // TLS hears of its end from its transport, and is not pulled away from under it.
    if (transport === stream || isEnding || transport.closed) stream.destroy()
    else transport.once('close', () => stream.destroy())
  }
  const link: Link = {
    stream,
    closed,
    pumpTo: (other, progress, forwardFrom) => pumpBetween(link, other, progress, forwardFrom),
    destroy(error) {
      if (!isResetting) stream.destroy(error)
    },
    reset() {
      if (isResetting) return
      if (transport === stream) {
        resetNow()
        return
      }
      isResetting = true
      // Not inside a callback of TLS, where this may have been called from: taking its transport away there crashes Node 24.
      setImmediate(resetNow)
    },
  }
  return link
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
  const there = copyOneWay(a, b, (bytes) => (progress.forward += bytes), forwardFrom)
  const back = copyOneWay(b, a, (bytes) => (progress.backward += bytes))
  const [cause, causeBack] = await Promise.all([there, back])
  a.destroy()
  b.destroy()
  await Promise.all([a.closed, b.closed])
  return { cause: cause ?? causeBack }
}

/** One direction; resolves with the error that broke it, if one did. A broken direction takes the other with it. */
async function copyOneWay(
  from: Link,
  to: Link,
  count: (bytes: number) => void,
  begin?: Promise<void>,
): Promise<Error | undefined> {
  const start = (): void => {
    if (!from.stream.destroyed) carry(from.stream, to.stream, counting(to.stream, count))
  }
  if (begin) void begin.then(start)
  else start()
  try {
    await Promise.all([finished(from.stream, { writable: false }), finished(to.stream, { readable: false })])
    return undefined
  } catch (error) {
    from.reset()
    to.reset()
    return error as Error
  }
}
