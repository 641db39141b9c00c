// The rows and audit events of sessions: the start before any byte moves, active, and the end once with its true reason. Called
// by the owner of sessions only; whoever reads rows of ended sessions finds here what is in them.
import type { Kysely } from 'kysely'
import type { Logger } from 'pino'
import type { AuditLog, Clock } from '../seams.ts'
import type { Tables } from '../store/schema.ts'
import type { EndCause } from './end-cause.ts'
import { createEndRecords } from './end-records.ts'
import { auditFields, type Clocks, type Live } from './live-session.ts'

export interface SessionRecords {
  /** Registers it as *starting*. Resolves when row and event are in the store. */
  start(live: Live): Promise<void>
  /** Resolves when the row says *active*, if it said *starting* until then. */
  activate(live: Live): Promise<void>
  /** The log says that it is active: not before the row does, never after its end. */
  tellActive(live: Live): void
  /**
   * Writes the end with the strongest cause that has come until it commits; from then on the cause is final.
   * @throws the store's error; nothing is written then, or it is not known whether it was
   */
  end(live: Live): Promise<EndCause>
  /** The reason of a session that is over; null for one that is not, or that nobody knows. */
  readEnd(sessionId: string): Promise<string | null>
}

type Options = Clocks & { db: Kysely<Tables>; audit: AuditLog; now: Clock; log: Logger }

export function createSessionRecords({ db, audit, log, ...clocks }: Options): SessionRecords {
  const { now } = clocks
  return {
    async start(live) {
      const { route, address } = live
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
          started_at: live.startedAt.toISOString(),
        })
        .execute()
      audit.record({ event: 'session.start', ...auditFields(live), address })
      // The record is there before any byte of the session moves.
      await audit.flush()
    },

    async activate(live) {
      await db
        .updateTable('sessions')
        .set({ state: 'active', active_at: now().toISOString() })
        .where('id', '=', live.id)
        .where('state', '=', 'starting')
        .execute()
    },

    tellActive: (live) => audit.record({ event: 'session.active', ...auditFields(live) }),

    end: createEndRecords({ db, audit, log, ...clocks }),

    async readEnd(sessionId) {
      const row = await db.selectFrom('sessions').select('end_reason').where('id', '=', sessionId).executeTakeFirst()
      return row?.end_reason ?? null
    },
  }
}
