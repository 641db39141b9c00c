// What a session does or why it is over, in a few words. Pure; `now` is by the server's clock, in ms.
import type { SessionView } from '../../../shared/session-api.ts'
import type { ShownSessionState } from '../../components/state-mark.tsx'
import { formatDuration } from '../../format.ts'
import { texts } from '../../texts.ts'

const words = texts.sessions
/** Something moved so lately that it counts as now: two looks of the core, in ms. */
const NOW_MS = 5000

/** How long nothing moved; null before the first byte. */
export const idleMs = ({ lastActivityAt }: SessionView, now: number): number | null =>
  lastActivityAt === null ? null : Math.max(0, now - Date.parse(lastActivityAt))

/** What is shown as its state: a live one whose core does not answer is inactive (I3). */
export const stateOf = ({ state, inactiveSince }: SessionView): ShownSessionState =>
  state === 'ended' || inactiveSince === null ? state : 'inactive'

/** `active now`, `idle 12 min`, `inactive 3 min`. */
export function doesNow(session: SessionView, now: number): string {
  if (session.inactiveSince !== null)
    return words.inactive(formatDuration(Math.max(0, now - Date.parse(session.inactiveSince))))
  if (session.state === 'starting') return words.starting
  const idle = idleMs(session, now)
  if (idle !== null && idle < NOW_MS && session.connections > 0) return words.busy
  return words.idle(formatDuration(idle ?? now - Date.parse(session.startedAt)))
}

/** `terminated by root`, `gave up access`; for a reason that is not known here, its own name. */
export function howEnded({ endReason, endedBy, user }: SessionView): string {
  if (endReason === null) return texts.sessionState.ended.toLowerCase()
  if (endReason === 'revoked' && endedBy === user) return words.gaveUp
  const how = words.endedShort[endReason] ?? endReason
  return endedBy === null || (endReason === 'cancelled' && endedBy === user) ? how : words.endedBy(how, endedBy)
}

/** From its beginning to its end, or to now. */
export const lastedMs = ({ startedAt, endedAt }: SessionView, now: number): number =>
  Math.max(0, (endedAt === null ? now : Date.parse(endedAt)) - Date.parse(startedAt))
