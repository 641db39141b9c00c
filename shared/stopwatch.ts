// Measures how long something took. Not a clock: the machine's time may be set meanwhile without changing what it says.

/** Starts now; what it returns says how many milliseconds have passed, to a tenth. */
export function startStopwatch(): () => number {
  const startedAt = performance.now()
  return () => elapsedMs(startedAt)
}

/** The same for who notes `performance.now()` many times a second: since then, in ms, to a tenth. */
export const elapsedMs = (startedAt: number): number => Math.round((performance.now() - startedAt) * 10) / 10
