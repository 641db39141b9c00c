// A signal that aborts with another one or when a time is over, whichever comes first, for waits of which there are many:
// AbortSignal.timeout and AbortSignal.any leave a timer behind until its time comes and a weak reference for the garbage collector,
// which a connection had four of: 50–100 µs, where this costs 10–20. Used by gateways and dials.

export type TimeLimit = {
  readonly signal: AbortSignal
  /** Whether the time was over before anything else ended it. */
  readonly isLate: boolean
  /** The wait is over: takes the timer and the listener away. Whoever made it calls it, whatever came of the wait. Idempotent. */
  end(): void
}

/** Begins to count. @param outer its reason is passed on */
export function limitTime(outer: AbortSignal, ms: number): TimeLimit {
  const limit = new AbortController()
  let isLate = false
  const onOuter = (): void => {
    end()
    limit.abort(outer.reason)
  }
  const onLate = (): void => {
    isLate = true
    end()
    limit.abort(new Error(`not within ${ms} ms`))
  }
  let timer: NodeJS.Timeout | undefined
  const end = (): void => {
    clearTimeout(timer)
    outer.removeEventListener('abort', onOuter)
  }
  if (outer.aborted) limit.abort(outer.reason)
  else {
    outer.addEventListener('abort', onOuter, { once: true })
    timer = setTimeout(onLate, ms)
  }
  return {
    signal: limit.signal,
    get isLate() {
      return isLate
    },
    end,
  }
}
