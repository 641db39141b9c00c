// The Link between two sockets: half-close in all orders, back-pressure with a slow reader, abrupt resets.
import net from 'node:net'
import { once } from 'node:events'
import { afterEach, describe, expect, it } from 'vitest'
import { linkOf } from '../../link/link.ts'

const open: net.Socket[] = []
afterEach(() => {
  for (const socket of open.splice(0)) socket.destroy()
})

/** Two connected sockets, both with half-close. */
async function socketPair(): Promise<[net.Socket, net.Socket]> {
  const server = net.createServer({ allowHalfOpen: true })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = net.connect({
    port: (server.address() as net.AddressInfo).port,
    host: '127.0.0.1',
    allowHalfOpen: true,
  })
  const [accepted] = (await once(server, 'connection')) as [net.Socket]
  server.close()
  open.push(client, accepted)
  return [client, accepted]
}

const readAll = async (socket: net.Socket): Promise<string> => {
  let text = ''
  for await (const chunk of socket) text += (chunk as Buffer).toString()
  return text
}

describe('G1: a link copies both ways with half-close and back-pressure', () => {
  it.each(['left first', 'right first'])(
    'G1: an end on one side half-closes the other and the answer still arrives (%s)',
    async (order) => {
      const [left, a] = await socketPair()
      const [right, b] = await socketPair()
      const pumped = linkOf(a).pumpTo(linkOf(b))
      const [first, second] = order === 'left first' ? [left, right] : [right, left]
      first.end('question')
      expect(await readAll(second)).toBe('question')
      second.end('answer after the end')
      expect(await readAll(first)).toBe('answer after the end')
      expect((await pumped).cause).toBeUndefined()
    },
  )

  it('G1: a reset on one side resets the other, so that nobody takes it for an end, and is told as the cause', async () => {
    const [left, a] = await socketPair()
    const [right, b] = await socketPair()
    const pumped = linkOf(a).pumpTo(linkOf(b))
    left.write('x')
    await once(right, 'data')
    left.resetAndDestroy()
    let hasEnded = false
    right.once('end', () => (hasEnded = true))
    const broken = once(right, 'error')
    right.resume()
    expect((await pumped).cause).toBeDefined()
    expect(await broken).toMatchObject([{ code: 'ECONNRESET' }])
    expect(hasEnded).toBe(false)
  })

  it('G1, G18: one that said and heard all while somebody else read its first bytes is an end on the other, too', async () => {
    const [left, a] = await socketPair()
    const [right, b] = await socketPair()
    const isClosed = once(a, 'close').then(() => undefined)
    const pumped = linkOf(a).pumpTo(linkOf(b), undefined, isClosed)
    a.resume()
    left.resume().end()
    right.end()
    expect(await readAll(right)).toBe('')
    expect(await pumped).toEqual({ cause: undefined })
  })

  it('G1: a reader that stops holds the writer back instead of filling memory', async () => {
    const [left, a] = await socketPair()
    const [right, b] = await socketPair()
    const pumped = linkOf(a).pumpTo(linkOf(b))
    right.pause()
    const block = Buffer.alloc(1 << 20, 7)
    let accepted = 0
    while (left.write(block)) accepted++
    // Whatever the kernel takes, what waits in this process stays within the streams' own marks.
    await new Promise((resolve) => setImmediate(resolve))
    expect(b.writableLength).toBeLessThan(4 << 20)
    left.end()
    let received = 0
    right.on('data', (chunk: Buffer) => (received += chunk.length))
    right.resume()
    await once(right, 'end')
    right.end()
    await pumped
    expect(received).toBe((accepted + 1) << 20)
  })
})
