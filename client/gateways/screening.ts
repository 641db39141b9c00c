// The first bytes of a client, held back until a screen has judged them; what follows goes its own way (link/), and what comes
// from the server was never here, so that a server that speaks first is heard. Called by connection.ts.
import type { Duplex, Writable } from 'node:stream'
import type { ByteScreen, Judgement } from './protocols/http-screen.ts'

/** How long something that may still become a request is held back, in ms: a browser sends a request line at once. */
const PATIENCE_MS = 2000

export type ScreeningOptions = {
  /** Paused; it is again when this is over, and has the rest. */
  client: Duplex
  server: Writable
  /** What was taken from the client already. */
  said: Buffer
  screen: ByteScreen
  /** Told of each piece that was taken from the client here, in bytes. */
  count: (bytes: number) => void
}

/**
 * Resolves, never rejects, when it is over: undefined where what was judged has been written to the server (or the client has
 * gone), else why it was refused. Then not one byte has been written, and both are the caller's to break off.
 */
export function screenFirstBytes({
  client,
  server,
  said,
  screen,
  count,
}: ScreeningOptions): Promise<string | undefined> {
  return new Promise((resolve) => {
    let held: Buffer[] = []
    let timer: NodeJS.Timeout | undefined
    const phase = { isOver: false }
    const settle = (refusal?: string): void => {
      phase.isOver = true
      clearTimeout(timer)
      client.pause()
      client.off('data', onData).off('end', onEnd).off('close', onClose)
      if (refusal === undefined && held.length > 0) server.write(Buffer.concat(held))
      resolve(refusal)
    }
    const act = (judgement: Judgement): void => {
      switch (judgement.kind) {
        case 'more':
          timer = setTimeout(giveUp, PATIENCE_MS)
          return
        case 'pass':
          settle()
          return
        case 'refused':
          settle(judgement.text)
      }
    }
    const giveUp = (): void => {
      const judgement = screen.giveUp()
      if (judgement.kind !== 'more') act(judgement)
    }
    const take = (bytes: Buffer): void => {
      clearTimeout(timer)
      held.push(bytes)
      act(screen.take(bytes))
    }
    const onData = (bytes: Buffer): void => {
      count(bytes.length)
      take(bytes)
    }
    const onClose = (): void => {
      held = []
      settle()
    }
    const onEnd = (): void => {
      // A likeness of a request that ends is none; half a request goes nowhere.
      const judgement = screen.giveUp()
      if (judgement.kind === 'more') onClose()
      else act(judgement)
    }
    client.on('data', onData).on('end', onEnd).on('close', onClose)
    if (said.length > 0) take(said)
    // What follows, an end that is there already too, is of the next one.
    if (phase.isOver) return
    if (client.destroyed) onClose()
    else if (client.readableEnded) onEnd()
    else client.resume()
  })
}
