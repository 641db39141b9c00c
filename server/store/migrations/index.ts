// The migrations of the store in their order, listed by hand: what is not named here does not run. Called by store.ts.
// A migration that was released is never edited; a change of the tables is a new one.
import type { Migration } from 'kysely/migration'
import type { StoreDialect } from '../schema.ts'
import { firstTables } from './0001-first-tables.ts'
import { ssoRequests } from './0002-sso-requests.ts'
import { caRotation } from './0003-ca-rotation.ts'
import { sessionEnds } from './0004-session-ends.ts'
import { auditSearch } from './0005-audit-search.ts'
import { whySessionsEnded } from './0006-why-sessions-ended.ts'

/** Name → migration; Kysely runs them in the order of their names. */
export const migrationsFor = (dialect: StoreDialect): Record<string, Migration> => ({
  '0001-first-tables': firstTables(dialect),
  '0002-sso-requests': ssoRequests,
  '0003-ca-rotation': caRotation,
  '0004-session-ends': sessionEnds,
  '0005-audit-search': auditSearch(dialect),
  '0006-why-sessions-ended': whySessionsEnded,
})
