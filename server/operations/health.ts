// Whether this process has started, and whether it should be sent clients: for balancers and supervisors, over operations-port.ts.
// Made by start.ts, which tells it what the server is doing.
import { sql } from 'kysely'
import type { OwnedAuditLog } from '../audit/audit-log.ts'
import type { Db } from '../store/store.ts'
import { STORE_TROUBLES, storeTroubleOf } from '../store/store-trouble.ts'

/** How long the store may take to answer, in ms. */
const STORE_TIMEOUT_MS = 2000

/** The row that a look at the store writes. */
const PROBE = 'readiness_probe'

export type NotReady = {
  code: 'starting' | 'draining' | 'store_unreachable' | 'store_not_writable' | 'audit_not_writable'
  text: string
}

export interface Health {
  /** Everything is open; from now on the readiness looks at these. */
  started(parts: { db: Db; audit: Pick<OwnedAuditLog, 'state'> }): void
  /** It stops soon: not ready any more, whatever else is true. */
  drains(): void
  readonly hasStarted: boolean
  /** Why not; empty if clients may be sent here. Never throws, never takes much longer than two seconds. */
  notReady(): Promise<NotReady[]>
}

export function createHealth(): Health {
  let parts: { db: Db; audit: Pick<OwnedAuditLog, 'state'> } | undefined
  let isDraining = false
  let asking: Promise<NotReady | undefined> | undefined

  /** One question at a time, however many balancers look. */
  const storeReason = (db: Db): Promise<NotReady | undefined> =>
    (asking ??= lookAtStore(db).finally(() => {
      asking = undefined
    }))

  return {
    started: (given) => {
      parts = given
    },
    drains: () => {
      isDraining = true
    },
    get hasStarted() {
      return parts !== undefined
    },
    async notReady() {
      const reasons: NotReady[] = []
      if (isDraining) reasons.push({ code: 'draining', text: 'the access server is about to stop' })
      if (!parts) return [...reasons, { code: 'starting', text: 'the access server is starting' }]
      const ofStore = await storeReason(parts.db)
      if (ofStore) reasons.push(ofStore)
      const { isFailing, waiting, trouble } = parts.audit.state()
      if (isFailing)
        reasons.push({
          code: 'audit_not_writable',
          text: `the store refuses the audit log${trouble ? ` (${STORE_TROUBLES[trouble]})` : ''}, ${waiting} events wait; the log says why`,
        })
      return reasons
    },
  }
}

/**
 * Reading is not enough: a full disk answers questions, and lets nobody in. What is written differs each time, since SQLite does not
 * write what stands there already.
 */
async function lookAtStore(db: Db): Promise<NotReady | undefined> {
  const { promise: late, resolve } = Promise.withResolvers<NotReady>()
  const unreachable: NotReady = { code: 'store_unreachable', text: 'the store does not answer; the log says why' }
  const timer = setTimeout(() => resolve(unreachable), STORE_TIMEOUT_MS)
  const answer = db
    .insertInto('settings')
    .values({ key: PROBE, value: '0' })
    .onConflict((conflict) =>
      conflict.column('key').doUpdateSet({ value: sql<string>`case settings.value when '0' then '1' else '0' end` }),
    )
    .execute()
    .then(
      () => undefined,
      (error: unknown): NotReady => {
        const trouble = storeTroubleOf(error)
        if (trouble === undefined || trouble === 'unreachable') return unreachable
        return { code: 'store_not_writable', text: `the access server lets nobody in: ${STORE_TROUBLES[trouble]}` }
      },
    )
  try {
    return await Promise.race([answer, late])
  } finally {
    clearTimeout(timer)
  }
}
