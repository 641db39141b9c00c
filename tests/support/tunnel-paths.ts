// Ways for bytes through a tunnel as the product has it: a client's socket, the pump of the core, a stream of the tunnel over TLS, the
// pump of the access server, the target's socket. Once with everything in frames, once given the whole connection (raw), and raw where
// no handle takes buffers, so that streams do what the pumps would.
import { TunnelStream } from '../../link/tunnel/tunnel-stream.ts'
import type { Link } from '../../link/link.ts'
import { readBytes } from '../../link/read-bytes.ts'
import { hideHandle, type Ends } from './pumped-paths.ts'
import { until } from './run.ts'
import { socketLinks, tunnelPair, type TunnelPair } from './tunnel-pair.ts'

export const TUNNEL_KINDS = ['frames', 'raw', 'raw, without the handles'] as const
export type TunnelKind = (typeof TUNNEL_KINDS)[number]
const PATIENCE_MS = 30_000

export type TunnelEnds = Ends & {
  /** Resolves when both pumps are over; what broke them off, if anything did. */
  pumped: Promise<(Error | undefined)[]>
  /** Bytes that went through the stream at each end, both ways together: those that went past it, raw, are not among them. */
  moved: () => number[]
  /** Whether both ends have left the frames. */
  isRaw: () => boolean
}

/**
 * What a byte each way adds to `moved` at each end, where a connection is what its kind says: through the stream both ways, past it both
 * ways, or, where the handles are missing, past it for who reads and through it for who writes (link/bare-pump.ts).
 */
export const MOVED_BY_A_BYTE: Record<TunnelKind, number> = { frames: 2, raw: 0, 'raw, without the handles': 1 }

const movedOf = ({ stream }: Link): number => {
  if (!(stream instanceof TunnelStream)) throw new Error('this link is no stream of a tunnel')
  return stream.moved
}

/** Tunnels of one kind; all of them are closed by `close`. */
export class TunnelPaths {
  readonly kind: TunnelKind
  readonly #pairs: TunnelPair[] = []

  constructor(kind: TunnelKind) {
    this.kind = kind
  }

  newTunnel = async (): Promise<TunnelPair> => {
    // From the first byte on a stream is bulk, or never.
    const settings = { rawFromBytes: this.kind === 'frames' ? Infinity : 1 }
    const pair = await tunnelPair(settings, settings)
    if (this.#isWithoutHandles) for (const stream of [pair.nearSocket, pair.farSocket]) hideHandle({ stream })
    this.#pairs.push(pair)
    return pair
  }

  /** One connection, over a tunnel of its own, that is what its kind says already: a raw one has left the frames at both ends. */
  connect = async (): Promise<TunnelEnds> => {
    const ends = await this.connectAnew()
    const wanted = MOVED_BY_A_BYTE[this.kind]
    await until(
      async () => (await movedByAByte(ends)).every((moved) => moved === wanted),
      `the connection to be ${this.kind}`,
      PATIENCE_MS,
    )
    return ends
  }

  /** One connection, over a tunnel of its own: it begins in frames, whatever its kind. */
  connectAnew = async (): Promise<TunnelEnds> => connectOver(await this.newTunnel(), this.#isWithoutHandles)

  get #isWithoutHandles(): boolean {
    return this.kind === 'raw, without the handles'
  }

  async close(): Promise<void> {
    await Promise.all(this.#pairs.splice(0).map((pair) => pair.close()))
  }
}

/** Says a byte each way, and hears them. @returns what that added to `moved` at each end */
export async function movedByAByte({ near, far, moved }: TunnelEnds): Promise<number[]> {
  const before = moved()
  for (const [from, to] of [
    [near, far],
    [far, near],
  ] as const) {
    from.write('.')
    await readBytes(to, 1, AbortSignal.timeout(PATIENCE_MS))
  }
  return moved().map((now, at) => now - before[at]!)
}

/** One connection over this tunnel. @param isWithoutHandles the sockets that are pumped at both ends take no buffers */
export async function connectOver(pair: TunnelPair, isWithoutHandles = false): Promise<TunnelEnds> {
  const { here, there } = await pair.open()
  const [near, accepted] = await socketLinks()
  const [far, dialed] = await socketLinks()
  if (isWithoutHandles) for (const link of [accepted, dialed]) hideHandle(link)
  const pumps = [accepted.pumpTo(here), there.pumpTo(dialed)]
  return {
    near,
    far,
    resetNear: () => void near.resetAndDestroy(),
    resetFar: () => void far.resetAndDestroy(),
    pumped: Promise.all(pumps).then((outcomes) => outcomes.map(({ cause }) => cause)),
    moved: () => [here, there].map(movedOf),
    isRaw: () => !pair.near.isOpen && !pair.far.isOpen,
  }
}
