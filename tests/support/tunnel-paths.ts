// Ways for bytes through a tunnel as the product has it: a client's socket, the pump of the core, a stream of the tunnel over TLS, the
// pump of the access server, the target's socket. Once with everything in frames, once given the whole connection (raw).
import { TunnelStream } from '../../link/tunnel/tunnel-stream.ts'
import type { Link } from '../../link/link.ts'
import type { Ends } from './pumped-paths.ts'
import { socketLinks, tunnelPair, type TunnelPair } from './tunnel-pair.ts'

export type TunnelKind = 'frames' | 'raw'
/** Bulk from so many bytes on leaves the frames. */
const RAW_FROM_BYTES: Record<TunnelKind, number> = { frames: Infinity, raw: 1 }

export type TunnelEnds = Ends & {
  /** Resolves when both pumps are over; what broke them off, if anything did. */
  pumped: Promise<(Error | undefined)[]>
  /** Bytes that went through the stream at each end, both ways together: those that went past it, raw, are not among them. */
  moved: () => number[]
}

const movedOf = ({ stream }: Link): number => {
  if (!(stream instanceof TunnelStream)) throw new Error('this link is no stream of a tunnel')
  return stream.moved
}

/** Tunnels of one kind; all of them are closed by `close`. */
export class TunnelPaths {
  readonly #kind: TunnelKind
  readonly #pairs: TunnelPair[] = []

  constructor(kind: TunnelKind) {
    this.#kind = kind
  }

  newTunnel = async (): Promise<TunnelPair> => {
    const settings = { rawFromBytes: RAW_FROM_BYTES[this.#kind] }
    const pair = await tunnelPair(settings, settings)
    this.#pairs.push(pair)
    return pair
  }

  /** One connection, over a tunnel of its own. */
  connect = async (): Promise<TunnelEnds> => connectOver(await this.newTunnel())

  async close(): Promise<void> {
    await Promise.all(this.#pairs.splice(0).map((pair) => pair.close()))
  }
}

/** One connection over this tunnel. */
export async function connectOver(pair: TunnelPair): Promise<TunnelEnds> {
  const { here, there } = await pair.open()
  const [near, accepted] = await socketLinks()
  const [far, dialed] = await socketLinks()
  const pumps = [accepted.pumpTo(here), there.pumpTo(dialed)]
  return {
    near,
    far,
    resetNear: () => void near.resetAndDestroy(),
    resetFar: () => void far.resetAndDestroy(),
    pumped: Promise.all(pumps).then((outcomes) => outcomes.map(({ cause }) => cause)),
    moved: () => [here, there].map(movedOf),
  }
}
