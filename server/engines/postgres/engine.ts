// The PostgreSQL engine (DB1): terminates the client's protocol, injects the target's credentials, relays, logs every
// statement. The router calls serve() for each connection and cancel() for each cancel request. Public door of this folder.
import type { Link } from '../../../link/link.ts'
import { readBytes } from '../../../link/read-bytes.ts'
import { WRITE_STALL_MS } from '../../../link/write-stall.ts'
import { CANCEL_REQUEST_BYTES, parseCancelRequest } from '../../../shared/wire/postgres/startup.ts'
import type { Logger } from 'pino'
import type { BoundedAuditLog, Clock, CredentialStore, Engine, ReportError, Route } from '../../seams.ts'
import { CancelKeys, type KeyOwner, type Random } from './cancel-keys.ts'
import { closeClient } from './closing.ts'
import { serveConnection } from './connection.ts'
import { SaltedPasswords } from './salted-passwords.ts'

export type PostgresEngineOptions = {
  credentials: CredentialStore
  audit: BoundedAuditLog
  reportError: ReportError
  /** Credentials, TCP, TLS and login at the target together, in ms; a cancel request has the same time. */
  dialTimeoutMs: number
  /** How long bytes may wait for a side that does not read, in ms. */
  writeStallMs?: number
  now: Clock
  /** Cryptographically secure random bytes. */
  random: Random
}

/** Makes the engine. Nothing is opened before a connection comes. */
export function createPostgresEngine(options: PostgresEngineOptions): Engine {
  const keys = new CancelKeys(options.random)
  const salted = new SaltedPasswords()
  const now = () => options.now().getTime()
  const { writeStallMs = WRITE_STALL_MS } = options
  return {
    async serve(connection) {
      const { resource } = connection.access
      // Route and resource were compared by access-check.ts.
      if (resource.protocol !== 'postgres') throw new TypeError(`a route to ${resource.protocol} came to PostgreSQL`)
      // Errors are said in the protocol, from the first one on.
      await connection.admit()
      const access = { ...connection.access, resource }
      await serveConnection({ ...connection, access }, { ...options, writeStallMs, now, keys, salted })
    },
    cancel: (link, route, isActive, log) => serveCancel(link, route, isActive, log, keys, options),
  }
}

async function serveCancel(
  link: Link,
  route: Route,
  isActive: (sessionId: string) => boolean,
  log: Logger,
  keys: CancelKeys,
  { audit, dialTimeoutMs }: PostgresEngineOptions,
): Promise<void> {
  const gone = new AbortController()
  void link.closed.then(() => gone.abort(new Error('the client closed the connection')))
  const deadline = AbortSignal.timeout(dialTimeoutMs)
  try {
    const request = await readBytes(link.stream, CANCEL_REQUEST_BYTES, AbortSignal.any([deadline, gone.signal]))
    const owner = keys.find(parseCancelRequest(request))
    if (owner === undefined || !isSameOwner(owner.route, route) || !isActive(owner.sessionId)) {
      log.warn(
        { route: route.routeId, isKnownKey: owner !== undefined },
        'a cancel request was dropped: no such running connection',
      )
      return
    }
    // Whether the client waits for it or not (libpq does, others hang up at once), it goes through.
    await owner.cancelAtTarget(deadline)
    audit.record({ event: 'query.cancel', ...auditFields(owner) })
  } catch (error) {
    log.warn({ err: error, route: route.routeId }, 'a cancel request could not be carried out')
  } finally {
    await closeClient(link, undefined)
  }
}

/**
 * Whether a cancel request may touch a connection: same person, same resource, same account. The route's id may differ, since
 * a re-login makes a new route while the connections of the old one go on.
 */
const isSameOwner = (a: Route, b: Route): boolean =>
  a.user === b.user && a.resource === b.resource && a.account === b.account

const auditFields = ({ route, sessionId, connectionId }: KeyOwner) => ({
  user: route.user,
  login: route.loginId,
  session: sessionId,
  connection: connectionId,
  resource: route.resource,
  account: route.account,
})
