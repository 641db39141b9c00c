// Whether anybody is at the other end of a session (I3): the core of a login that answers no ping (of its control stream; of a tunnel,
// where it has none), or whose stream broke off and did not come back, has its sessions become inactive, since it was heard last. They live on until the idle limit, since it may come back (S2),
// and are what they were with the first sign of it: a new stream, a new connection, a byte. Owned by sessions.ts.
import type { AuditLog } from '../seams.ts'
import { auditFields, type Live } from './live-session.ts'

export interface Presence {
  /** @param since when the login's core was heard last; null: it is there */
  note(loginId: string, since: Date | null): void
  /** It went without a goodbye: unless it gives a sign within that time, it is not there. @param withinMs in ms */
  miss(loginId: string, since: Date, withinMs: number): void
  /** Looks for bytes that came from those that were inactive; now and then. */
  look(): void
}

export function createPresence({ living, audit }: { living: () => Iterable<Live>; audit: AuditLog }): Presence {
  function setInactive(live: Live, since: Date): void {
    live.inactive = { since, bytesFromClient: live.activity.look().bytesFromClient }
    audit.record({ event: 'session.inactive', ...auditFields(live), detail: { since: since.toISOString() } })
  }
  function setActive(live: Live): void {
    live.inactive = undefined
    audit.record({ event: 'session.resumed', ...auditFields(live) })
  }
  const hasSpoken = (live: Live, bytesFromClient: number | undefined): boolean =>
    live.activity.look().bytesFromClient !== bytesFromClient
  /** Logins whose core may still come back, with what ends that. */
  const missed = new Map<string, NodeJS.Timeout>()
  const isBack = (loginId: string): void => {
    clearTimeout(missed.get(loginId))
    missed.delete(loginId)
  }
  /** Logins with a core that answers no more: every connection asks, and there are seldom any. */
  const silent = new Set<string>()

  return {
    note(loginId, since) {
      if (missed.size > 0) isBack(loginId)
      if (since !== null) silent.add(loginId)
      else if (!silent.delete(loginId)) return
      for (const live of living()) {
        if (live.route.loginId !== loginId || live.ended) continue
        if (since === null) {
          if (live.inactive) setActive(live)
        } else if (!live.inactive) setInactive(live, since)
      }
    },

    miss(loginId, since, withinMs) {
      isBack(loginId)
      const ofLogin = [...living()].filter((live) => live.route.loginId === loginId && !live.ended)
      const moved = new Map(ofLogin.map((live) => [live, live.activity.look().bytesFromClient]))
      const giveUp = (): void => {
        missed.delete(loginId)
        silent.add(loginId)
        for (const [live, bytes] of moved)
          if (!live.ended && !live.inactive && !hasSpoken(live, bytes)) setInactive(live, since)
      }
      if (ofLogin.length > 0) missed.set(loginId, setTimeout(giveUp, withinMs).unref())
    },

    look() {
      if (silent.size === 0) return
      // Those of cores that never came back are over one day.
      silent.clear()
      for (const live of living()) {
        if (!live.inactive || live.ended) continue
        if (hasSpoken(live, live.inactive.bytesFromClient)) setActive(live)
        else silent.add(live.route.loginId)
      }
    },
  }
}
