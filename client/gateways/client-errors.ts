// Errors in the client's own protocol (G7): what a PostgreSQL client that cannot be connected is told, and how it is told so
// that the text arrives. Called by connection.ts.
import type { Socket } from 'node:net'
import { PosternError, type ErrorCode } from '../../shared/errors.ts'
import {
  fatalError,
  sessionExpiredError,
  SQLSTATE,
  type ExpiredSession,
} from '../../shared/wire/postgres/fatal-errors.ts'

/** What the texts name. */
export type ErrorContext = { profile: string; resource: string; account: string; loginCommand: string }

/** How long a client may take to read its error and go, in ms. */
export const GOODBYE_DEADLINE_MS = 2000
/** The same when a gateway closes: its connections end at once (G19). */
export const HASTY_GOODBYE_DEADLINE_MS = 250

/** The FATAL ErrorResponse for an error that keeps a client out. */
export function postgresErrorFor(error: unknown, context: ErrorContext): Buffer {
  if (!(error instanceof PosternError)) {
    return fatalError(SQLSTATE.internalError, 'something went wrong inside the Postern core; see core.log')
  }
  const outcome = LOGIN_OUTCOMES[error.code]
  if (outcome) return sessionExpiredError({ ...context, outcome })
  const hint = error.kind === 'expired' ? `Log in with "${context.loginCommand}" or the Postern app.` : undefined
  const detail = error.errorId === undefined ? undefined : `Error id: ${error.errorId}`
  const state = error.kind === 'unreachable' ? SQLSTATE.connectionFailure : SQLSTATE.invalidAuthorization
  return fatalError(state, error.message, { detail, hint })
}

const LOGIN_OUTCOMES: Partial<Record<ErrorCode, ExpiredSession['outcome']>> = {
  login_cancelled: 'cancelled',
  login_failed: 'failed',
  login_timeout: 'timed-out',
}

/**
 * Sends the last bytes and waits until the client has gone. Unread bytes would make the kernel reset the connection and throw
 * the error away, so what still comes is read and dropped.
 */
export async function sayGoodbye(socket: Socket, bytes: Buffer, deadlineMs: number): Promise<void> {
  if (socket.destroyed) return
  const gone = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  const deadline = setTimeout(() => socket.destroy(), deadlineMs)
  socket.resume()
  socket.once('end', () => socket.destroySoon())
  socket.end(bytes)
  if (socket.readableEnded) socket.destroySoon()
  await gone
  clearTimeout(deadline)
}
