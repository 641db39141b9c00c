// One command's connection to the core: opened, used, closed on every path, and given up at once when the person
// interrupts. Used by the commands that ask the core something and end.
import { PosternError } from '../shared/errors.ts'
import type { Context, Core } from './context.ts'

/** What an interrupted command fails with; exit code 1. */
export const interruptedError = (): PosternError => new PosternError('login_cancelled', 'Interrupted.')

/** Rejects with `interruptedError` as soon as the signal aborts, else settles as `work` does. */
export async function orInterrupted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let onAbort: () => void = () => undefined
  const interrupted = new Promise<never>((_resolve, reject) => {
    onAbort = () => reject(interruptedError())
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
  })
  try {
    return await Promise.race([work, interrupted])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

/**
 * Runs `use` with a connection to the core. Notices of the core go to stderr meanwhile.
 * @throws whatever `use` throws, `interruptedError`, or the core's `core_unreachable` and `core_version`
 */
export async function withCore<T>(
  context: Context,
  use: (core: Core) => Promise<T>,
  options: { canAsk: boolean } = { canAsk: false },
): Promise<T> {
  const connecting = context.connect(options)
  try {
    const core = await orInterrupted(connecting, context.interrupt)
    core.on('notice', (notice) => context.terminal.stderr.write(`postern: ${notice.text}\n`))
    return await orInterrupted(use(core), context.interrupt)
  } finally {
    // A connection that came too late for the interrupted command is closed as well.
    await connecting.then(
      (core) => core.close(),
      () => undefined,
    )
  }
}
