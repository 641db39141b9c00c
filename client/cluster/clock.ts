// The server's clock as this machine knows it (C6): an offset, learnt from every answer that carries `serverTime`. Minutes
// off break nothing; a day off refuses the login and names both clocks, also where TLS itself fails because of it.
import { ClusterInfo } from '../../shared/login-api.ts'
import { PosternError } from '../../shared/errors.ts'
import { ALPN } from '../../shared/names.ts'
import type { Cluster } from './address.ts'
import { chainOf, leadsToTrusted } from './chain.ts'
import { exchange } from './exchange.ts'
import { anonymousContext, connectTls } from './tls.ts'

/** Told the server's time, in ms since the epoch, whenever it says it. */
export type NoteServerTime = (serverMs: number) => void

/** Clocks further apart than this refuse a login, in ms. */
export const CLOCK_SKEW_MAX_MS = 24 * 3_600_000

export type ServerClock = {
  /** The server's time now, in ms since the epoch. */
  now(): number
  /** Server clock minus this machine's, in ms. */
  offsetMs(): number
  note: NoteServerTime
}

export function createServerClock(localNow: () => number, offsetMs: number): ServerClock {
  let offset = offsetMs
  return {
    now: () => localNow() + offset,
    offsetMs: () => offset,
    note: (serverMs) => {
      offset = Math.round(serverMs - localNow())
    },
  }
}

/** @throws PosternError `clock_skew` naming both clocks, if they are more than a day apart */
export function refuseClockSkew(serverMs: number, localMs: number): void {
  if (Math.abs(serverMs - localMs) > CLOCK_SKEW_MAX_MS) throw clockSkew(serverMs, localMs)
}

const clockSkew = (serverMs: number, localMs: number, cause?: unknown): PosternError =>
  new PosternError(
    'clock_skew',
    `this machine's clock says ${clockText(localMs)}, the access server's says ${clockText(serverMs)}: ` +
      'they are more than a day apart. Set the wrong one right, then log in again',
    { cause },
  )

const clockText = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z')

/**
 * TLS said that the server's certificate is out of date. Asks the server for its time over a connection whose dates are not
 * looked at (signatures and the name still are, and nothing secret is sent), so that the error can name both clocks.
 */
export async function explainDateError(
  cluster: Cluster,
  dateError: unknown,
  localNow: () => number,
  signal: AbortSignal,
): Promise<unknown> {
  let serverMs: number
  try {
    const { socket } = await connectTls({
      address: cluster.address,
      alpn: ALPN.web,
      context: anonymousContext(cluster.caPems),
      signal,
      isVerified: false,
    })
    if (!leadsToTrusted(chainOf(socket), cluster)) {
      socket.destroy()
      return dateError
    }
    const { json } = await exchange(socket, cluster.address, { method: 'GET', path: '/v1/cluster' }, signal)
    serverMs = Date.parse(ClusterInfo.parse(json).serverTime)
  } catch {
    return dateError
  }
  const localMs = localNow()
  if (Math.abs(serverMs - localMs) > CLOCK_SKEW_MAX_MS) return clockSkew(serverMs, localMs, dateError)
  return new PosternError(
    'server_untrusted',
    `${dateError instanceof Error ? dateError.message : 'the certificate of the server is out of date'} (${clockText(localMs)}; ` +
      `the server's clock says ${clockText(serverMs)}): its administrator has to renew it`,
    { cause: dateError },
  )
}
