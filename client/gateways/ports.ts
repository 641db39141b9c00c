// Which port a gateway gets: chosen once, the same one for the same names in the same home if it is free, outside the range
// from which the system takes ports for outgoing connections (G15, G16). Called by gateways.ts.
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { PosternError } from '../../shared/errors.ts'

export type PortRange = { first: number; last: number }

/** Below it are ports of well-known services. */
const LOWEST_PORT = 15_000
const HIGHEST_PORT = 65_535
/** Where the system's range cannot be read: Linux's default and IANA's dynamic ports together. */
const DEFAULT_EPHEMERAL: PortRange = { first: 32_768, last: 65_535 }

/** The range from which the system picks ports for outgoing connections. */
export async function readEphemeralRange(): Promise<PortRange> {
  try {
    const text = await readFile('/proc/sys/net/ipv4/ip_local_port_range', 'utf8')
    const [first, last] = text.trim().split(/\s+/).map(Number)
    return first && last && first <= last ? { first, last } : DEFAULT_EPHEMERAL
  } catch {
    return DEFAULT_EPHEMERAL
  }
}

/**
 * The ports that a gateway may get, the deterministic first choice first; at most `count`.
 * @param wanted the person's own range, taken as it is; without one, ports outside the ephemeral range
 */
export function portCandidates(
  key: string,
  ephemeral: PortRange,
  reserved: ReadonlySet<number>,
  count: number,
  wanted?: PortRange,
): number[] {
  const allowed: number[] = []
  const { first, last } = wanted ?? { first: LOWEST_PORT, last: HIGHEST_PORT }
  for (let port = first; port <= last; port++) {
    if (wanted || port < ephemeral.first || port > ephemeral.last) allowed.push(port)
  }
  const start = createHash('sha256').update(key).digest().readUInt32BE() % allowed.length
  const inOrder = [...allowed.slice(start), ...allowed.slice(0, start)]
  return inOrder.filter((port) => !reserved.has(port)).slice(0, count)
}

/** A port that somebody else has: named, with the way out, never answered by a silent new number. */
export const portConflict = (port: number, holder: string, cause?: unknown): PosternError =>
  new PosternError('port_conflict', `port ${port} is taken by ${holder}; free it, or choose another with --port`, {
    cause,
    detail: { port },
  })
