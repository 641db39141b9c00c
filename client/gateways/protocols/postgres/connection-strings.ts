// What a person pastes into a client to use a gateway: URL and environment. The client's own connect timeout outlasts the
// wait for a login (G9). Pure; called by postgres.ts.
import type { ConnectionTarget } from '../protocol.ts'

/** A libpq connection URI (PostgreSQL documentation, 34.1.1.2), every part percent-encoded. */
export function postgresUrl(target: ConnectionTarget): string {
  const { host, port, account, database, connectTimeoutSeconds, password, socket } = target
  const part = encodeURIComponent
  const who = password === undefined ? part(account) : `${part(account)}:${password}`
  const options = `sslmode=disable&connect_timeout=${connectTimeoutSeconds}`
  // A directory cannot stand where a host does.
  return socket === undefined
    ? `postgresql://${who}@${host}:${port}/${part(database)}?${options}`
    : `postgresql://${who}@/${part(database)}?host=${part(host)}&port=${port}&${options}`
}

/** libpq's environment variables (34.15). */
export const postgresEnvironment = (target: ConnectionTarget): Record<string, string> => ({
  PGHOST: target.host,
  PGPORT: String(target.port),
  PGUSER: target.account,
  PGDATABASE: target.database,
  ...(target.password === undefined ? {} : { PGPASSWORD: target.password }),
  PGSSLMODE: 'disable',
  PGCONNECT_TIMEOUT: String(target.connectTimeoutSeconds),
})
