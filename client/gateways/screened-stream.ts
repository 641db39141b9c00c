// A stream to the server whose first bytes go through a screen before they are sent; what comes from the server passes at once,
// so that a server that speaks first is heard. Half-close and back-pressure are those of the stream within. Called by connection.ts.
import { Duplex } from 'node:stream'
import type { Link } from '../../link/link.ts'
import type { ByteScreen, Judgement } from './protocols/http-screen.ts'

/** How long something that may still become a request is held back, in ms: a browser sends a request line at once. */
const PATIENCE_MS = 2000

export class ScreenedStream extends Duplex {
  readonly #link: Link
  readonly #inner: Duplex
  readonly #onRefused: (text: string) => void
  #screen: ByteScreen | undefined
  #held: Buffer[] = []
  #timer: NodeJS.Timeout | undefined

  /** @param onRefused told once why; both streams are destroyed then, and not one byte was sent */
  constructor(link: Link, screen: ByteScreen, onRefused: (text: string) => void) {
    super({ allowHalfOpen: true })
    const inner = link.stream
    this.#link = link
    this.#inner = inner
    this.#screen = screen
    this.#onRefused = onRefused
    inner.on('data', (bytes: Buffer) => {
      if (!this.push(bytes)) inner.pause()
    })
    inner.once('end', () => this.push(null))
    inner.once('error', (error) => this.destroy(error))
    inner.once('close', () => {
      // One that is over in both directions has closed by itself; what it said is still on its way through here.
      if (!inner.readableEnded || !inner.writableFinished) this.destroy()
    })
    inner.pause()
  }

  override _read(): void {
    this.#inner.resume()
  }

  override _write(bytes: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    if (!this.#screen) {
      this.#send(bytes, done)
      return
    }
    this.#held.push(bytes)
    this.#settle(this.#screen.take(bytes), done)
  }

  override _final(done: (error?: Error | null) => void): void {
    // A likeness of a request that ends is none.
    this.#giveUp()
    this.#inner.end((error?: Error | null) => done(error))
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    clearTimeout(this.#timer)
    // Broken off before both ends is a reset there too, so that half of what was said never looks whole.
    if (this.readableEnded && this.writableFinished) this.#link.destroy()
    else this.#link.reset()
    done(error)
  }

  #giveUp(): void {
    const judgement = this.#screen?.giveUp()
    if (judgement && judgement.kind !== 'more') this.#settle(judgement, () => undefined)
  }

  #settle(judgement: Judgement, done: (error?: Error | null) => void): void {
    clearTimeout(this.#timer)
    switch (judgement.kind) {
      case 'more':
        this.#timer = setTimeout(() => this.#giveUp(), PATIENCE_MS)
        done()
        return
      case 'pass':
        this.#screen = undefined
        this.#send(Buffer.concat(this.#held.splice(0)), done)
        return
      case 'refused':
        this.#held = []
        this.#onRefused(judgement.text)
        this.destroy()
        done()
    }
  }

  #send(bytes: Buffer, done: (error?: Error | null) => void): void {
    if (this.#inner.write(bytes)) done()
    else this.#inner.once('drain', () => done())
  }
}
