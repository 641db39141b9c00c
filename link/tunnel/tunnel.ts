// A tunnel: many streams over one TLS connection, so that a new one costs no handshake. The side that dialled opens streams, the
// other accepts them. Streams that have something to send take turns; each has a window of its own, so that a slow reader holds
// nobody else up. A stream that turns out to be bulk while it is alone is given the whole connection, without frames (raw). Called
// by the client's route-tunnels.ts and the server's route-tunnel.ts. docs/protocol.md has the rules of the wire.
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { startHeartbeat, type Heartbeat } from '../heartbeat.ts'
import { linkOf, type Link } from '../link.ts'
import { encodeCredit, encodeFrame, FRAME, FrameReader, TunnelProtocolError, type FrameType } from './frames.ts'
import { FrameTurns } from './frame-turns.ts'
import { TunnelStream } from './tunnel-stream.ts'

/** Streams of one tunnel at a time. */
export const TUNNEL_STREAMS_MAX = 256
/** A connection that has moved so many bytes is likely to live on, and is worth the handshake of a tunnel for the next one. */
const RAW_FROM_BYTES = 256 * 1024
/** How long the other end may take to close after us, in ms. */
const CLOSE_TIMEOUT_MS = 2000
/** An ALPN name as it may stand in OPEN. */
const ALPN_NAME = /^[a-z0-9][a-z0-9./_-]*$/

/** What a tunnel is over by whose other end answers no more. */
export class TunnelSilent extends Error {
  override readonly name = 'TunnelSilent'
}

export type TunnelSettings = {
  /** Without a stream for so long it closes. */
  idleMs: number
  /** See heartbeat.ts (I3). */
  pingEveryMs: number
  pongWithinMs: number
  /** A stream that has moved so much is bulk, in bytes; of interest on the side that dialled. */
  rawFromBytes?: number
}

export type TunnelOptions = {
  /** A finished handshake, and the TCP connection below it. The tunnel owns both. */
  socket: Duplex
  transport: Duplex
  settings: TunnelSettings
  /** Takes each stream that the other end opens, for the protocol of that ALPN name; undefined on the side that opens them. */
  onStream?: (link: Link, alpn: string) => void
}

export class Tunnel {
  /** Resolves, never rejects, when it is over: with why, if that was not as it should be. */
  readonly closed: Promise<Error | undefined>
  readonly #socket: Duplex
  readonly #carrier: Link
  readonly #onStream: TunnelOptions['onStream']
  readonly #idleMs: number
  readonly #rawFromBytes: number
  readonly #heartbeat: Heartbeat
  readonly #reader: FrameReader
  /** Those that the other end may still say something about. */
  readonly #streams = new Map<number, TunnelStream>()
  readonly #turns: FrameTurns
  #lastId = 0
  #idleTimer: NodeJS.Timeout | undefined
  #isDraining = false
  /** The stream that has the connection to itself from the other end's RAW on; from ours on, the turns know it. */
  #rawIn: TunnelStream | undefined
  #failure: Error | undefined
  /** Told, once, when something comes from the other end, or that nothing will. */
  readonly #listening = new Set<(isAlive: boolean) => void>()

  constructor(options: TunnelOptions) {
    const { socket, transport, settings } = options
    this.#socket = socket
    this.#carrier = linkOf(socket, transport)
    this.#onStream = options.onStream
    this.#idleMs = settings.idleMs
    this.#rawFromBytes = settings.rawFromBytes ?? RAW_FROM_BYTES
    this.#reader = new FrameReader({
      onData: (id, piece) => this.#onData(id, piece),
      onFrame: (type, id, payload) => this.#onFrame(type, id, payload),
    })
    this.#turns = new FrameTurns(socket, {
      isShared: () => this.#streams.size > 1,
      onSent: (stream) => this.#considerRaw(stream),
      onEndSent: (stream) => {
        if (stream.isEndReceived) this.#forget(stream)
      },
    })
    this.#heartbeat = startHeartbeat({
      everyMs: settings.pingEveryMs,
      answerWithinMs: settings.pongWithinMs,
      ask: () => this.#turns.send(encodeFrame(FRAME.ping, 0)),
      onSilent: () => this.destroy(new TunnelSilent('the other end of the tunnel does not answer')),
    })
    socket.on('data', this.#onBytes)
    socket.on('end', () => this.#onEnd())
    this.closed = this.#carrier.closed.then(() => this.#onClosed())
    this.#watchIdle()
  }

  /** Whether a stream can be opened on it now. */
  get isOpen(): boolean {
    return (
      !this.#isDraining &&
      !this.#turns.raw &&
      !this.#socket.destroyed &&
      !this.#socket.writableEnded &&
      this.#streams.size < TUNNEL_STREAMS_MAX
    )
  }

  /** Streams that live. */
  get size(): number {
    return this.#streams.size
  }

  /** What the busiest stream that lives has moved, both ways together, in bytes. */
  get most(): number {
    let most = 0
    for (const { moved } of this.#streams.values()) most = Math.max(most, moved)
    return most
  }

  /** Opens a stream for the protocol of that ALPN name; the caller owns its link. @throws Error if it is not open */
  open(alpn: string): Link {
    if (!this.isOpen) throw new Error('this tunnel takes no new streams')
    const stream = this.#begin(++this.#lastId)
    this.#turns.send(encodeFrame(FRAME.open, stream.id, Buffer.from(alpn)))
    return linkOf(stream)
  }

  /** Takes no new streams, and closes when the last one is over. */
  drain(): void {
    if (this.#isDraining) return
    this.#isDraining = true
    if (this.#turns.raw) return
    this.#turns.send(encodeFrame(FRAME.goAway, 0))
    this.#closeIfOver()
  }

  /** Now: every stream is reset. Idempotent. @param cause what `closed` resolves to */
  destroy(cause?: Error): void {
    this.#failure ??= cause
    this.#heartbeat.stop()
    clearTimeout(this.#idleTimer)
    this.#breakStreams()
    this.#carrier.reset()
  }

  /** Whether the other end says anything within that time; asks it to, if it has not by a sixth of it. */
  isAliveWithin(ms: number): Promise<boolean> {
    return new Promise((resolve) => {
      const settle = (isAlive: boolean): void => {
        clearTimeout(timer)
        this.#listening.delete(settle)
        resolve(isAlive)
      }
      // Nearly always something comes by itself: an answer for each new stream would be a record and a read at both ends.
      const ask = (): void => {
        if (!this.#turns.raw) this.#turns.send(encodeFrame(FRAME.ping, 0))
        const leftMs = fromMs + ms - performance.now()
        // None, where this process was stopped, or slept, for longer: before the deadlines of those who ask are noticed.
        if (leftMs <= 0) settle(false)
        else timer = setTimeout(settle, leftMs, false)
      }
      const fromMs = performance.now()
      let timer = setTimeout(ask, ms / 6)
      if (this.#socket.destroyed) settle(false)
      else this.#listening.add(settle)
    })
  }

  // --- what comes -----------------------------------------------------------------------------------------------------

  readonly #onBytes = (bytes: Buffer): void => {
    for (const hear of this.#listening) hear(true)
    if (this.#rawIn) {
      this.#onRawBytes(this.#rawIn, bytes)
      return
    }
    this.#heartbeat.answered()
    try {
      const rest = this.#reader.push(bytes)
      // Read again: the frames may have been the last ones.
      const raw = this.#rawIn as TunnelStream | undefined
      if (raw && rest.length > 0) this.#onRawBytes(raw, rest)
    } catch (error) {
      if (!(error instanceof TunnelProtocolError)) throw error
      this.destroy(error)
    }
  }

  #onRawBytes(stream: TunnelStream, bytes: Buffer): void {
    if (!stream.destroyed && !stream.receive(bytes)) this.#socket.pause()
  }

  #onData(id: number, piece: Buffer): void {
    const stream = this.#known(id)
    if (!stream) return
    stream.receive(piece)
    this.#considerRaw(stream)
  }

  #onFrame(type: FrameType, id: number, payload: Buffer): void {
    switch (type) {
      case FRAME.open:
        this.#accept(id, payload.toString('latin1'))
        return
      case FRAME.end: {
        const stream = this.#known(id)
        if (stream?.isEndReceived) throw new TunnelProtocolError(`a second end of stream ${id}`)
        stream?.receiveEnd()
        if (stream?.isEndSent) this.#forget(stream)
        return
      }
      case FRAME.reset: {
        const stream = this.#known(id)
        if (!stream) return
        this.#forget(stream)
        stream.breakOff()
        return
      }
      case FRAME.stop: {
        const stream = this.#known(id)
        if (!stream) return
        if (!stream.isEndReceived) throw new TunnelProtocolError(`stream ${id} is stopped before its end`)
        this.#forget(stream)
        stream.stop()
        return
      }
      case FRAME.credit:
        this.#known(id)?.addCredit(payload.readUInt32BE())
        return
      case FRAME.ping:
        this.#turns.send(encodeFrame(FRAME.pong, 0))
        return
      case FRAME.pong:
        return
      case FRAME.goAway:
        this.#isDraining = true
        this.#closeIfOver()
        return
      case FRAME.raw:
        this.#onRaw(id)
        return
      case FRAME.data:
        return
    }
  }

  /** The stream of that id; undefined if it is over already. @throws TunnelProtocolError if there was never one */
  #known(id: number): TunnelStream | undefined {
    if (id > this.#lastId) throw new TunnelProtocolError(`stream ${id} was never opened`)
    return this.#streams.get(id)
  }

  #accept(id: number, alpn: string): void {
    if (!this.#onStream) throw new TunnelProtocolError('only the side that dialled opens streams')
    if (id <= this.#lastId) throw new TunnelProtocolError(`stream ${id} is opened out of order`)
    if (!ALPN_NAME.test(alpn)) throw new TunnelProtocolError(`stream ${id} is opened for no ALPN name`)
    this.#lastId = id
    if (this.#isDraining || this.#streams.size >= TUNNEL_STREAMS_MAX) {
      this.#turns.send(encodeFrame(FRAME.reset, id))
      return
    }
    this.#onStream(linkOf(this.#begin(id)), alpn)
  }

  #onRaw(id: number): void {
    const stream = this.#known(id)
    if (!this.#onStream && this.#turns.raw?.id !== id) throw new TunnelProtocolError(`stream ${id} was not to be raw`)
    if (!stream) {
      // It was broken off here, and that is on its way to the other end.
      this.#carrier.destroy()
      return
    }
    if (this.#streams.size > 1) throw new TunnelProtocolError(`stream ${id} is to be raw beside others`)
    this.#rawIn = stream
    if (!this.#turns.raw) this.#goRaw(stream)
    const socket = this.#socket
    if (socket instanceof Socket) stream.bareReads(socket, () => socket.off('data', this.#onBytes).pause())
  }

  #onEnd(): void {
    if (this.#rawIn) this.#rawIn.receiveEnd()
    else if (this.#streams.size > 0) this.destroy(new Error('the tunnel was closed under its streams'))
    else this.#close()
  }

  #onClosed(): Error | undefined {
    this.#heartbeat.stop()
    clearTimeout(this.#idleTimer)
    for (const hear of this.#listening) hear(false)
    this.#breakStreams()
    return this.#failure
  }

  #breakStreams(): void {
    for (const stream of [...this.#streams.values()]) {
      this.#streams.delete(stream.id)
      // One that has both its ends has only its reader to wait for.
      if (!stream.isEndSent || !stream.isEndReceived) stream.breakOff(this.#failure)
    }
  }

  // --- raw ------------------------------------------------------------------------------------------------------------

  /** A stream that is bulk, alone, and open both ways has the connection to itself from here on. */
  #considerRaw(stream: TunnelStream): void {
    if (stream.moved < this.#rawFromBytes || this.#onStream || this.#turns.raw || this.#streams.size > 1) return
    if (stream.destroyed || stream.isEndReceived || stream.writableEnded || this.#socket.writableEnded) return
    this.#goRaw(stream)
  }

  #goRaw(stream: TunnelStream): void {
    this.#turns.goRaw(stream)
    this.#heartbeat.stop()
    clearTimeout(this.#idleTimer)
    stream.goRaw()
    if (stream.isEndSent) this.#turns.end()
    else if (this.#socket instanceof Socket) stream.bareWrites(this.#socket)
  }

  // --- streams --------------------------------------------------------------------------------------------------------

  #begin(id: number): TunnelStream {
    const stream = new TunnelStream(id, {
      wantTurn: (wanting) => this.#turns.add(wanting),
      sendNow: (sending, piece) => this.#turns.sendNow(sending, piece),
      grant: ({ id }, bytes) => {
        if (this.#streams.has(id)) this.#turns.send(encodeCredit(id, bytes))
      },
      resume: () => void this.#socket.resume(),
      gone: (over, how) => this.#onGone(over, how),
    })
    this.#streams.set(id, stream)
    clearTimeout(this.#idleTimer)
    return stream
  }

  #onGone(stream: TunnelStream, how: 'finished' | 'stopped' | 'reset'): void {
    this.#turns.remove(stream)
    if (!this.#streams.has(stream.id)) return
    if (this.#turns.raw) {
      this.#forget(stream)
      if (how === 'reset') this.#carrier.reset()
      else if (how === 'stopped') this.#carrier.destroy()
      return
    }
    if (how !== 'finished') this.#turns.send(encodeFrame(how === 'reset' ? FRAME.reset : FRAME.stop, stream.id))
    this.#forget(stream)
  }

  #forget(stream: TunnelStream): void {
    this.#streams.delete(stream.id)
    this.#watchIdle()
    this.#closeIfOver()
  }

  #watchIdle(): void {
    clearTimeout(this.#idleTimer)
    if (this.#streams.size > 0 || this.#turns.raw) return
    this.#idleTimer = setTimeout(() => this.drain(), this.#idleMs)
    this.#idleTimer.unref()
  }

  #closeIfOver(): void {
    if (this.#isDraining && this.#streams.size === 0 && !this.#turns.raw) this.#close()
  }

  /** No stream lives: the ends of TLS cross, within bounds. */
  #close(): void {
    if (this.#socket.destroyed || this.#socket.writableEnded) return
    this.#isDraining = true
    this.#heartbeat.stop()
    clearTimeout(this.#idleTimer)
    this.#turns.end()
    const late = setTimeout(() => this.#carrier.destroy(), CLOSE_TIMEOUT_MS)
    late.unref()
    void this.#carrier.closed.then(() => clearTimeout(late))
  }
}
