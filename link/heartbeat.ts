// Notices a peer that is gone without a word (stopped, asleep, behind a cable that was pulled): asks it regularly and gives up
// when it does not answer in time (I3). Used by both ends of the control stream; the timers end with it.

/** Looks for the answer before the peer is given up. */
const LOOKS = 4

export type Heartbeat = {
  /** The peer has answered. */
  answered(): void
  /** Asks now instead of later: the machine may have slept. */
  askNow(): void
  stop(): void
}

/**
 * @param options.everyMs from one answer's time to the next question
 * @param options.answerWithinMs how long the peer may take
 * @param options.ask sends the question
 * @param options.onSilent called once, when an answer did not come in time
 */
export function startHeartbeat(options: {
  everyMs: number
  answerWithinMs: number
  ask: () => void
  onSilent: () => void
}): Heartbeat {
  const { everyMs, answerWithinMs, ask, onSilent } = options
  let next: NodeJS.Timeout | undefined
  let patience: NodeJS.Timeout | undefined
  let isStopped = false

  const stop = (): void => {
    isStopped = true
    clearTimeout(next)
    clearInterval(patience)
  }
  const wait = (): void => {
    clearTimeout(next)
    next = setTimeout(askNow, everyMs)
    next.unref()
  }
  const askNow = (): void => {
    if (isStopped) return
    wait()
    // Questions that follow do not prolong the patience with the first.
    if (patience === undefined) {
      let looks = 0
      // Looks are counted instead of time: after a sleep of this machine or process what the peer said meanwhile is read first.
      patience = setInterval(() => {
        looks += 1
        if (looks < LOOKS) return
        stop()
        onSilent()
      }, answerWithinMs / LOOKS)
      patience.unref()
    }
    ask()
  }
  wait()
  return {
    answered() {
      clearInterval(patience)
      patience = undefined
    },
    askNow,
    stop,
  }
}
