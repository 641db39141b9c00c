// Copies a connection both ways once it is ready, with back-pressure and half-close, and lets the framers watch. Ends by
// itself when a side is gone, and on the signal at a message boundary towards the client, so that an error can be said there.
// Closes nothing: that is the engine's. The bytes go the fastest way that both sides allow (link/carry.ts). Called by the engine.
import type { Duplex } from 'node:stream'
import { carry } from '../../../link/carry.ts'
import type { PumpProgress } from '../../../link/link.ts'
import type { Flow } from '../../../link/stream-pump.ts'
import type { MessageFramer } from '../../../shared/wire/postgres/message-framer.ts'

/** How long the end of a message may take once the connection has to end, in ms. */
const BOUNDARY_TIMEOUT_MS = 2_000
/**
 * How long a target may be silent after the client's half-close, in ms. Clients of PostgreSQL do not half-close but die, and a
 * proxy in between tells both by a FIN; so what runs is let finish and delivered, but nothing is waited for in silence.
 */
const SILENCE_AFTER_END_MS = 2_000

export type RelayOptions = {
  client: Duplex
  target: Duplex
  /** Watches what the client sends. */
  fromClient: MessageFramer
  /** Watches what the target sends. */
  fromTarget: MessageFramer
  /** Asked after each piece from the client: a promise holds the client back until it resolves; its rejection ends the relay. */
  hold: () => Promise<unknown> | undefined
  /** Is added to as bytes move. */
  progress: PumpProgress
  signal: AbortSignal
}

export type RelayEnd = {
  /** Who or what ended it: `failed` is our own doing (an unreadable client, a log that cannot be written). */
  cause: 'client' | 'target' | 'signal' | 'failed'
  error: unknown
  /** Whether a message of ours would be understood by the client, or by the target. */
  isClientAtBoundary: boolean
  isTargetAtBoundary: boolean
}

const NOTHING = Buffer.alloc(0)

/** Resolves, never rejects, with why it ended; what comes after that on either stream is read and dropped. */
export function relay({
  client,
  target,
  fromClient,
  fromTarget,
  hold,
  progress,
  signal,
}: RelayOptions): Promise<RelayEnd> {
  return new Promise((resolve) => {
    let clientHolds = 0
    let isOver = false
    let isStopping = false
    let isClientDone = false
    let timer: NodeJS.Timeout | undefined

    const end = (cause: RelayEnd['cause'], error?: unknown) => {
      if (isOver) return
      isOver = true
      clearTimeout(timer)
      client.off('close', onClientClose)
      target.off('close', onTargetEnd)
      signal.removeEventListener('abort', onAbort)
      there?.drop()
      back?.drop()
      resolve({
        cause,
        error,
        isClientAtBoundary: fromTarget.isAtBoundary,
        isTargetAtBoundary: fromClient.isAtBoundary,
      })
    }
    const hasEnded = () => isOver
    const holdClient = () => {
      if (clientHolds++ === 0) there?.hold()
    }
    const releaseClient = () => {
      if (--clientHolds === 0 && !isOver) there?.release()
    }

    const passFromClient = (piece: Buffer): Buffer => {
      // A little may come after the hold. Once it has to end, nothing more of the client's goes on (S4).
      if (isOver || isStopping) return NOTHING
      progress.forward += piece.length
      try {
        fromClient.push(piece)
      } catch (error) {
        end('failed', error)
        return NOTHING
      }
      const holding = hold()
      if (holding !== undefined) {
        holdClient()
        holding.then(releaseClient, (error: unknown) => end('failed', error))
      }
      return piece
    }
    const passFromTarget = (piece: Buffer): Buffer => {
      if (isOver) return NOTHING
      let passed: Buffer
      try {
        const size = fromTarget.push(piece, isStopping)
        passed = size === piece.length ? piece : piece.subarray(0, size)
      } catch (error) {
        end('target', error)
        return NOTHING
      }
      progress.backward += passed.length
      if (isClientDone) timer?.refresh()
      // When it was written: the last words come behind it.
      if (isStopping && fromTarget.isAtBoundary) process.nextTick(end, 'signal', signal.reason)
      return passed
    }
    const onClientEnd = () => {
      isClientDone = true
      target.end()
      const lookAgain = () => {
        // A client that is slow to read is not a target that is silent.
        if (client.writableLength > 0) timer = setTimeout(lookAgain, SILENCE_AFTER_END_MS)
        else end('client')
      }
      timer = setTimeout(lookAgain, SILENCE_AFTER_END_MS)
    }
    const onClientClose = () => end('client')
    const onTargetEnd = () => end('target')
    const onAbort = () => {
      isStopping = true
      holdClient()
      if (fromTarget.isAtBoundary) {
        end('signal', signal.reason)
        return
      }
      clearTimeout(timer)
      timer = setTimeout(() => end('signal', signal.reason), BOUNDARY_TIMEOUT_MS)
    }

    client.on('close', onClientClose)
    target.on('close', onTargetEnd)
    signal.addEventListener('abort', onAbort, { once: true })
    let there: Flow | undefined
    let back: Flow | undefined
    if (signal.aborted) onAbort()
    else if (client.destroyed) end('client')
    else if (target.destroyed) end('target')
    else {
      there = carry(client, target, { pass: passFromClient, ended: onClientEnd })
      back = carry(target, client, { pass: passFromTarget, ended: onTargetEnd })
      // What a stream held went through just now, and may have been the end of it, or more than is to be taken.
      if (hasEnded()) for (const flow of [there, back]) flow.drop()
      else if (clientHolds > 0) there.hold()
    }
  })
}
