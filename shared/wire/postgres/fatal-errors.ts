// The FATAL errors with which Postern ends or refuses a PostgreSQL connection, at the gateway (G7) and in the engine, as
// bytes that can be written as they are. Each is valid at any message boundary and instead of an authentication answer. Pure.
import { encodeErrorResponse } from './backend-messages.ts'

/** SQLSTATEs that Postern uses itself (PostgreSQL documentation, appendix A). */
export const SQLSTATE = {
  connectionFailure: '08006',
  protocolViolation: '08P01',
  featureNotSupported: '0A000',
  invalidAuthorization: '28000',
  invalidPassword: '28P01',
  invalidCatalogName: '3D000',
  tooManyConnections: '53300',
  adminShutdown: '57P01',
  internalError: 'XX000',
} as const
export type Sqlstate = (typeof SQLSTATE)[keyof typeof SQLSTATE]

/** A FATAL ErrorResponse: libpq and its kin print message, DETAIL and HINT, then close. */
export const fatalError = (
  code: Sqlstate,
  message: string,
  more: { detail?: string | undefined; hint?: string | undefined } = {},
): Buffer => encodeErrorResponse({ severity: 'FATAL', code, message, ...more })

export type ExpiredSession = {
  /** The resource and account that the client wanted. */
  resource: string
  account: string
  /** Whose login it is, as people know it: the profile's name or the cluster's address. */
  profile: string
  /** What became of the login that was asked for. */
  outcome: 'cancelled' | 'timed-out' | 'failed' | 'cool-down'
  /** What to type to log in, e.g. `postern login cluster.example.com`. */
  loginCommand: string
}

/** The answer to a client whose login did not come about (G7): which session expired, why, and where to log in. */
export function sessionExpiredError({ resource, account, profile, outcome, loginCommand }: ExpiredSession): Buffer {
  return fatalError(SQLSTATE.invalidAuthorization, `your Postern session on ${profile} has expired`, {
    detail: `The connection to ${resource} as ${account} needs a login, and ${OUTCOMES[outcome]}.`,
    hint: `Log in in the Postern app or with "${loginCommand}", then connect again.`,
  })
}

const OUTCOMES: Record<ExpiredSession['outcome'], string> = {
  cancelled: 'the login was cancelled',
  'timed-out': 'nobody logged in in time',
  failed: 'the login failed',
  'cool-down': 'a login was cancelled just now',
}
