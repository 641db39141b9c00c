// A client that has to wait: what it sends meanwhile is kept (bounded) and nothing of it is lost or sent twice (G13); its reset,
// and its FIN where the protocol knows no half-close, leaves the wait at once (G8). Called by connection.ts.
import type { Socket } from 'node:net'

/** Kept of what a held client sends; beyond it the client is not read until it goes on. */
const HELD_MAX_BYTES = 64 * 1024

export class ClientGoneError extends Error {
  override readonly name = 'ClientGoneError'
}

export type HeldClient = {
  /** Aborts when the client hangs up (reason: ClientGoneError) or when `signal` does. */
  readonly signal: AbortSignal
  /** Ends the hold, with what came: it goes before everything that is still in the stream. Nothing the second time. */
  release(): Buffer
}

/** Holds a client from now on. @param isEndAHangUp whether its FIN means that it has gone, or only that it said everything */
export function holdClient(socket: Socket, isEndAHangUp: boolean, signal: AbortSignal): HeldClient {
  const end = new AbortController()
  const kept: Buffer[] = []
  let size = 0
  const onData = (bytes: Buffer) => {
    kept.push(bytes)
    size += bytes.length
    if (size >= HELD_MAX_BYTES) socket.pause()
  }
  const onGone = () => end.abort(new ClientGoneError('the client hung up while it waited'))
  const onAbort = () => end.abort(signal.reason)
  const onEnd = () => {
    if (isEndAHangUp) onGone()
  }
  socket.on('data', onData).on('end', onEnd).on('close', onGone).on('error', onGone)
  signal.addEventListener('abort', onAbort, { once: true })
  if (signal.aborted) onAbort()
  else if (socket.destroyed) onGone()
  else if (socket.readableEnded) onEnd()
  return {
    signal: end.signal,
    release() {
      signal.removeEventListener('abort', onAbort)
      socket.pause()
      socket.off('data', onData).off('end', onEnd).off('close', onGone).off('error', onGone)
      return Buffer.concat(kept.splice(0))
    },
  }
}
