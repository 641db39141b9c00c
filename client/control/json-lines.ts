// One JSON object a line over a stream socket: the framing of the control socket, for both of its ends. Lines are capped; a
// peer that sends a longer one, or does not read what it is sent, is cut off.
import type { Socket } from 'node:net'
import { RPC_LINE_MAX_BYTES } from '../../shared/rpc.ts'

/** Bytes that may wait for a peer that does not read, before it is cut off: a few full lines. */
const UNSENT_MAX_BYTES = 4 * RPC_LINE_MAX_BYTES

export type JsonLines = {
  send(message: unknown): void
  /** Resolves when the peer is gone; never rejects. */
  readonly closed: Promise<void>
  /** Says good-bye: sends what waits, then closes. Idempotent. */
  end(): void
  destroy(): void
}

/** Reads lines from `socket` and gives each parsed value to `onMessage`, in order. Takes ownership of the socket. */
export function jsonLinesOn(socket: Socket, onMessage: (message: unknown) => void): JsonLines {
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  let parts: Buffer[] = []
  let size = 0

  const takeLine = (line: Buffer) => {
    let message: unknown
    try {
      message = JSON.parse(line.toString('utf8'))
    } catch {
      socket.destroy()
      return
    }
    onMessage(message)
  }

  socket.on('data', (chunk: Buffer) => {
    let rest = chunk
    for (let end = rest.indexOf(0x0a); end >= 0 && !socket.destroyed; end = rest.indexOf(0x0a)) {
      parts.push(rest.subarray(0, end))
      const line = Buffer.concat(parts)
      parts = []
      size = 0
      rest = rest.subarray(end + 1)
      takeLine(line)
    }
    parts.push(rest)
    size += rest.length
    if (size > RPC_LINE_MAX_BYTES) socket.destroy()
  })
  socket.on('error', () => undefined)
  socket.on('end', () => socket.end())

  return {
    closed,
    send(message) {
      if (socket.destroyed || socket.writableEnded) return
      socket.write(`${JSON.stringify(message)}\n`)
      if (socket.writableLength > UNSENT_MAX_BYTES) socket.destroy()
    },
    end: () => void socket.end(),
    destroy: () => void socket.destroy(),
  }
}
