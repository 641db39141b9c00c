// Copies a connection both ways once it is ready, with back-pressure and half-close, and lets the framers watch. Ends by
// itself when a side is gone, and on the signal at a message boundary towards the client, so that an error can be said there.
// Closes nothing: that is the engine's. Called by the engine.
import type { Duplex } from 'node:stream'
import type { PumpProgress } from '../../../link/link.ts'
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

/** Resolves, never rejects, with why it ended; both streams are paused then. */
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
      client.off('data', onClientData).off('end', onClientEnd).off('close', onClientClose).pause()
      target.off('data', onTargetData).off('end', onTargetEnd).off('close', onTargetEnd).pause()
      signal.removeEventListener('abort', onAbort)
      resolve({
        cause,
        error,
        isClientAtBoundary: fromTarget.isAtBoundary,
        isTargetAtBoundary: fromClient.isAtBoundary,
      })
    }
    const holdClient = () => {
      if (clientHolds++ === 0) client.pause()
    }
    const releaseClient = () => {
      if (--clientHolds === 0 && !isOver) client.resume()
    }

    const onClientData = (chunk: Buffer) => {
      progress.forward += chunk.length
      try {
        fromClient.push(chunk)
      } catch (error) {
        end('failed', error)
        return
      }
      if (!target.write(chunk)) {
        holdClient()
        target.once('drain', releaseClient)
      }
      const holding = hold()
      if (holding !== undefined) {
        holdClient()
        holding.then(releaseClient, (error: unknown) => end('failed', error))
      }
    }
    const onTargetData = (chunk: Buffer) => {
      let passed: Buffer
      try {
        passed = chunk.subarray(0, fromTarget.push(chunk, isStopping))
      } catch (error) {
        end('target', error)
        return
      }
      progress.backward += passed.length
      if (isClientDone) timer?.refresh()
      if (!client.write(passed)) {
        target.pause()
        client.once('drain', () => {
          if (!isOver) target.resume()
        })
      }
      if (isStopping && fromTarget.isAtBoundary) end('signal', signal.reason)
    }
    const onClientEnd = () => {
      isClientDone = true
      target.end()
      const lookAgain = () => {
        // A client that is slow to read is not a target that is silent.
        if (client.writableNeedDrain) timer = setTimeout(lookAgain, SILENCE_AFTER_END_MS)
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

    client.on('data', onClientData).on('end', onClientEnd).on('close', onClientClose)
    target.on('data', onTargetData).on('end', onTargetEnd).on('close', onTargetEnd)
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
    else if (client.destroyed) end('client')
    else if (target.destroyed) end('target')
    else {
      client.resume()
      target.resume()
    }
  })
}
