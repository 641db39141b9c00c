// How a command's failure reaches the person and the shell: one sentence on stderr with what to do next (or one JSON
// line), and the exit code. Used by main.ts.
import { exitCodeOf, PosternError, type ErrorCode } from '../shared/errors.ts'
import { asSentence } from './sentence.ts'

/** What helps where the error's own text does not say it yet. */
const NEXT_STEP: Partial<Record<ErrorCode, { known: RegExp; text: string }>> = {
  login_required: { known: /postern login/, text: 'Sign in with: postern login' },
  login_expired: { known: /postern login/, text: 'Sign in with: postern login' },
  certificate_expired: { known: /postern login/, text: 'Sign in with: postern login' },
  profile_unknown: { known: /postern login/, text: 'Sign in with: postern login ADDRESS --user NAME' },
  totp_required: { known: /--totp/, text: 'Give it with --totp CODE.' },
  gateway_unknown: { known: /gateway ls/, text: 'See what is open: postern gateway ls' },
  port_conflict: { known: /--port/, text: 'Choose another one with --port N.' },
  core_unreachable: { known: /core\.log/, text: 'core.log in POSTERN_HOME says more.' },
  resource_denied: { known: /resources ls/, text: 'See what your roles allow: postern resources ls' },
}

/**
 * Exit code of a failure: 0 done, 1 failed, 2 usage, 3 needs login, 4 refused. A server that nobody vouched for is refused
 * by us.
 */
export function exitCodeFor(error: unknown): number {
  if (error instanceof PosternError && error.code === 'server_untrusted') return 4
  return exitCodeOf(error)
}

/** The text for stderr, with its line end. */
export function formatError(error: unknown, json: boolean): string {
  const code = error instanceof PosternError ? error.code : 'internal'
  const errorId = error instanceof PosternError ? error.errorId : undefined
  const text = textOf(error)
  if (json) return `${JSON.stringify({ error: { code, text, ...(errorId === undefined ? {} : { errorId }) } })}\n`
  return `postern: ${text}${errorId === undefined ? '' : ` (error id ${errorId})`}\n`
}

function textOf(error: unknown): string {
  if (!(error instanceof PosternError))
    return `unexpected failure: ${error instanceof Error ? error.message : String(error)}`
  const next = NEXT_STEP[error.code]
  return next === undefined || next.known.test(error.message)
    ? error.message
    : `${asSentence(error.message)} ${next.text}`
}
