// Looks again when something runs out by itself: a login that expires, a route certificate that ends, a renewal that is due. The
// timer is a hint that may come late (a machine that slept); what is true is decided by the clock at every look. Called by core.ts.

export type Moments = {
  /** What is ahead may have changed: reckons the next moment anew. */
  reckon(): void
  close(): void
}

/**
 * The longest a look is put off while something is ahead, in ms: timers stand still while a machine sleeps, and a window must
 * not look connected for long after it woke up.
 */
const LONGEST_MS = 60_000
/** Looked just after the moment, in ms, so that the clock agrees that it is over. */
const MARGIN_MS = 5

/**
 * @param options.ahead milliseconds from now to each moment that is ahead; not above zero: it is due, and `look` makes it past
 * @param options.look called at each of them, or a little later
 */
export function createMoments(options: { ahead: () => number[]; look: () => void }): Moments {
  let timer: NodeJS.Timeout | undefined
  let isClosed = false
  let isReckoning = false

  const reckonNow = (): void => {
    isReckoning = false
    clearTimeout(timer)
    const ahead = options.ahead()
    if (isClosed || ahead.length === 0) return
    timer = setTimeout(onTime, Math.min(Math.max(0, Math.min(...ahead)) + MARGIN_MS, LONGEST_MS))
    timer.unref()
  }
  const onTime = (): void => {
    options.look()
    reckonNow()
  }
  return {
    reckon() {
      // Once for all that changes in the same turn.
      if (isReckoning || isClosed) return
      isReckoning = true
      setImmediate(reckonNow)
    },
    close() {
      isClosed = true
      clearTimeout(timer)
    },
  }
}
