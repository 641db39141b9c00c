// Load at a steady rate that does not wait for its answers (an open loop): a server that stumbles is not spared what would have come
// meanwhile. Used by the soaks.
import { setTimeout as delay } from 'node:timers/promises'

/** How long what was begun may still take at the end, in ms. */
const LAST_ONES_MS = 60_000

/**
 * Begins `perSecond` jobs a second for so long; each begins at its own time, whatever the ones before it do. Resolves when all of
 * them are over. A job counts its own failures: none may reject.
 */
export async function atSteadyRate(
  perSecond: number,
  durationMs: number,
  job: (at: number) => Promise<void>,
): Promise<void> {
  const startedAt = performance.now()
  const running = new Set<Promise<void>>()
  const count = Math.floor((perSecond * durationMs) / 1000)
  for (let at = 0; at < count; at++) {
    const dueInMs = startedAt + (at * 1000) / perSecond - performance.now()
    if (dueInMs > 1) await delay(dueInMs)
    const begun = job(at).finally(() => running.delete(begun))
    running.add(begun)
  }
  await Promise.race([Promise.all(running), delay(LAST_ONES_MS, undefined, { ref: false })])
}

/** Does all of them, so many at once. */
export async function manyAtOnce<T>(
  items: readonly T[],
  atOnce: number,
  job: (item: T, at: number) => Promise<void>,
): Promise<void> {
  let next = 0
  const work = async (): Promise<void> => {
    for (let at = next++; at < items.length; at = next++) await job(items[at]!, at)
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, work))
}
