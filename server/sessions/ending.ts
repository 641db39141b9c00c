// The one place that ends a session: its record first (bounded), then its signal, which closes every connection (S1, S4, S8). A
// store that refuses or hangs keeps no client connected; the record is then written later, or by the next start (S9).
import type { Logger } from 'pino'
import type { SessionEndReason } from '../../shared/session-api.ts'
import { SessionEnded, type ControlHub } from '../seams.ts'
import { causeOf, isStronger, type EndCause } from './end-cause.ts'
import type { Live } from './live-session.ts'
import type { SessionRecords } from './session-records.ts'

/** How long clients may go on because the store does not take the record of an end, in ms. */
export const RECORD_TIMEOUT_MS = 2000

export type EndingOptions = {
  records: Pick<SessionRecords, 'end'>
  control: Pick<ControlHub, 'sessionEnded'> | undefined
  recordTimeoutMs: number
  /** It is over: told, and not among the living any more. */
  onOver: (live: Live) => void
  log: Logger
}

export interface Ending {
  /** Every caller gets the one result. Never rejects, and takes no longer than the record's timeout. */
  end(live: Live, cause: EndCause): Promise<SessionEndReason>
  /** The end of a session of this route that has no record yet; undefined if there is none. Tries once more, and rejects if it cannot. */
  recordOfRoute(routeId: string): Promise<unknown> | undefined
  /** The reason of a session that is over without a record yet. */
  reasonOf(sessionId: string): SessionEndReason | undefined
  /** Tries again to write what could not be written. Never rejects. */
  retry(): Promise<void>
}

export function createEnding({ records, control, recordTimeoutMs, onOver, log }: EndingOptions): Ending {
  /** Over, but not on record: with the attempt that runs now, if one does. */
  const unrecorded = new Map<Live, Promise<EndCause> | undefined>()

  /** One attempt at a time; whoever comes meanwhile waits for that one. */
  function record(live: Live): Promise<EndCause> {
    const running = unrecorded.get(live)
    if (running) return running
    const attempt = live.registered
      // Whether a registration that failed has left a row is not known.
      .catch(() => undefined)
      .then(() => records.end(live))
      .then(
        (cause) => {
          unrecorded.delete(live)
          return cause
        },
        (error: unknown) => {
          unrecorded.set(live, undefined)
          throw error
        },
      )
    unrecorded.set(live, attempt)
    return attempt
  }

  async function finish(live: Live): Promise<SessionEndReason> {
    clearTimeout(live.deadline)
    const { promise: late, reject } = Promise.withResolvers<never>()
    const timer = setTimeout(() => reject(new Error('the store does not answer')), recordTimeoutMs)
    try {
      await Promise.race([record(live), late])
    } catch (error) {
      log.error({ err: error, session: live.id }, 'the end of a session could not be written yet')
    }
    clearTimeout(timer)
    // Clients are told this one: a later record says the same.
    live.isCauseFinal = true
    const { reason, why } = (live.cause ??= causeOf('closed'))
    onOver(live)
    const ended = new SessionEnded(reason, why)
    live.controller.abort(ended)
    for (const hold of live.holds) hold.abort(ended)
    const { loginId, resource, account } = live.route
    control?.sessionEnded({ sessionId: live.id, loginId, resource, account, reason, by: live.cause.by, why })
    return reason
  }

  return {
    end(live, cause) {
      if (!live.isCauseFinal && (live.cause === undefined || isStronger(cause, live.cause))) live.cause = cause
      live.ended ??= finish(live)
      return live.ended
    },

    recordOfRoute(routeId) {
      const left = [...unrecorded.keys()].find((live) => live.route.routeId === routeId)
      return left && record(left)
    },

    reasonOf: (sessionId) => [...unrecorded.keys()].find((live) => live.id === sessionId)?.cause?.reason,

    async retry() {
      await Promise.all(
        [...unrecorded.keys()].map((live) =>
          record(live).catch((error: unknown) =>
            log.error({ err: error, session: live.id }, 'the end of a session could not be written yet'),
          ),
        ),
      )
    },
  }
}
