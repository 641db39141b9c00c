// A gigabyte of a known pattern in each direction at once, with readers and writers that are slow in phases, through every way that
// bytes can take between two sockets: the pump with buffers of its own, plain streams in its place, frames of a tunnel, a tunnel given
// to one stream. Through real processes it goes in the-whole-way-… and own-connections-and-shared-tunnels-…; through the PostgreSQL engine, COPY out and in,
// in tests/postgres/big-streams-stay-bounded.test.ts.
import { describe, expect, it } from 'vitest'
import { carriesBulkBothWays, GB } from '../support/path-behaviour.ts'
import {
  hideHandle,
  pumpedPath,
  streamSide,
  tcpSide,
  tlsSide,
  unixSide,
  type MakeSide,
} from '../support/pumped-paths.ts'
import { TunnelPaths } from '../support/tunnel-paths.ts'

const TIMEOUT_MS = 600_000

describe('a gigabyte each way, between slow readers and writers', () => {
  for (const [name, a, b, hidden = []] of [
    ['TCP to TLS, as in a gateway', tcpSide, tlsSide('client')],
    ['a Unix socket to TLS, as in a gateway with a socket', unixSide, tlsSide('client')],
    ['TCP to TCP', tcpSide, tcpSide],
    ['TLS to TLS', tlsSide('server'), tlsSide('client')],
    ['plain streams, where the handles take no buffers', tcpSide, tlsSide('client'), [0, 1]],
    ['plain streams one way, where one handle takes none', tcpSide, tlsSide('client'), [1]],
    ['plain streams, where one side is no socket', tcpSide, streamSide],
  ] as [string, MakeSide, MakeSide, number[]?][])
    it(`G1: ${name}`, { timeout: TIMEOUT_MS }, async () => {
      const ends = await pumpedPath(a, b, (_, links) => {
        for (const at of hidden) hideHandle(links[at]!)
      })()
      await carriesBulkBothWays(ends, GB, 31)
      expect(await ends.pumped).toEqual({ cause: undefined })
      expect(ends.progress).toEqual({ forward: GB, backward: GB })
    })

  it('G1: frames of a tunnel', { timeout: TIMEOUT_MS }, async () => {
    const frames = new TunnelPaths('frames')
    const ends = await frames.connectAnew()
    await carriesBulkBothWays(ends, GB, 33)
    expect(await ends.pumped).toEqual([undefined, undefined])
    expect(ends.moved()).toEqual([2 * GB, 2 * GB])
    await frames.close()
  })

  it.each(['raw', 'raw, without the handles'] as const)(
    'G1: a tunnel whose only stream leaves the frames: %s',
    { timeout: TIMEOUT_MS },
    async (kind) => {
      const raw = new TunnelPaths(kind)
      // It leaves them under this load.
      const ends = await raw.connectAnew()
      await carriesBulkBothWays(ends, GB, 35)
      expect(await ends.pumped).toEqual([undefined, undefined])
      // Nearly all of it went past the stream; without the handles that is what each end reads.
      const past = ends.moved().map((moved) => 2 * GB - moved)
      for (const bytes of past) expect(bytes).toBeGreaterThan((kind === 'raw' ? 1.9 : 0.9) * GB)
      await raw.close()
    },
  )
})
