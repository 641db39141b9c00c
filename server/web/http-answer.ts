// An HTTP answer written by hand, where no ServerResponse exists: bytes that were no request, and upgrades that are refused. Those
// are answered in HTTP too, never just dropped (E2). Called by web-app.ts and server/control.
import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'

/** How long the client may take to read it before its socket is dropped, in ms. */
const LINGER_MS = 2000

/** Writes a whole JSON answer and closes the connection after it. */
export function endWithAnswer(
  socket: Duplex,
  status: number,
  body: object,
  headers: Record<string, string> = {},
): void {
  if (!socket.writable) {
    socket.destroy()
    return
  }
  const text = JSON.stringify(body)
  const lines = {
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': String(Buffer.byteLength(text)),
    Connection: 'close',
    ...headers,
  }
  const head = Object.entries(lines).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${head.join('')}\r\n${text}`)
  // What still comes is not read into memory, and a client that does not hang up is not waited for.
  socket.resume()
  const timer = setTimeout(() => socket.destroy(), LINGER_MS)
  socket.once('close', () => clearTimeout(timer))
}
