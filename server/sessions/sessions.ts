// The owner of all sessions (S1): a session is the record of one login using one route, opened by its first connection,
// used by all later ones, ended exactly once. Everything that ends a session goes through `end`, keyed by its id.
import type { Kysely } from 'kysely'
import type { Logger } from 'pino'
import type { Tables } from '../store/schema.ts'
import type { PumpProgress } from '../../link/link.ts'
import { SESSION_END_REASONS, type SessionEndReason } from '../../shared/api.ts'
import {
  type AccessCheck,
  type AuditLog,
  type Clock,
  type ControlHub,
  type Route,
  type Session,
  type SessionControl,
  SessionEnded,
} from '../seams.ts'

export type SessionsOptions = {
  db: Kysely<Tables>
  audit: AuditLog
  access: Pick<AccessCheck, 'authoriseRoute'>
  /** Told of every end, after its record was committed. */
  control?: Pick<ControlHub, 'sessionEnded'>
  now: Clock
  newId: () => string
  log: Logger
}

/** A session and one connection's hold on it; release it when the connection is over (that never ends the session, S2). */
export type SessionLease = { session: Session; isNew: boolean; progress: PumpProgress; release: () => void }

export interface Sessions extends SessionControl {
  /** Joins the live session of the route, or registers a new one as *starting* before anything slow happens (S5). */
  open(route: Route, address: string): Promise<SessionLease>
  /** Ends a session once; every caller gets the one result. Null for an id that nobody knows. */
  end(sessionId: string, reason: SessionEndReason): Promise<SessionEndReason | null>
  isActive(sessionId: string): boolean
  /** What a crash or kill left over ends as *restart* (S9). Returns how many. */
  recover(): Promise<number>
  /** Ends sessions that nobody uses and whose login is over, as *expired*. */
  sweep(): Promise<void>
  /** Ends all as *restart*: the server stops. */
  endAll(): Promise<void>
}

type Live = {
  id: string
  route: Route
  controller: AbortController
  state: 'starting' | 'active'
  connections: number
  registered: Promise<void>
  cause: SessionEndReason | undefined
  ended: Promise<SessionEndReason> | undefined
}

/** Strongest first, as S1 lists them: a smaller rank wins among causes that arrive before the record commits. */
const rankOf = (reason: SessionEndReason): number => SESSION_END_REASONS.indexOf(reason)

export function createSessions({ db, audit, access, control, now, newId, log }: SessionsOptions): Sessions {
  const byId = new Map<string, Live>()
  const byRoute = new Map<string, Live>()

  const entryOf = (live: Live) => ({
    user: live.route.user,
    login: live.route.loginId,
    session: live.id,
    resource: live.route.resource,
    account: live.route.account,
  })

  async function register(live: Live, address: string): Promise<void> {
    const { route } = live
    await db
      .insertInto('sessions')
      .values({
        id: live.id,
        route_id: route.routeId,
        login_id: route.loginId,
        user_name: route.user,
        resource: route.resource,
        protocol: route.protocol,
        account: route.account,
        address,
        state: 'starting',
        started_at: now().toISOString(),
        active_at: null,
        ended_at: null,
        end_reason: null,
      })
      .execute()
    audit.record({ event: 'session.start', ...entryOf(live), address })
    // The record is there before any byte of the session moves.
    await audit.flush()
  }

  /** The one place that ends a session: record first (bounded), then its signal, which closes every connection (S4, S8). */
  async function finish(live: Live): Promise<SessionEndReason> {
    try {
      await live.registered
      await writeEnd(live)
    } catch (error) {
      // The kill must not wait for a store that fails; the next start ends the row as a leftover.
      log.error({ err: error, session: live.id }, 'the end of a session could not be written')
    }
    const reason = live.cause ?? 'closed'
    byId.delete(live.id)
    if (byRoute.get(live.route.routeId) === live) byRoute.delete(live.route.routeId)
    live.controller.abort(new SessionEnded(reason))
    const { loginId, resource, account } = live.route
    control?.sessionEnded({ sessionId: live.id, loginId, resource, account, reason })
    return reason
  }

  async function writeEnd(live: Live): Promise<void> {
    await db.transaction().execute(async (transaction) => {
      let written: SessionEndReason | undefined
      // A stronger cause may arrive while the record is being written: what commits is the strongest.
      while (written !== live.cause) {
        written = live.cause ?? 'closed'
        await transaction
          .updateTable('sessions')
          .set({ state: 'ended', ended_at: now().toISOString(), end_reason: written })
          .where('id', '=', live.id)
          .execute()
      }
    })
    audit.record({ event: 'session.end', ...entryOf(live), detail: { reason: live.cause } })
    await audit.flush()
  }

  function end(live: Live, reason: SessionEndReason): Promise<SessionEndReason> {
    if (live.cause === undefined || rankOf(reason) < rankOf(live.cause)) live.cause = reason
    live.ended ??= finish(live)
    return live.ended
  }

  const endWhere = async (matches: (live: Live) => boolean, reason: SessionEndReason): Promise<void> => {
    await Promise.all([...byId.values()].filter(matches).map((live) => end(live, reason)))
  }

  const isOver = (live: Live): boolean => live.ended !== undefined

  async function markActive(live: Live): Promise<void> {
    if (live.state === 'active' || isOver(live)) return
    live.state = 'active'
    await db
      .updateTable('sessions')
      .set({ state: 'active', active_at: now().toISOString() })
      .where('id', '=', live.id)
      .where('state', '=', 'starting')
      .execute()
    // Ended while that was written (S5): the log must not call it active after its end.
    if (isOver(live)) return
    audit.record({ event: 'session.active', ...entryOf(live) })
  }

  function lease(live: Live, isNew: boolean): SessionLease {
    live.connections++
    let isHeld = true
    return {
      session: { id: live.id, route: live.route, signal: live.controller.signal, markActive: () => markActive(live) },
      isNew,
      progress: { forward: 0, backward: 0 },
      release: () => {
        if (isHeld) live.connections--
        isHeld = false
      },
    }
  }

  /** The lease once the session's row is there. It is taken before the wait, so that a sweep in between sees it. */
  async function settled(live: Live, held: SessionLease): Promise<SessionLease> {
    try {
      await live.registered
      return held
    } catch (error) {
      held.release()
      byId.delete(live.id)
      if (byRoute.get(live.route.routeId) === live) byRoute.delete(live.route.routeId)
      throw error
    }
  }

  return {
    async open(route, address) {
      for (let found = byRoute.get(route.routeId); found; found = byRoute.get(route.routeId)) {
        if (!found.ended) return await settled(found, lease(found, false))
        await found.ended
      }
      // In the maps before the first await: whoever ends the login meanwhile finds it.
      const live: Live = {
        id: newId(),
        route,
        controller: new AbortController(),
        state: 'starting',
        connections: 0,
        registered: Promise.resolve(),
        cause: undefined,
        ended: undefined,
      }
      byId.set(live.id, live)
      byRoute.set(route.routeId, live)
      live.registered = register(live, address)
      return await settled(live, lease(live, true))
    },

    async end(sessionId, reason) {
      const live = byId.get(sessionId)
      if (live) return end(live, reason)
      const row = await db.selectFrom('sessions').select('end_reason').where('id', '=', sessionId).executeTakeFirst()
      return (row?.end_reason as SessionEndReason | null | undefined) ?? null
    },

    async endRoute(routeId, reason) {
      const live = byRoute.get(routeId)
      if (!live) return null
      await end(live, reason)
      return live.id
    },

    endLogin: (loginId, reason) => endWhere((live) => live.route.loginId === loginId, reason),
    endUser: (user, reason) => endWhere((live) => live.route.user === user, reason),

    async endDisallowed() {
      await Promise.all(
        [...byId.values()].map(async (live) => {
          const isAllowed = await access.authoriseRoute(live.route.routeId).then(
            () => true,
            () => false,
          )
          if (!isAllowed) await end(live, 'revoked')
        }),
      )
    },

    isActive: (sessionId) => {
      const live = byId.get(sessionId)
      return live?.state === 'active' && live.ended === undefined
    },

    async recover() {
      const leftovers = await db.selectFrom('sessions').selectAll().where('state', '!=', 'ended').execute()
      for (const row of leftovers) {
        await db
          .updateTable('sessions')
          .set({ state: 'ended', ended_at: now().toISOString(), end_reason: 'restart' })
          .where('id', '=', row.id)
          .execute()
        audit.record({
          event: 'session.end',
          user: row.user_name,
          login: row.login_id,
          session: row.id,
          resource: row.resource,
          account: row.account,
          detail: { reason: 'restart' },
        })
      }
      await audit.flush()
      return leftovers.length
    },

    async sweep() {
      const unused = [...byId.values()].filter((live) => live.connections === 0 && !live.ended)
      if (unused.length === 0) return
      const over = await db
        .selectFrom('logins')
        .select('id')
        .where('id', 'in', [...new Set(unused.map((live) => live.route.loginId))])
        .where((where) => where.or([where('expires_at', '<=', now().toISOString()), where('ended_at', 'is not', null)]))
        .execute()
      const isOver = new Set(over.map((row) => row.id))
      // Looked at again after the await: a connection may have come meanwhile.
      await endWhere((live) => live.connections === 0 && isOver.has(live.route.loginId), 'expired')
    },

    endAll: () => endWhere(() => true, 'restart'),
  }
}
