// Ends the two sides of a connection: the client with its last words, the target with a Terminate. Both are graceful for a
// bounded time and over for sure after it. Called by the engine.
import type { Socket } from 'node:net'
import type { Link } from '../../../link/link.ts'
import { encodeTerminate } from '../../../shared/wire/postgres/frontend-messages.ts'

/** How long a side may take to read what is left and to close, in ms. A peer that does not read cannot hold an end up (S4). */
const CLOSE_TIMEOUT_MS = 3_000

/** Sends the last words, half-closes, and waits for the client to do the same. Resolves when the link is released. */
export async function closeClient(link: Link, lastWords: Buffer | undefined): Promise<void> {
  const { stream } = link
  if (!stream.destroyed && !stream.writableEnded) stream.end(lastWords)
  // What still comes is dropped: unread bytes would turn our end into a reset, and the client would not read the reason.
  stream.resume()
  await within(link.closed, CLOSE_TIMEOUT_MS)
  link.destroy()
  await link.closed
}

/**
 * Says goodbye to the target where it can be understood, and closes. Resolves when the socket is released.
 * @param isAtBoundary false if it is still waiting for the rest of a message.
 */
export async function closeTarget(socket: Socket, isAtBoundary: boolean): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    if (socket.closed) resolve()
    else socket.once('close', () => resolve())
  })
  if (!socket.destroyed && !socket.writableEnded) socket.end(isAtBoundary ? encodeTerminate() : Buffer.alloc(0))
  socket.resume()
  await within(closed, CLOSE_TIMEOUT_MS)
  socket.destroy()
  await closed
}

async function within(promise: Promise<void>, timeoutMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  await Promise.race([promise, new Promise<void>((resolve) => (timer = setTimeout(resolve, timeoutMs)))])
  clearTimeout(timer)
}
