// Reads what a client wants before anything is dialled, and refuses what its route does not allow: another user, another
// database, replication. Called by the engine.
// Source: PostgreSQL documentation, "Frontend/Backend Protocol", 55.2.1, 55.2.10 and 55.2.11 (TLS and GSS requests).
import type { Duplex } from 'node:stream'
import { SQLSTATE } from '../../../shared/wire/postgres/fatal-errors.ts'
import { PostgresProtocolError } from '../../../shared/wire/postgres/protocol-error.ts'
import {
  classifyFirstBytes,
  FIRST_BYTES,
  parseStartupMessage,
  REFUSE_ENCRYPTION,
  type StartupParameters,
} from '../../../shared/wire/postgres/startup.ts'
import { readBytes } from '../../../link/read-bytes.ts'
import type { PostgresResource } from '../../../shared/admin-api.ts'
import type { RouteAccess } from '../../seams.ts'
import { StartupRefusal } from './client-errors.ts'

/** TLS and GSS are each asked for once at most. */
const MAX_ENCRYPTION_REQUESTS = 2

export type PostgresAccess = RouteAccess & { resource: PostgresResource }

export type ClientStartup = {
  database: string
  applicationName: string
  /** What the target is asked for besides its user: database, application_name, options, client_encoding … */
  parameters: StartupParameters
  /** Options of newer protocols, which we do not know; undefined if the client speaks plain 3.0. */
  unknownOptions: string[] | undefined
}

/**
 * Reads the startup message; TLS and GSS requests before it are answered with `N` (the link is encrypted already).
 * @throws PostgresProtocolError, StreamEndedError, the signal's reason.
 */
export async function readStartup(
  stream: Duplex,
  signal: AbortSignal,
): Promise<ReturnType<typeof parseStartupMessage>> {
  for (let requests = 0; requests <= MAX_ENCRYPTION_REQUESTS; requests++) {
    const bytes = await readBytes(stream, FIRST_BYTES, signal)
    const first = classifyFirstBytes(bytes)
    switch (first.kind) {
      case 'ssl':
      case 'gss':
        stream.write(REFUSE_ENCRYPTION)
        break
      case 'cancel':
        throw new PostgresProtocolError('a cancel request came where a connection was expected')
      case 'garbage':
        throw new PostgresProtocolError(first.text)
      case 'startup': {
        const rest =
          first.length > FIRST_BYTES ? await readBytes(stream, first.length - FIRST_BYTES, signal) : Buffer.alloc(0)
        return parseStartupMessage(Buffer.concat([bytes, rest]))
      }
    }
  }
  throw new PostgresProtocolError('the client asks for encryption again and again')
}

/**
 * Holds a startup message against what the route allows.
 * @throws StartupRefusal with a text that names what is right.
 */
export function checkStartup(
  startup: { minor: number; parameters: StartupParameters },
  { route, resource, databases }: PostgresAccess,
): ClientStartup {
  const { parameters } = startup
  const user = parameters.get('user')
  if (user !== route.account)
    throw new StartupRefusal(
      'account_denied',
      SQLSTATE.invalidAuthorization,
      `this gateway connects to "${route.resource}" as "${route.account}", not as "${user ?? ''}"`,
      `Connect with the user "${route.account}", or open a gateway for the other account.`,
      { user: user ?? null },
    )
  const replication = parameters.get('replication')
  if (replication !== undefined && !/^(off|false|no|0|f|n)$/i.test(replication))
    throw new StartupRefusal(
      'unsupported',
      SQLSTATE.featureNotSupported,
      'replication connections do not pass through Postern yet',
      'Connect without the "replication" parameter.',
      { replication },
    )
  // libpq always names a database; a client that does not gets the one of the resource.
  const database = parameters.get('database') ?? resource.defaultDatabase
  if (!databases.includes('*') && !databases.includes(database))
    throw databaseRefusal(database, databases, resource.defaultDatabase)

  const passed = new Map([...parameters].filter(([name]) => isPassedOn(name)))
  passed.set('database', database)
  const unknownOptions = [...parameters.keys()].filter((name) => name.startsWith('_pq_.'))
  return {
    database,
    applicationName: parameters.get('application_name') ?? '',
    parameters: passed,
    unknownOptions: startup.minor > 0 || unknownOptions.length > 0 ? unknownOptions : undefined,
  }
}

function databaseRefusal(database: string, databases: readonly string[], defaultDatabase: string): StartupRefusal {
  const allowed = databases.map((name) => `"${name}"`).join(', ')
  const suggestion = databases.includes(defaultDatabase)
    ? `The default is "${defaultDatabase}": connect with dbname=${defaultDatabase}.`
    : 'Name one of them in your connection settings.'
  return new StartupRefusal(
    'database_denied',
    SQLSTATE.invalidCatalogName,
    `your roles do not allow the database "${database}"; allowed here: ${allowed === '' ? 'none' : allowed}`,
    suggestion,
    { database },
  )
}

const isPassedOn = (name: string): boolean =>
  name !== 'user' && name !== 'database' && name !== 'replication' && !name.startsWith('_pq_.')
