// Asks a target to cancel what one of its backends runs: a connection of its own with one CancelRequest. Called by the engine
// for a client's cancel request and for a client that is gone.
// Source: PostgreSQL documentation, "Frontend/Backend Protocol", 55.2.8 (cancelling requests in progress).
import { encodeCancelRequest, type BackendKey } from '../../../shared/wire/postgres/startup.ts'
import { linkOf } from '../../../link/link.ts'
import { readBytes, StreamEndedError } from '../../../link/read-bytes.ts'
import { dialTarget, type TargetAddress } from './target-dial.ts'

/**
 * Sends the request and waits until the target has read it, which it says by closing.
 * @throws what dialTarget throws; the signal's reason.
 */
export async function cancelAtTarget(target: TargetAddress, key: BackendKey, signal: AbortSignal): Promise<void> {
  const { socket } = await dialTarget(target, signal)
  const link = linkOf(socket)
  try {
    socket.end(encodeCancelRequest(key))
    await readBytes(socket, 1, signal).catch((error: unknown) => {
      signal.throwIfAborted()
      // Closed or reset, both after it was read: there is no answer to a cancel request.
      if (!(error instanceof StreamEndedError) && !(error instanceof Error && 'code' in error)) throw error
    })
  } finally {
    link.destroy()
    await link.closed
  }
}
