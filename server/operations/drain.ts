// The slow part of a graceful stop: balancers are given time to look away, what runs is given time to finish. Called by start.ts, which
// then tells and ends what is left.
import type { Logger } from 'pino'
import type { Health } from './health.ts'

export type DrainOptions = {
  /** How long it goes on accepting although it is not ready any more, in ms (`drain.delay`). */
  delayMs: number
  /** How long connections may take to end by themselves, in ms (`drain.timeout`). */
  timeoutMs: number
  health: Pick<Health, 'drains'>
  /** Connections that are served; whoever is through leaves. */
  running: ReadonlySet<Promise<unknown>>
  /** Nothing new from then on. */
  stopAccepting: () => void
  /** Aborts when somebody does not want to wait any longer. */
  hurry: AbortSignal
  log: Logger
}

/** Resolves when nothing runs any more, the time is up, or somebody is in a hurry. Never rejects. */
export async function drain(options: DrainOptions): Promise<void> {
  const { delayMs, timeoutMs, health, running, stopAccepting, hurry, log } = options
  health.drains()
  await waitFor(new Promise<never>(() => undefined), delayMs, hurry)
  stopAccepting()
  if (running.size === 0 || timeoutMs === 0) return
  log.info({ connections: running.size, timeoutMs }, 'waiting for connections to end')
  const isUp = AbortSignal.any([hurry, AbortSignal.timeout(timeoutMs)])
  // Again, because what was accepted a moment ago may only now be among them.
  while (running.size > 0 && !isUp.aborted) await waitFor(Promise.allSettled([...running]), timeoutMs, isUp)
  if (running.size > 0) log.warn({ connections: running.size }, 'connections that did not end by themselves are ended')
}

/** Until `work` has settled, that long, or the signal. */
async function waitFor(work: Promise<unknown>, waitMs: number, signal: AbortSignal): Promise<void> {
  const { promise: over, resolve } = Promise.withResolvers<undefined>()
  const settle = () => resolve(undefined)
  const timer = setTimeout(settle, waitMs)
  signal.addEventListener('abort', settle, { once: true })
  if (signal.aborted) settle()
  await Promise.race([work, over])
  clearTimeout(timer)
  signal.removeEventListener('abort', settle)
}
