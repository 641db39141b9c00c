// Keepalive and idleness of tunnels, with times of milliseconds in place of the product's.
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { Tunnel } from '../../link/tunnel/tunnel.ts'
import { waitUntil } from '../support/client-core.ts'
import { CALM, tlsPair, tunnelPair } from '../support/tunnel-pair.ts'

describe('a tunnel', () => {
  it('I3: whose other end says nothing any more is broken off, with its streams, within the time for an answer', async () => {
    const { near, far, nearTransport } = await tlsPair()
    // As a process that was stopped: the system still takes what is sent, nobody answers.
    far.pause()
    const settings = { idleMs: 3_600_000, pingEveryMs: 50, pongWithinMs: 100 }
    const tunnel = new Tunnel({ socket: near, transport: nearTransport, settings })
    const broken = once(tunnel.open('echo').stream, 'error')
    expect(await broken).toMatchObject([{ code: 'ECONNRESET' }])
    expect((await tunnel.closed)?.message).toContain('does not answer')
    far.destroy()
  })

  it('I3: whose other end answers lives on, however long it is silent otherwise', async () => {
    const settings = { pingEveryMs: 20, pongWithinMs: 5000 }
    const pair = await tunnelPair(settings, settings)
    const { here, there } = await pair.open()
    const from = performance.now()
    await waitUntil(() => performance.now() - from > 300, 'many pings')
    there.stream.end('still there')
    expect(await once(here.stream, 'data')).toEqual([Buffer.from('still there')])
    await pair.close()
  })

  it('I3: says whether anybody is there, when asked', async () => {
    const pair = await tunnelPair()
    expect(await pair.near.isAliveWithin(5000)).toBe(true)
    await pair.close()
    const { near, far, nearTransport } = await tlsPair()
    far.pause()
    const deaf = new Tunnel({ socket: near, transport: nearTransport, settings: CALM })
    expect(await deaf.isAliveWithin(50)).toBe(false)
    deaf.destroy()
    far.destroy()
    await deaf.closed
  })

  it('S6: without a stream for long enough closes, and not a moment before its last one is over', async () => {
    const pair = await tunnelPair({ idleMs: 50 })
    const { here, there } = await pair.open()
    const from = performance.now()
    await waitUntil(() => performance.now() - from > 150, 'longer than idle')
    expect(pair.near.isOpen).toBe(true)
    here.stream.resume().end()
    there.stream.resume().end()
    expect(await Promise.all([pair.near.closed, pair.far.closed])).toEqual([undefined, undefined])
  })

  it('S6: closes within bounds where the other end does not close with it', async () => {
    const { near, far, nearTransport } = await tlsPair()
    far.pause()
    const tunnel = new Tunnel({ socket: near, transport: nearTransport, settings: CALM })
    tunnel.drain()
    expect(await tunnel.closed).toBeUndefined()
    far.destroy()
  })
})
