// A client that has to wait: what it sends meanwhile is kept (bounded) and nothing of it is lost or sent twice (G13); its FIN
// or reset leaves the wait at once (G8). Called by connection.ts.
import type { Socket } from 'node:net'

/** Kept of what a held client sends; beyond it the client is not read until it goes on. */
const HELD_MAX_BYTES = 64 * 1024

export class ClientGoneError extends Error {
  override readonly name = 'ClientGoneError'
}

export type HeldClient = {
  /** Aborts when the client hangs up (reason: ClientGoneError) or when `signal` does. */
  readonly signal: AbortSignal
  /** Ends the hold and puts what came back to the front of the stream. */
  release(): void
}

/** Holds a client from now on. */
export function holdClient(socket: Socket, signal: AbortSignal): HeldClient {
  const gone = new AbortController()
  const kept: Buffer[] = []
  let size = 0
  let isReleased = false
  const onData = (bytes: Buffer) => {
    kept.push(bytes)
    size += bytes.length
    if (size >= HELD_MAX_BYTES) socket.pause()
  }
  const onGone = () => gone.abort(new ClientGoneError('the client hung up while it waited'))
  socket.on('data', onData).on('end', onGone).on('close', onGone).on('error', onGone)
  if (socket.destroyed || socket.readableEnded) onGone()
  return {
    signal: AbortSignal.any([gone.signal, signal]),
    release() {
      if (isReleased) return
      isReleased = true
      socket.pause()
      socket.off('data', onData).off('end', onGone).off('close', onGone).off('error', onGone)
      if (size > 0 && !socket.readableEnded && !socket.destroyed) socket.unshift(Buffer.concat(kept))
    },
  }
}
