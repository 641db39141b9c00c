// A service of plain TCP on loopback for tests, a pattern of bytes that any loss, doubling or swap breaks, and the checks of both.
import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import type { Readable, Writable } from 'node:stream'

export class TcpService {
  /** What happens to the next connections. */
  serve: (socket: Socket) => void = (socket) => void socket.pipe(socket)
  /** How many have come. */
  connections = 0
  port = 0
  readonly #sockets = new Set<Socket>()
  readonly #server = createServer({ allowHalfOpen: true }, (socket) => {
    this.connections += 1
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    socket.on('error', () => undefined)
    this.serve(socket)
  })

  async start(): Promise<this> {
    this.#server.listen(this.port, '127.0.0.1')
    await once(this.#server, 'listening')
    this.port = (this.#server.address() as AddressInfo).port
    return this
  }

  /** Connections that live now. */
  get living(): number {
    return this.#sockets.size
  }

  /** Nobody listens any more; `start` comes back on the same port. */
  async stop(): Promise<void> {
    if (!this.#server.listening) return
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
    await once(this.#server, 'close')
  }
}

const BLOCK = 64 * 1024

/** Writes the pattern (each four bytes are their own offset, xor a seed) with back-pressure; ends nothing. */
export async function writePattern(to: Writable, size: number, seed: number): Promise<void> {
  for (let at = 0; at < size; at += BLOCK) {
    const block = Buffer.allocUnsafe(Math.min(BLOCK, size - at))
    for (let within = 0; within < block.length; within += 4) block.writeUInt32BE(((at + within) ^ seed) >>> 0, within)
    if (!to.write(block)) await once(to, 'drain')
  }
}

/**
 * Reads to the end and compares with the pattern. @param pauseEvery bytes after which the reader stops for a moment
 * @returns how many bytes came; throws at the first wrong one
 */
export async function readPattern(
  from: Readable,
  seed: number,
  pauseEvery = Number.POSITIVE_INFINITY,
): Promise<number> {
  let at = 0
  let pauses = 0
  let rest: Buffer = Buffer.alloc(0)
  for await (const chunk of from as AsyncIterable<Buffer>) {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    const whole = bytes.length - (bytes.length % 4)
    for (let within = 0; within < whole; within += 4)
      if (bytes.readUInt32BE(within) !== ((at + within) ^ seed) >>> 0)
        throw new Error(`byte ${at + within} is not what was sent`)
    at += whole
    rest = bytes.subarray(whole)
    if (at > (pauses + 1) * pauseEvery) {
      pauses += 1
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
  return at + rest.length
}
