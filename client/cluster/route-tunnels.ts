// The tunnels of one gateway: a few TLS connections with its route certificate, over which its connections go as streams without a
// handshake of their own (link/tunnel). A stream has a tunnel to itself while there are few, so that it can be given the whole
// connection when it turns out to be bulk, and shares where there are many or where short ones come and go fast. Tunnels belong to one published certificate: with the
// next one come new ones, and those that live on are drained (G1). Owned by gateway.ts, called by dial.ts.
import type { Logger } from 'pino'
import type { Link } from '../../link/link.ts'
import { TunnelStream } from '../../link/tunnel/tunnel-stream.ts'
import { Tunnel, type TunnelSettings } from '../../link/tunnel/tunnel.ts'
import { PosternError } from '../../shared/errors.ts'
import { ALPN, type Alpn, type RouteIdentity } from '../../shared/names.ts'
import type { Cluster } from './address.ts'
import { dialTurn } from './dial-turns.ts'
import type { KeyedCertificate } from './keyed-certificate.ts'
import { BRIEF_BYTES, StreamChurn } from './stream-churn.ts'
import { connectTls, isWithoutAlpn, unreachable } from './tls.ts'

/** Tunnels that take streams, for one route; more only where these are full. So many connections have one to themselves. */
const TUNNELS_MAX = 16
/** Streams on one tunnel where short ones come and go fast; further ones have the next tunnel. */
const TOGETHER_MAX = 16
/** For connecting and the handshake of one, in ms. */
const DIAL_DEADLINE_MS = 15_000
/** A server that knows no tunnels is asked again after so long: it may have been updated. In ms. */
const UNSUPPORTED_FOR_MS = 10 * 60_000
/** I3: a peer that is gone without a word is noticed within 45 s. In ms. */
const SETTINGS: TunnelSettings = { idleMs: 60_000, pingEveryMs: 30_000, pongWithinMs: 15_000 }

/** What was learnt of a server: one for each profile. */
export type TunnelSupport = { unsupportedUntilMs: number }
export const unknownTunnelSupport = (): TunnelSupport => ({ unsupportedUntilMs: 0 })

export type TunnelTarget = { cluster: Cluster; certificate: KeyedCertificate<RouteIdentity> }

/** What a stream of a tunnel has moved, both ways together, in bytes. */
const movedBy = ({ stream }: Link): number => (stream instanceof TunnelStream ? stream.moved : 0)

/** A stream just opened. */
export type Opened = { link: Link; tunnel: Tunnel }

type Waiter = { resolve: (tunnel: Tunnel | undefined) => void; reject: (error: Error) => void }

export class RouteTunnels {
  readonly #support: TunnelSupport
  readonly #now: () => number
  readonly #log: Logger
  readonly #settings: TunnelSettings
  readonly #tunnelsMax: number
  #pool: Pool | undefined
  #isClosed = false

  /** @param options.now monotonic or wall time, in ms */
  constructor(options: {
    support: TunnelSupport
    now: () => number
    log: Logger
    settings?: TunnelSettings
    /** Tunnels that take streams; fewer than that, and streams share them sooner. */
    tunnelsMax?: number
  }) {
    this.#support = options.support
    this.#now = options.now
    this.#log = options.log
    this.#settings = options.settings ?? SETTINGS
    this.#tunnelsMax = options.tunnelsMax ?? TUNNELS_MAX
  }

  /**
   * Opens a stream, on a tunnel that is dialled for it if there is none. undefined: there can be none; dial a connection of its own.
   * @throws PosternError `server_unreachable`, `server_untrusted`; the signal's reason if that aborts
   */
  async open(alpn: Alpn, target: TunnelTarget, signal: AbortSignal): Promise<Opened | undefined> {
    signal.throwIfAborted()
    if (this.#isClosed || this.#now() < this.#support.unsupportedUntilMs) return undefined
    const pool = this.#poolFor(target)
    const tunnel = pool.take() ?? (await pool.waitForOne(signal))
    // Meanwhile others may have taken the last place on it.
    return tunnel?.isOpen ? { link: pool.openOn(tunnel, alpn), tunnel } : undefined
  }

  /** Opens a stream only where a tunnel with this certificate is up: for what waits for nobody. */
  openNow(alpn: Alpn, { certificate }: TunnelTarget): Opened | undefined {
    const tunnel = this.#pool?.target.certificate === certificate ? this.#pool.takeNow() : undefined
    return tunnel && { link: tunnel.open(alpn), tunnel }
  }

  /** The route is good: the next connection finds a tunnel that is up, where the last free one was taken. */
  dialAhead({ certificate }: TunnelTarget): void {
    if (!this.#isClosed && this.#pool?.target.certificate === certificate) this.#pool.dialAhead()
  }

  /** Takes no new streams for now: those that live go on, tunnels without one close at once. */
  drain(): void {
    this.#pool?.drain()
    this.#pool = undefined
  }

  /** The gateway is closed: as drain, and for good. */
  close(): void {
    this.#isClosed = true
    this.drain()
  }

  #poolFor(target: TunnelTarget): Pool {
    const { certificate, cluster } = target
    const now = this.#pool?.target
    const isSame =
      now?.certificate === certificate &&
      now.cluster.address.text === cluster.address.text &&
      now.cluster.caPems === cluster.caPems
    if (this.#pool && isSame) return this.#pool
    this.drain()
    this.#pool = new Pool(target, {
      settings: this.#settings,
      tunnelsMax: this.#tunnelsMax,
      now: this.#now,
      log: this.#log,
      onUnsupported: () => (this.#support.unsupportedUntilMs = this.#now() + UNSUPPORTED_FOR_MS),
    })
    return this.#pool
  }
}

type PoolOptions = {
  settings: TunnelSettings
  tunnelsMax: number
  now: () => number
  log: Logger
  onUnsupported: () => void
}

/** The tunnels of one certificate. */
class Pool {
  readonly target: TunnelTarget
  readonly #options: PoolOptions
  readonly #tunnels = new Set<Tunnel>()
  readonly #waiting = new Set<Waiter>()
  readonly #end = new AbortController()
  readonly #churn: StreamChurn
  #dialing = 0

  constructor(target: TunnelTarget, options: PoolOptions) {
    this.target = target
    this.#options = options
    this.#churn = new StreamChurn(options.now)
  }

  /** A stream on one of its tunnels that is open. */
  openOn(tunnel: Tunnel, alpn: Alpn): Link {
    const link = tunnel.open(alpn)
    const openedMs = this.#options.now()
    link.stream.once('close', () => this.#churn.noteEnd(openedMs, movedBy(link)))
    return link
  }

  /** A free one; where there is none and there may be no more, the one with the fewest streams. undefined: wait for one. */
  take(): Tunnel | undefined {
    return this.#goodNow() ?? (this.#isFull() ? this.takeNow() : undefined)
  }

  /** One that has nothing else to do, or is good enough for a stream that is likely to be over at once. */
  #goodNow(): Tunnel | undefined {
    if (this.#churn.isHigh)
      for (const tunnel of this.#tunnels)
        if (tunnel.isOpen && tunnel.size < TOGETHER_MAX && tunnel.most <= BRIEF_BYTES) return tunnel
    const least = this.takeNow()
    return least?.size === 0 ? least : undefined
  }

  /** One that is up, the one with the fewest streams. */
  takeNow(): Tunnel | undefined {
    let best: Tunnel | undefined
    for (const tunnel of this.#tunnels)
      if (tunnel.isOpen && (best === undefined || tunnel.size < best.size)) best = tunnel
    return best
  }

  dialAhead(): void {
    if (!this.#goodNow() && !this.#isFull()) void this.#dial()
  }

  /** Resolves with one of those that are being dialled; undefined: the server knows no tunnels. */
  waitForOne(signal: AbortSignal): Promise<Tunnel | undefined> {
    return new Promise((resolve, reject) => {
      const onAbort = (): void => waiter.reject(signal.reason as Error)
      const settle = (act: () => void): void => {
        this.#waiting.delete(waiter)
        signal.removeEventListener('abort', onAbort)
        act()
      }
      const waiter: Waiter = {
        resolve: (tunnel) => settle(() => resolve(tunnel)),
        reject: (error) => settle(() => reject(error)),
      }
      this.#waiting.add(waiter)
      signal.addEventListener('abort', onAbort, { once: true })
      // Those that wait share what comes up; a few at once have one each.
      if (this.#dialing < Math.min(this.#options.tunnelsMax, this.#waiting.size)) void this.#dial()
    })
  }

  drain(): void {
    this.#end.abort()
    for (const tunnel of this.#tunnels) tunnel.drain()
  }

  #isFull(): boolean {
    let open = this.#dialing
    for (const tunnel of this.#tunnels) if (tunnel.isOpen) open += 1
    return open >= this.#options.tunnelsMax
  }

  async #dial(): Promise<void> {
    this.#dialing += 1
    let outcome: { tunnel: Tunnel | undefined } | { error: unknown }
    try {
      outcome = { tunnel: await this.#dialTunnel() }
    } catch (error) {
      outcome = { error }
    }
    this.#dialing -= 1
    this.#share(outcome)
  }

  /** Those that wait are spread over what is still to come. */
  #share(outcome: { tunnel: Tunnel | undefined } | { error: unknown }): void {
    const waiting = [...this.#waiting]
    if ('tunnel' in outcome) {
      const share = outcome.tunnel ? Math.ceil(waiting.length / (this.#dialing + 1)) : waiting.length
      for (const waiter of waiting.slice(0, share)) waiter.resolve(outcome.tunnel)
    } else if (this.#dialing === 0) {
      for (const waiter of waiting) {
        const up = this.takeNow()
        if (up) waiter.resolve(up)
        else waiter.reject(outcome.error as Error)
      }
    }
  }

  /** undefined: the server knows no tunnels, or something in between does not let them through. */
  async #dialTunnel(): Promise<Tunnel | undefined> {
    const { cluster, certificate } = this.target
    const { log, settings, onUnsupported } = this.#options
    const deadline = AbortSignal.timeout(DIAL_DEADLINE_MS)
    const signal = AbortSignal.any([deadline, this.#end.signal])
    let endTurn: (() => void) | undefined
    try {
      endTurn = await dialTurn(certificate.identity.routeId, signal)
      const { address, caPems } = cluster
      const context = certificate.contextFor(caPems)
      const connection = await connectTls({ address, alpn: ALPN.tunnel, context, signal, isResumable: true })
      const tunnel = new Tunnel({ ...connection, settings })
      this.#tunnels.add(tunnel)
      // Drained just as it came up.
      if (this.#end.signal.aborted) tunnel.drain()
      log.debug({ tunnels: this.#tunnels.size }, 'a tunnel is up')
      void tunnel.closed.then((failure) => {
        this.#tunnels.delete(tunnel)
        if (failure) log.info({ err: failure }, 'a tunnel broke')
      })
      return tunnel
    } catch (error) {
      // Drained meanwhile: the certificate is another one now, and who waits has what it asked for in a connection of its own.
      if (this.#end.signal.aborted) return undefined
      if (deadline.aborted) throw unreachable(cluster.address, `no answer within ${DIAL_DEADLINE_MS / 1000} s`, error)
      if (error instanceof PosternError && error.code !== 'protocol') throw error
      if (isWithoutAlpn(error)) onUnsupported()
      log.info({ err: error }, 'no tunnel to this server; each connection has one of its own')
      return undefined
    } finally {
      endTurn?.()
    }
  }
}
