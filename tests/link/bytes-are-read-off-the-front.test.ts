// Reading a known number of bytes off a stream: ends at every moment are noticed at once, the rest stays.
import net from 'node:net'
import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { readBytes, StreamEndedError } from '../../link/read-bytes.ts'

const never = new AbortController().signal

describe('S10: readBytes', () => {
  it('S10: notices an end that came before it was called, on a socket with half-close', async () => {
    const server = net.createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const client = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1')
    client.end()
    const [socket] = (await once(server, 'connection')) as [net.Socket]
    await once(socket, 'end')
    await expect(readBytes(socket, 8, never)).rejects.toBeInstanceOf(StreamEndedError)
    socket.destroy()
    client.destroy()
    server.close()
  })

  it('G13: takes exactly what was asked, in any cuts, and leaves the rest', async () => {
    const stream = new PassThrough()
    const reading = readBytes(stream, 5, never)
    for (const part of ['ab', 'cd', 'efg']) stream.write(part)
    expect(String(await reading)).toBe('abcde')
    stream.end('hi')
    expect(String(await readBytes(stream, 4, never))).toBe('fghi')
    await expect(readBytes(stream, 1, never)).rejects.toBeInstanceOf(StreamEndedError)
  })

  it('S10: reads more than the stream usually buffers, and stops when it is told to', async () => {
    const stream = new PassThrough({ highWaterMark: 16 })
    const reading = readBytes(stream, 1000, never)
    for (let n = 0; n < 100; n++) stream.write('0123456789')
    expect((await reading).length).toBe(1000)
    const abort = new AbortController()
    const waiting = readBytes(stream, 1, abort.signal)
    abort.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
  })
})
