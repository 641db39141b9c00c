// The times of a control stream: how long a failed one waits for its next try, how a silent one is noticed. Pure; tests shorten
// them.
import { CONTROL_ANSWER_WITHIN_MS, CONTROL_PING_EVERY_MS } from '../../shared/control.ts'

/** All in ms. */
export type ControlTimings = {
  /** Connecting, the upgrade and the hello together. */
  openWithinMs: number
  pingEveryMs: number
  answerWithinMs: number
  retryFirstMs: number
  retryMaxMs: number
  /** A stream that lived as long was a good one: the next failure is the first again. */
  healthyAfterMs: number
}

export const CONTROL_TIMINGS: ControlTimings = {
  openWithinMs: 20_000,
  pingEveryMs: CONTROL_PING_EVERY_MS,
  answerWithinMs: CONTROL_ANSWER_WITHIN_MS,
  retryFirstMs: 1000,
  retryMaxMs: 60_000,
  healthyAfterMs: 60_000,
}

/**
 * How long to wait after so many failures in a row (0: the first): doubled each time, up to a fifth more or less, so that not all
 * clients of a server that comes back come at once.
 * @param random from 0 to 1
 */
export function retryDelayMs(failures: number, random: number, { retryFirstMs, retryMaxMs }: ControlTimings): number {
  const doubled = Math.min(retryMaxMs, retryFirstMs * 2 ** Math.min(failures, 30))
  return Math.round(Math.min(retryMaxMs, Math.max(retryFirstMs, doubled * (0.8 + 0.4 * random))))
}
