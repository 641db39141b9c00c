// One clock for everything that counts down: it ticks only while something visible looks at it, and never while the
// page is hidden.
import { useSyncExternalStore } from 'react'

const listeners = new Set<() => void>()
let now = Date.now()
let timer: ReturnType<typeof setTimeout> | undefined

function tick(): void {
  now = Date.now()
  for (const listener of listeners) listener()
  schedule()
}

function schedule(): void {
  clearTimeout(timer)
  if (listeners.size === 0 || document.hidden) return
  timer = setTimeout(tick, 1000 - (Date.now() % 1000) + 5)
}

function listen(listener: () => void): () => void {
  if (listeners.size === 0) {
    document.addEventListener('visibilitychange', tick)
    now = Date.now()
  }
  listeners.add(listener)
  if (listeners.size === 1) schedule()
  return () => {
    listeners.delete(listener)
    if (listeners.size > 0) return
    clearTimeout(timer)
    document.removeEventListener('visibilitychange', tick)
  }
}

/** This machine's clock in ms, rounded down to `stepMs`: the component renders again only when that changes. */
export function useNow(stepMs = 1000): number {
  return useSyncExternalStore(listen, () => Math.floor(now / stepMs) * stepMs)
}
