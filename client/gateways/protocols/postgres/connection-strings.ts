// What a person pastes into a client to use a gateway: URL and environment. The client's own connect timeout outlasts the
// wait for a login (G9). Pure; called by postgres.ts.
import type { ConnectionTarget } from '../protocol.ts'

/** A libpq connection URI (PostgreSQL documentation, 34.1.1.2), every part percent-encoded. */
export function postgresUrl({ host, port, account, database, connectTimeoutSeconds }: ConnectionTarget): string {
  const part = encodeURIComponent
  return `postgresql://${part(account)}@${host}:${port}/${part(database)}?sslmode=disable&connect_timeout=${connectTimeoutSeconds}`
}

/** libpq's environment variables (34.15). */
export const postgresEnvironment = (target: ConnectionTarget): Record<string, string> => ({
  PGHOST: target.host,
  PGPORT: String(target.port),
  PGUSER: target.account,
  PGDATABASE: target.database,
  PGSSLMODE: 'disable',
  PGCONNECT_TIMEOUT: String(target.connectTimeoutSeconds),
})
