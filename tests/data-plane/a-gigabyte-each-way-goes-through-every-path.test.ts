// A gigabyte of a known pattern in each direction at once, with readers and writers that are slow in phases, through every way that
// bytes can take between two sockets: the pump with buffers of its own, plain streams in its place, frames of a tunnel, a tunnel given
// to one stream. Through real processes it goes in the-whole-way-… and own-connections-and-shared-tunnels-…; through the PostgreSQL engine, COPY out and in,
// in tests/postgres/big-streams-stay-bounded.test.ts.
import { describe, expect, it } from 'vitest'
import { carriesBulkBothWays, GB } from '../support/path-behaviour.ts'
import { hideHandle, pumpedPath, streamSide, tcpSide, tlsSide } from '../support/pumped-paths.ts'
import { TunnelPaths } from '../support/tunnel-paths.ts'

const TIMEOUT_MS = 600_000

describe('a gigabyte each way, between slow readers and writers', () => {
  for (const [name, a, b, isHidden] of [
    ['the fast way, as in a gateway', tcpSide, tlsSide('client'), false],
    ['plain streams, where the handles take no buffers', tcpSide, tlsSide('client'), true],
    ['plain streams, where one side is no socket', tcpSide, streamSide, false],
  ] as const)
    it(`G1: ${name}`, { timeout: TIMEOUT_MS }, async () => {
      const ends = await pumpedPath(a, b, (_, links) => {
        if (isHidden) for (const link of links) hideHandle(link)
      })()
      await carriesBulkBothWays(ends, GB, 31)
      expect(await ends.pumped).toEqual({ cause: undefined })
      expect(ends.progress).toEqual({ forward: GB, backward: GB })
    })

  it('G1: frames of a tunnel', { timeout: TIMEOUT_MS }, async () => {
    const frames = new TunnelPaths('frames')
    const ends = await frames.connect()
    await carriesBulkBothWays(ends, GB, 33)
    expect(await ends.pumped).toEqual([undefined, undefined])
    expect(ends.moved()).toEqual([2 * GB, 2 * GB])
    await frames.close()
  })

  it('G1: a tunnel whose only stream leaves the frames', { timeout: TIMEOUT_MS }, async () => {
    const raw = new TunnelPaths('raw')
    const ends = await raw.connect()
    await carriesBulkBothWays(ends, GB, 35)
    expect(await ends.pumped).toEqual([undefined, undefined])
    // Nearly all of it went past the stream.
    for (const moved of ends.moved()) expect(moved).toBeLessThan(GB / 10)
    await raw.close()
  })
})
