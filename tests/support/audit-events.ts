// The audit log of a store as a reader of it sees it, for tests of whatever writes there.
import { createAuditReader } from '../../server/audit/audit-reader.ts'
import type { OwnedAuditLog } from '../../server/audit/audit-log.ts'
import type { Db } from '../../server/store/store.ts'
import type { AuditEvent } from '../../shared/audit-api.ts'

/** The newest thousand events, oldest first, once what is recorded is in the store. */
export async function auditEvents(db: Db, audit: OwnedAuditLog): Promise<AuditEvent[]> {
  const never = new AbortController().signal
  return (await createAuditReader({ db, audit }).query({ limit: 1000, waitSeconds: 0 }, never)).events
}
