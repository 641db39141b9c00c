// Whether this process has started, and whether it should be sent clients: for balancers and supervisors, over operations-port.ts.
// Made by start.ts, which tells it what the server is doing.
import type { OwnedAuditLog } from '../audit/audit-log.ts'
import type { Db } from '../store/store.ts'

/** How long the store may take to answer, in ms. */
const STORE_TIMEOUT_MS = 2000

export type NotReady = {
  code: 'starting' | 'draining' | 'store_unreachable' | 'audit_not_writable'
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
  let asking: Promise<boolean> | undefined

  /** One question at a time, however many balancers look. */
  const isStoreThere = (db: Db): Promise<boolean> =>
    (asking ??= answersInTime(db).finally(() => {
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
      if (!(await isStoreThere(parts.db)))
        reasons.push({ code: 'store_unreachable', text: 'the store does not answer; the log says why' })
      const { isFailing, waiting } = parts.audit.state()
      if (isFailing)
        reasons.push({
          code: 'audit_not_writable',
          text: `the store refuses the audit log, ${waiting} events wait; the log says why`,
        })
      return reasons
    },
  }
}

async function answersInTime(db: Db): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<boolean>()
  const timer = setTimeout(() => resolve(false), STORE_TIMEOUT_MS)
  const answer = db
    .selectFrom('settings')
    .select('key')
    .limit(1)
    .execute()
    .then(
      () => true,
      () => false,
    )
  try {
    return await Promise.race([answer, late])
  } finally {
    clearTimeout(timer)
  }
}
