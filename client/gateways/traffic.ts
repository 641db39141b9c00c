// What goes through one gateway: its living connections with their byte counters, totals since it was opened, rates. The
// counters are the sockets' own, so counting costs nothing. Owned by gateway.ts, shown in the state of the app.
import type { Socket } from 'node:net'
import type { PumpProgress } from '../../link/link.ts'
import type { ConnectionView } from '../../shared/app-state.ts'

/** A client may call itself anything; more than PostgreSQL itself keeps of it (NAMEDATALEN - 1) is not shown. */
const CLIENT_NAME_MAX = 63
/** How exactly it is known when a client was last active, in ms. */
const SAMPLE_INTERVAL_MS = 1000

export class ConnectionRecord {
  readonly id: string
  readonly #socket: Socket
  readonly #sinceMs: number
  client: string | null = null
  state: ConnectionView['state'] = 'connecting'
  /** Of the pump that carries it. */
  readonly progress: PumpProgress = { forward: 0, backward: 0 }
  #seen = 0
  /** When the client last sent something, in ms since the epoch. */
  lastActiveMs: number | undefined

  constructor(id: string, socket: Socket, sinceMs: number) {
    this.id = id
    this.#socket = socket
    this.#sinceMs = sinceMs
  }

  /** Notes whether the client has sent something since the last time: nobody is told of each piece. */
  sample(nowMs: number): void {
    if (this.progress.forward === this.#seen) return
    this.#seen = this.progress.forward
    this.lastActiveMs = nowMs
  }

  /** From the client to the target. */
  get bytesIn(): number {
    return this.#socket.bytesRead
  }

  get bytesOut(): number {
    return this.#socket.bytesWritten
  }

  view(): ConnectionView {
    return {
      id: this.id,
      client: this.client === null ? null : this.client.slice(0, CLIENT_NAME_MAX),
      since: new Date(this.#sinceMs).toISOString(),
      state: this.state,
      bytesIn: this.bytesIn,
      bytesOut: this.bytesOut,
      lastActiveAt: this.lastActiveMs === undefined ? null : new Date(this.lastActiveMs).toISOString(),
    }
  }
}

export class Traffic {
  readonly #now: () => number
  #sampling: NodeJS.Timeout | undefined
  readonly #living = new Set<ConnectionRecord>()
  /** Of the connections that are over. */
  #past = { in: 0, out: 0 }
  #looked = { in: 0, out: 0 }
  #rates = { in: 0, out: 0 }

  /** @param now wall time, in ms since the epoch */
  constructor(now: () => number) {
    this.#now = now
  }

  begin(id: string, socket: Socket): ConnectionRecord {
    const record = new ConnectionRecord(id, socket, this.#now())
    this.#living.add(record)
    this.#sampling ??= setInterval(() => this.#sample(), SAMPLE_INTERVAL_MS).unref()
    return record
  }

  #sample(): void {
    const now = this.#now()
    for (const record of this.#living) record.sample(now)
  }

  end(record: ConnectionRecord): void {
    if (!this.#living.delete(record)) return
    if (this.#living.size === 0) {
      clearInterval(this.#sampling)
      this.#sampling = undefined
    }
    this.#past.in += record.bytesIn
    this.#past.out += record.bytesOut
  }

  /** Since the gateway was opened. */
  get totals(): { in: number; out: number } {
    const totals = { ...this.#past }
    for (const record of this.#living) {
      totals.in += record.bytesIn
      totals.out += record.bytesOut
    }
    return totals
  }

  /** Bytes a second, at the last look. */
  get rates(): { in: number; out: number } {
    return this.#rates
  }

  /** Reckons the rates anew. @param elapsedMs since the last look; undefined where there was none just before */
  look(elapsedMs: number | undefined): void {
    const now = this.totals
    const perSecond = (bytes: number) => (elapsedMs === undefined ? 0 : Math.round((bytes * 1000) / elapsedMs))
    this.#rates = { in: perSecond(now.in - this.#looked.in), out: perSecond(now.out - this.#looked.out) }
    this.#looked = now
  }

  /** Whether the next look may tell something new. */
  get isLively(): boolean {
    return this.#living.size > 0 || this.#rates.in > 0 || this.#rates.out > 0
  }

  /** Living connections, newest first. */
  list(atMost: number): ConnectionView[] {
    this.#sample()
    return [...this.#living]
      .reverse()
      .slice(0, atMost)
      .map((record) => record.view())
  }
}
