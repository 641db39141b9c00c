// The last words to a client: which FATAL error each failure becomes (E1: fixed texts, no host, no driver text, an error id
// that finds the cause in the server's log). Called by the engine.
import { PosternError, type ErrorCode } from '../../../shared/errors.ts'
import type { SessionEndReason } from '../../../shared/session-api.ts'
import { encodeErrorResponse, type Severity } from '../../../shared/wire/postgres/backend-messages.ts'
import { fatalError, SQLSTATE, type Sqlstate } from '../../../shared/wire/postgres/fatal-errors.ts'
import { PostgresProtocolError } from '../../../shared/wire/postgres/protocol-error.ts'
import { SessionEnded } from '../../seams.ts'
import { TargetRefusal } from './target-login.ts'

/** A connection that Postern refuses for what its startup message asks; the text is for the client. */
export class StartupRefusal extends Error {
  override readonly name = 'StartupRefusal'
  readonly code: ErrorCode
  readonly sqlstate: Sqlstate
  readonly hint: string
  /** For the audit log: what was asked for. */
  readonly asked: Record<string, unknown>
  constructor(code: ErrorCode, sqlstate: Sqlstate, message: string, hint: string, asked: Record<string, unknown>) {
    super(message)
    this.code = code
    this.sqlstate = sqlstate
    this.hint = hint
    this.asked = asked
  }
}

export type LastWords = { bytes: Buffer; code: ErrorCode; errorId: string | undefined }

/**
 * What a client is told about an error before its connection became ready, and what the audit log says.
 * @param report writes the cause to the log and returns the error id.
 */
export function lastWordsFor(
  error: unknown,
  resource: string,
  report: (code: ErrorCode, cause: unknown) => string,
): LastWords {
  if (error instanceof StartupRefusal)
    return {
      bytes: fatalError(error.sqlstate, error.message, { hint: error.hint }),
      code: error.code,
      errorId: undefined,
    }
  if (error instanceof TargetRefusal) {
    const errorId = report('target_unreachable', error)
    return { bytes: passOn(error), code: 'target_unreachable', errorId }
  }
  if (error instanceof PostgresProtocolError)
    return { bytes: fatalError(SQLSTATE.protocolViolation, error.message), code: 'protocol', errorId: undefined }
  const code = error instanceof PosternError && error.code in TEXTS ? error.code : 'internal'
  const errorId = report(code, error)
  const { sqlstate, message, hint } = TEXTS[code] ?? INTERNAL
  return { bytes: fatalError(sqlstate, `${message(resource)} (error ${errorId})`, { hint }), code, errorId }
}

/** The database's own reason, in its own words: no such database, too many connections, not the right to connect. */
function passOn({ fields }: TargetRefusal): Buffer {
  const { code, message, detail, hint } = fields
  const severity: Severity = 'FATAL'
  return encodeErrorResponse({
    severity,
    code: /^[0-9A-Z]{5}$/.test(code) ? code : SQLSTATE.internalError,
    message,
    ...(detail === '' ? {} : { detail }),
    ...(hint === '' ? {} : { hint }),
  })
}

type Text = { sqlstate: Sqlstate; message: (resource: string) => string; hint: string }
const INTERNAL: Text = {
  sqlstate: SQLSTATE.internalError,
  message: (resource) => `Postern failed on the way to "${resource}"`,
  hint: 'Give the error id to the administrator of the access server.',
}
const TEXTS: Partial<Record<ErrorCode, Text>> = {
  target_unreachable: {
    sqlstate: SQLSTATE.connectionFailure,
    message: (resource) => `Postern cannot reach the database "${resource}"`,
    hint: 'It may be down: try again later, else give the error id to the administrator of the access server.',
  },
  target_tls: {
    sqlstate: SQLSTATE.connectionFailure,
    message: (resource) => `Postern cannot make a trusted TLS connection to the database "${resource}"`,
    hint: 'The administrator of the access server must check the TLS settings of the resource or the certificate of the database.',
  },
  target_auth: {
    sqlstate: SQLSTATE.invalidAuthorization,
    message: (resource) => `the database "${resource}" does not accept the credentials that Postern has stored for it`,
    hint: 'Your own login is fine: the administrator of the access server must fix the stored credentials.',
  },
}

/** The connection was cut in the middle by the target or on the way to it. */
export const targetVanished = (resource: string, errorId: string): Buffer =>
  fatalError(
    SQLSTATE.connectionFailure,
    `the database "${resource}" closed the connection without a word (error ${errorId})`,
    {
      hint: 'It may have been restarted: connect again.',
    },
  )

/** The target is connected and takes nothing: its process hangs, or its machine does. */
export const targetStalled = (resource: string, errorId: string): Buffer =>
  fatalError(SQLSTATE.connectionFailure, `the database "${resource}" has stopped reading (error ${errorId})`, {
    hint: 'It may hang: try again later, else give the error id to the administrator of the access server.',
  })

/** Why Postern ends a connection that was fine. @param reason of the signal that aborted. */
export function endedByPostern(reason: unknown): Buffer {
  if (!(reason instanceof SessionEnded))
    return fatalError(SQLSTATE.adminShutdown, 'Postern ended this connection: the access server is shutting down', {
      hint: 'Connect again in a moment.',
    })
  const { why, hint } = END_TEXTS[reason.reason]
  return fatalError(SQLSTATE.adminShutdown, `Postern ended this session: ${reason.why ?? why}`, { hint })
}

const AGAIN = 'Connect again to begin a new session.'
const END_TEXTS: Record<SessionEndReason, { why: string; hint: string }> = {
  cancelled: { why: 'it was cancelled', hint: AGAIN },
  terminated: { why: 'an administrator terminated it', hint: 'Ask the administrator before you connect again.' },
  revoked: {
    why: 'your access to it was revoked or you logged out',
    hint: 'Log in again or ask an administrator for access.',
  },
  expired: { why: 'its time limit was reached', hint: AGAIN },
  idle: { why: 'it was idle for too long', hint: AGAIN },
  closed: { why: 'its gateway was closed', hint: 'Open the gateway again.' },
  restart: { why: 'the access server restarted', hint: AGAIN },
}
