// The owner of all sessions (S1): a session is the record of one login using one route, opened by its first connection, used by
// all later ones, ended exactly once. Everything that ends a session goes through `ending.end`, keyed by its id. Called by the
// router (connections), the web API (ends), the reaper (idleness) and the start and stop of the server.
import type { Kysely } from 'kysely'
import type { Logger } from 'pino'
import { PosternError } from '../../shared/errors.ts'
import type { SessionEndReason } from '../../shared/session-api.ts'
import type { Tables } from '../store/schema.ts'
import {
  type AccessCheck,
  type AuditLog,
  type LimitedRoute,
  type ControlHub,
  type Session,
  type SessionControl,
} from '../seams.ts'
import type { ConnectionCounts } from './activity.ts'
import { causeOf, type EndCause } from './end-cause.ts'
import { createEnding, RECORD_TIMEOUT_MS } from './ending.ts'
import { createJudge } from './judge.ts'
import { createKeptCounts } from './kept-counts.ts'
import { endLeftovers } from './leftovers.ts'
import { newLive, viewOf, type Clocks, type Live } from './live-session.ts'
import { createPresence } from './presence.ts'
import { requireRoomForConnection, requireRoomForSession } from './session-limits.ts'
import { createSessionRecords } from './session-records.ts'

export type SessionsOptions = Clocks & {
  db: Kysely<Tables>
  audit: AuditLog
  access: Pick<AccessCheck, 'authoriseRoute'>
  /** Told of every start and end, after its record was committed. */
  control?: Pick<ControlHub, 'sessionEnded' | 'accessChanged'> & Partial<Pick<ControlHub, 'sessionStarted'>>
  newId: () => string
  /** How long the end of a session may wait for the store before its clients are told without it, in ms. */
  recordTimeoutMs?: number
  log: Logger
}

/** A session and one connection's hold on it; release it when the connection is over (that never ends the session, S2). */
export type SessionLease = ConnectionCounts & {
  session: Session
  /** As the session's, until it is released. */
  signal: AbortSignal
  isNew: boolean
  release: () => void
}

export interface Sessions extends SessionControl {
  /**
   * Joins the live session of the route, or registers a new one as *starting* before anything slow happens (S5).
   * @throws PosternError `session_limit`, `connection_limit`, `server_unreachable` while the server stops; the store's error
   */
  open(authorised: LimitedRoute, address: string): Promise<SessionLease>
  isActive(sessionId: string): boolean
  /** What a crash or kill left over ends as *restart* (S9). Returns how many. */
  recover(): Promise<number>
  /** One round of the reaper: ends what is idle, overdue, or unused after its login; does again what the store refused. */
  reap(): Promise<void>
  /** Writes what its sessions have moved into their rows, for the case of a crash. Rejects with the store's error. */
  keepCounts(): Promise<void>
  /** Ends all as *restart*, and opens none any more: the server stops. */
  endAll(): Promise<void>
}

export function createSessions(options: SessionsOptions): Sessions {
  const { db, audit, newId, log } = options
  const clocks: Clocks = { now: options.now, monotonicMs: options.monotonicMs }
  const byId = new Map<string, Live>()
  const byRoute = new Map<string, Live>()
  let isStopping = false

  const records = createSessionRecords({ db, audit, log, ...clocks })
  const ending = createEnding({
    records,
    control: options.control,
    recordTimeoutMs: options.recordTimeoutMs ?? RECORD_TIMEOUT_MS,
    onOver: (live) => {
      byId.delete(live.id)
      if (byRoute.get(live.route.routeId) === live) byRoute.delete(live.route.routeId)
    },
    log,
  })
  const end = (live: Live, cause: EndCause): Promise<SessionEndReason> => ending.end(live, cause)
  const keptCounts = createKeptCounts({ db, living: () => byId.values(), ...clocks })
  const presence = createPresence({ living: () => byId.values(), audit })
  const judge = createJudge({ ...options, living: () => [...byId.values()], end })

  const endWhere = async (matches: (live: Live) => boolean, reason: SessionEndReason, by?: string): Promise<void> => {
    await Promise.all([...byId.values()].filter(matches).map((live) => end(live, causeOf(reason, { by }))))
  }

  /** Rejects once the session is over: whoever wanted to go on must not (S5). */
  async function requireLiving(live: Live): Promise<void> {
    if (!live.ended) return
    await live.ended
    live.controller.signal.throwIfAborted()
  }

  async function markActive(live: Live): Promise<void> {
    await requireLiving(live)
    if (live.state === 'active') return
    live.activating ??= records
      .activate(live)
      .then(() => {
        // Ended while that was written: the log must not call it active after its end.
        if (live.ended) return
        live.state = 'active'
        records.tellActive(live)
      })
      .finally(() => (live.activating = undefined))
    await live.activating
    await requireLiving(live)
  }

  function lease(live: Live, isNew: boolean): SessionLease {
    const counts = live.activity.add()
    const hold = new AbortController()
    live.holds.add(hold)
    return {
      ...counts,
      signal: hold.signal,
      session: { id: live.id, route: live.route, signal: live.controller.signal, markActive: () => markActive(live) },
      isNew,
      release: () => {
        live.holds.delete(hold)
        live.activity.remove(counts)
      },
    }
  }

  /** The lease once the session's row is there. It is taken before the wait, so that the reaper sees it in between. */
  async function settled(live: Live, held: SessionLease): Promise<SessionLease> {
    try {
      await live.registered
      return held
    } catch (error) {
      held.release()
      // It may have left a row; only one that is ended lets the route's next session in.
      void end(live, causeOf('closed'))
      throw error
    }
  }

  function join(live: Live, { limits }: LimitedRoute): SessionLease {
    live.limits = limits
    requireRoomForConnection(live)
    presence.note(live.route.loginId, null)
    judge.watch(live)
    return lease(live, false)
  }

  function begin(authorised: LimitedRoute, address: string): Live {
    const { route, limits } = authorised
    requireRoomForSession(authorised, byId.values())
    const live = newLive({ id: newId(), route, address, limits }, clocks)
    presence.note(route.loginId, null)
    // In the maps before the first await: whoever ends the login meanwhile finds it.
    byId.set(live.id, live)
    byRoute.set(route.routeId, live)
    live.registered = records.start(live).then(() => {
      const { loginId, resource, account } = route
      options.control?.sessionStarted?.({ sessionId: live.id, loginId, resource, account })
    })
    judge.watch(live)
    return live
  }

  return {
    async open(authorised, address) {
      const { routeId } = authorised.route
      for (;;) {
        if (isStopping)
          throw new PosternError('server_unreachable', 'the access server is shutting down; connect again in a moment')
        const found = byRoute.get(routeId)
        if (found && !found.ended) return await settled(found, join(found, authorised))
        const before = found?.ended ?? ending.recordOfRoute(routeId)
        if (!before) break
        await before
      }
      const live = begin(authorised, address)
      return await settled(live, lease(live, true))
    },

    live: () => [...byId.values()].filter((live) => !live.ended).map((live) => viewOf(live, clocks)),

    async end(sessionId, reason, by) {
      const live = byId.get(sessionId)
      if (live) return end(live, causeOf(reason, { by }))
      return ending.reasonOf(sessionId) ?? ((await records.readEnd(sessionId)) as SessionEndReason | null)
    },

    async endRoute(routeId, reason, by) {
      const live = byRoute.get(routeId)
      if (!live) return null
      await end(live, causeOf(reason, { by }))
      return live.id
    },

    endLogin: (loginId, reason, by) => endWhere((live) => live.route.loginId === loginId, reason, by),
    endUser: (user, reason, by) => endWhere((live) => live.route.user === user, reason, by),
    endDisallowed: (by, users) => judge.judgeAll(by, users),
    noteCore: (loginId, silentSince, graceMs) =>
      silentSince !== null && graceMs !== undefined
        ? presence.miss(loginId, silentSince, graceMs)
        : presence.note(loginId, silentSince),

    isActive: (sessionId) => {
      const live = byId.get(sessionId)
      return live?.state === 'active' && live.ended === undefined
    },

    recover: () => endLeftovers({ db, audit, now: clocks.now }),

    async reap() {
      presence.look()
      await ending.retry()
      await judge.round()
    },

    keepCounts: () => keptCounts.keep(),

    async endAll() {
      isStopping = true
      await endWhere(() => true, 'restart')
    },
  }
}
