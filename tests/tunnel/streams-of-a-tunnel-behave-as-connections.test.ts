// Half-close, reset and the end of the tunnel, seen from whoever holds the link of a stream: as on a connection of its own.
import { once } from 'node:events'
import { afterEach, describe, expect, it } from 'vitest'
import type { Link } from '../../link/link.ts'
import { encodeFrame, FRAME } from '../../link/tunnel/frames.ts'
import { TUNNEL_STREAMS_MAX, Tunnel } from '../../link/tunnel/tunnel.ts'
import { waitUntil } from '../support/client-core.ts'
import { CALM, readAll, tlsPair, tunnelPair, type TunnelPair } from '../support/tunnel-pair.ts'

const pairs: TunnelPair[] = []
afterEach(async () => {
  await Promise.all(pairs.splice(0).map((pair) => pair.close()))
})
async function newPair(...settings: Parameters<typeof tunnelPair>): Promise<TunnelPair> {
  const pair = await tunnelPair(...settings)
  pairs.push(pair)
  return pair
}
/** The error that a stream is broken off with; rejects if it ends well. */
const brokenOff = ({ stream }: Link): Promise<Error> =>
  new Promise((resolve, reject) => {
    stream.once('error', resolve)
    stream.once('end', () => reject(new Error('it looked like a good end')))
    stream.resume()
  })

describe('G1, C4: a stream of a tunnel', () => {
  it('names its protocol, carries bytes both ways, and streams do not get into each other', async () => {
    const pair = await newPair()
    const [a, b] = [await pair.open('postern-tcp'), await pair.open('postern-postgres')]
    expect(pair.accepted.map(({ alpn }) => alpn)).toEqual(['postern-tcp', 'postern-postgres'])
    a.here.stream.end('from a')
    b.there.stream.end('to b')
    a.there.stream.end('to a')
    b.here.stream.end('from b')
    const texts = [a.there, b.here, a.here, b.there].map(({ stream }) => readAll(stream))
    expect(await Promise.all(texts)).toEqual(['from a', 'to b', 'to a', 'from b'])
    await Promise.all([a, b].flatMap(({ here, there }) => [here.closed, there.closed]))
    expect([pair.near.size, pair.far.size]).toEqual([0, 0])
  })

  it.each(['near first', 'far first'] as const)('goes on the other way after a half-close (%s)', async (order) => {
    const pair = await newPair()
    const { here, there } = await pair.open()
    const [first, second] = order === 'near first' ? [here, there] : [there, here]
    first.stream.end('question')
    expect(await readAll(second.stream)).toBe('question')
    second.stream.write('an ')
    second.stream.end('answer after the end')
    expect(await readAll(first.stream)).toBe('an answer after the end')
    await Promise.all([here.closed, there.closed])
  })

  it.each(['both at once', 'with nothing said'])('ends both ways (%s)', async (how) => {
    const pair = await newPair()
    const { here, there } = await pair.open()
    const text = how === 'both at once' ? 'x' : ''
    here.stream.end(text)
    there.stream.end(text)
    expect(await Promise.all([readAll(here.stream), readAll(there.stream)])).toEqual([text, text])
    await Promise.all([here.closed, there.closed])
    expect(pair.near.isOpen).toBe(true)
  })

  it.each(['near', 'far'] as const)(
    'that is reset at the %s end is an error at the other, never an end',
    async (end) => {
      const pair = await newPair()
      const [{ here, there }, other] = [await pair.open(), await pair.open()]
      const [breaking, hearing] = end === 'near' ? [here, there] : [there, here]
      const broken = brokenOff(hearing)
      breaking.reset()
      expect(await broken).toMatchObject({ code: 'ECONNRESET' })
      await Promise.all([here.closed, there.closed])
      other.here.stream.end('the others go on')
      expect(await readAll(other.there.stream)).toBe('the others go on')
    },
  )

  it('that is destroyed before its end is reset, too: half of what was said never looks whole', async () => {
    const pair = await newPair()
    const { here, there } = await pair.open()
    here.stream.write('half of')
    await once(there.stream, 'data')
    const broken = brokenOff(there)
    here.destroy()
    expect(await broken).toMatchObject({ code: 'ECONNRESET' })
  })

  it('that is destroyed after its end leaves what it said to be read, and whoever writes to it learns', async () => {
    const pair = await newPair()
    const { here, there } = await pair.open()
    there.stream.end('last words')
    await once(there.stream, 'finish')
    there.destroy()
    await there.closed
    await waitUntil(() => pair.near.size === 0, 'the near end has heard of it')
    expect(await readAll(here.stream)).toBe('last words')
    const broken = once(here.stream, 'error')
    here.stream.write('is anybody there?')
    expect(await broken).toMatchObject([{ code: 'EPIPE' }])
    await here.closed
  })

  it('is reset with all the others when the connection below is cut', async () => {
    const pair = await newPair()
    const streams = [await pair.open(), await pair.open(), await pair.open()]
    const broken = streams.flatMap(({ here, there }) => [brokenOff(here), brokenOff(there)])
    pair.nearTransport.destroy()
    for (const error of await Promise.all(broken)) expect(error).toMatchObject({ code: 'ECONNRESET' })
    await Promise.all([pair.near.closed, pair.far.closed])
    expect(() => pair.near.open('echo')).toThrow('takes no new streams')
  })

  it('is not lost when the tunnel is drained: new ones are not taken, those that live go on, then it closes', async () => {
    const pair = await newPair()
    const { here, there } = await pair.open()
    pair.near.drain()
    expect(pair.near.isOpen).toBe(false)
    here.stream.end('still here')
    expect(await readAll(there.stream)).toBe('still here')
    there.stream.end('and back')
    expect(await readAll(here.stream)).toBe('and back')
    expect(await Promise.all([pair.near.closed, pair.far.closed])).toEqual([undefined, undefined])
  })

  it('S6: leaves nothing behind: 1,000 are opened and closed in every way, and the tunnel is empty', async () => {
    const pair = await newPair()
    for (let round = 0; round < 50; round++) {
      const streams = Array.from({ length: 20 }, () => pair.near.open('echo'))
      await waitUntil(() => pair.accepted.length === 20, 'all are accepted')
      const others = pair.accepted.splice(0)
      for (const [at, link] of streams.entries()) {
        const { stream } = others[at]!.link
        stream.resume()
        link.stream.resume()
        if (at % 4 === 0) link.reset()
        else if (at % 4 === 1) others[at]!.link.destroy()
        else {
          link.stream.end('x')
          stream.end('y')
        }
      }
      await Promise.all([...streams, ...others.map(({ link }) => link)].map(({ closed }) => closed))
    }
    expect([pair.near.size, pair.far.size, pair.near.isOpen]).toEqual([0, 0, true])
  })

  it('is one of at most so many; one more is for another tunnel', async () => {
    const pair = await newPair()
    for (let at = 0; at < TUNNEL_STREAMS_MAX; at++) pair.near.open('echo')
    expect(pair.near.isOpen).toBe(false)
    expect(() => pair.near.open('echo')).toThrow('takes no new streams')
  })
})

describe('a tunnel whose other end breaks the rules', () => {
  it.each([
    ['an unknown frame', Buffer.from([42, 0, 0, 0, 0, 0, 0, 1]), 'unknown type 42'],
    ['a stream that was never opened', encodeFrame(FRAME.end, 9), 'never opened'],
    [
      'a stream opened by the wrong side',
      encodeFrame(FRAME.open, 9, Buffer.from('echo')),
      'only the side that dialled',
    ],
    ['raw that nobody began', encodeFrame(FRAME.raw, 1), 'not to be raw'],
    ['more room than there is', Buffer.from([FRAME.credit, 0, 0, 4, 0, 0, 0, 1, 255, 0, 0, 0]), 'more room'],
    ['a stop before the end', encodeFrame(FRAME.stop, 1), 'before its end'],
  ])('G1: ends with a reason, and its streams are reset: %s', async (_, bytes, reason) => {
    const { near, far, nearTransport } = await tlsPair()
    const tunnel = new Tunnel({ socket: near, transport: nearTransport, settings: CALM })
    const broken = brokenOff(tunnel.open('echo'))
    far.write(bytes)
    expect((await tunnel.closed)?.message).toContain(reason)
    expect(await broken).toMatchObject({ code: 'ECONNRESET' })
    far.destroy()
  })

  it.each([
    ['a second one of the same id', [1, 1], 'out of order'],
    ['more than it takes', Array.from({ length: TUNNEL_STREAMS_MAX + 1 }, (_, at) => at + 1), undefined],
  ])('G1: opening %s', async (_, ids, reason) => {
    const { near, far, farTransport } = await tlsPair()
    let accepted = 0
    const tunnel = new Tunnel({ socket: far, transport: farTransport, settings: CALM, onStream: () => accepted++ })
    let heard = Buffer.alloc(0)
    near.on('data', (bytes: Buffer) => (heard = Buffer.concat([heard, bytes])))
    near.write(Buffer.concat(ids.map((id) => encodeFrame(FRAME.open, id, Buffer.from('echo')))))
    if (reason === undefined) {
      const refusal = encodeFrame(FRAME.reset, TUNNEL_STREAMS_MAX + 1)
      await waitUntil(() => heard.equals(refusal), 'the last one is refused')
      expect(accepted).toBe(TUNNEL_STREAMS_MAX)
      tunnel.destroy()
    }
    expect((await tunnel.closed)?.message ?? '').toContain(reason ?? '')
    near.destroy()
  })
})
