// Errors in the client's own protocol (G7): what a PostgreSQL client that cannot be connected is told. Called by
// postgres.ts.
import { PosternError, type ErrorCode } from '../../../../shared/errors.ts'
import {
  fatalError,
  sessionExpiredError,
  SQLSTATE,
  type ExpiredSession,
  type Sqlstate,
} from '../../../../shared/wire/postgres/fatal-errors.ts'
import type { ErrorContext } from '../protocol.ts'

/** The FATAL ErrorResponse for an error that keeps a client out. */
export function postgresErrorFor(error: unknown, context: ErrorContext): Buffer {
  if (!(error instanceof PosternError)) {
    return fatalError(SQLSTATE.internalError, 'something went wrong inside the Postern core; see core.log')
  }
  const outcome = LOGIN_OUTCOMES[error.code]
  if (outcome) return sessionExpiredError({ ...context, outcome })
  const hint = error.kind === 'expired' ? `Log in with "${context.loginCommand}" or the Postern app.` : undefined
  const detail = error.errorId === undefined ? undefined : `Error id: ${error.errorId}`
  return fatalError(stateFor(error), error.message, { detail, hint })
}

function stateFor({ code, kind }: PosternError): Sqlstate {
  if (code === 'gateway_password_wrong') return SQLSTATE.invalidPassword
  if (code === 'session_limit' || code === 'connection_limit') return SQLSTATE.tooManyConnections
  if (code === 'session_ended') return SQLSTATE.adminShutdown
  if (kind === 'unreachable') return SQLSTATE.connectionFailure
  if (kind === 'protocol') return SQLSTATE.protocolViolation
  return kind === 'internal' ? SQLSTATE.internalError : SQLSTATE.invalidAuthorization
}

const LOGIN_OUTCOMES: Partial<Record<ErrorCode, ExpiredSession['outcome']>> = {
  login_cancelled: 'cancelled',
  login_failed: 'failed',
  login_timeout: 'timed-out',
}
