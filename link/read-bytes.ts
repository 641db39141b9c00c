// Reading a known number of bytes off the front of a stream and leaving the rest to whoever comes next: first messages,
// preambles, ClientHellos. Works on a paused stream; never takes a byte too many.
import type { Duplex } from 'node:stream'

export class StreamEndedError extends Error {
  override readonly name = 'StreamEndedError'
}

/**
 * The next `size` bytes. Rejects with StreamEndedError if the stream ends or closes before, with the stream's error if it
 * breaks, with the signal's reason if that aborts.
 */
export function readBytes(stream: Duplex, size: number, signal: AbortSignal): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void) => {
      stream.off('readable', attempt).off('end', onEnd).off('close', onEnd).off('error', onError)
      signal.removeEventListener('abort', onAbort)
      act()
    }
    const onEnd = () => settle(() => reject(new StreamEndedError(`the stream ended before ${size} bytes came`)))
    const onError = (error: Error) => settle(() => reject(error))
    const onAbort = () => settle(() => reject(signal.reason as Error))
    const attempt = () => {
      // null: not enough yet (the stream raises its buffer to `size` by itself); fewer than `size`: it ended before.
      const bytes = stream.read(size) as Buffer | null
      if (bytes === null) return
      if (bytes.length < size) onEnd()
      else settle(() => resolve(bytes))
    }
    if (signal.aborted) {
      onAbort()
      return
    }
    // An end that came while nobody listened is not told again.
    if (stream.destroyed || stream.readableEnded) {
      onEnd()
      return
    }
    stream.on('readable', attempt).on('end', onEnd).on('close', onEnd).on('error', onError)
    signal.addEventListener('abort', onAbort, { once: true })
    attempt()
  })
}
