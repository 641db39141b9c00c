// How a client that is not connected is left, so that its last words arrive. Called by connection.ts.
import type { Socket } from 'node:net'

/** How long a client may take to read its error and go, in ms. */
export const GOODBYE_DEADLINE_MS = 2000
/** The same when a gateway closes: its connections end at once (G19). */
export const HASTY_GOODBYE_DEADLINE_MS = 250

/**
 * Sends the last bytes and waits until the client has gone. Unread bytes would make the kernel reset the connection and throw
 * the error away, so what still comes is read and dropped.
 */
export async function sayGoodbye(socket: Socket, bytes: Buffer, deadlineMs: number): Promise<void> {
  if (socket.destroyed) return
  const gone = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  const deadline = setTimeout(() => socket.destroy(), deadlineMs)
  socket.resume()
  socket.once('end', () => socket.destroySoon())
  socket.end(bytes)
  if (socket.readableEnded) socket.destroySoon()
  await gone
  clearTimeout(deadline)
}
