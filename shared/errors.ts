// The catalogue of errors that cross a boundary of Postern: the server's API and preamble, the core's RPC, the CLI's
// exit code. Each has a stable code and a kind; kinds never collapse into one another. Pure.

/** What went wrong, coarse enough to decide what happens next (ask to log in, refuse, retry, fix a setting). */
export type ErrorKind =
  | 'usage'
  | 'expired'
  | 'denied'
  | 'unreachable'
  | 'protocol'
  | 'misconfigured'
  | 'conflict'
  | 'not_found'
  | 'cancelled'
  | 'internal'

/** code → its kind and the HTTP status under which the server's API answers it. */
export const ERROR_CATALOGUE = {
  // asked wrongly
  bad_request: { kind: 'usage', http: 400 },
  unsupported: { kind: 'usage', http: 400 },
  // a login would help
  login_required: { kind: 'expired', http: 401 },
  login_expired: { kind: 'expired', http: 401 },
  certificate_expired: { kind: 'expired', http: 401 },
  // who are you
  bad_credentials: { kind: 'denied', http: 401 },
  totp_required: { kind: 'denied', http: 401 },
  totp_invalid: { kind: 'denied', http: 401 },
  setup_code_invalid: { kind: 'denied', http: 401 },
  /** A login at the identity provider that did not come to its end: a link used up or out of date, an answer that is not right. */
  sso_failed: { kind: 'denied', http: 401 },
  /** The identity provider, or the person there, said no; or who logged in there is nobody here. */
  sso_denied: { kind: 'denied', http: 403 },
  bad_certificate: { kind: 'denied', http: 401 },
  rate_limited: { kind: 'denied', http: 429 },
  user_disabled: { kind: 'denied', http: 403 },
  // may you
  forbidden: { kind: 'denied', http: 403 },
  resource_denied: { kind: 'denied', http: 403 },
  account_denied: { kind: 'denied', http: 403 },
  database_denied: { kind: 'denied', http: 403 },
  local_user_denied: { kind: 'denied', http: 403 },
  gateway_password_wrong: { kind: 'denied', http: 403 },
  wrong_identity: { kind: 'denied', http: 403 },
  session_ended: { kind: 'denied', http: 403 },
  /** As many sessions, or connections of one session, as a role allows at once. */
  session_limit: { kind: 'denied', http: 429 },
  connection_limit: { kind: 'denied', http: 429 },
  // is it there
  not_found: { kind: 'not_found', http: 404 },
  profile_unknown: { kind: 'not_found', http: 404 },
  gateway_unknown: { kind: 'not_found', http: 404 },
  conflict: { kind: 'conflict', http: 409 },
  port_conflict: { kind: 'conflict', http: 409 },
  core_version: { kind: 'conflict', http: 409 },
  // can it be reached
  server_unreachable: { kind: 'unreachable', http: 502 },
  target_unreachable: { kind: 'unreachable', http: 502 },
  /** The identity provider, seen from the access server. */
  sso_unreachable: { kind: 'unreachable', http: 502 },
  core_unreachable: { kind: 'unreachable', http: 502 },
  // can it be trusted and understood
  server_untrusted: { kind: 'misconfigured', http: 502 },
  clock_skew: { kind: 'misconfigured', http: 400 },
  target_tls: { kind: 'misconfigured', http: 502 },
  target_auth: { kind: 'misconfigured', http: 502 },
  misconfigured: { kind: 'misconfigured', http: 500 },
  protocol: { kind: 'protocol', http: 400 },
  // the person or the time said no
  login_cancelled: { kind: 'cancelled', http: 499 },
  login_timeout: { kind: 'cancelled', http: 408 },
  login_failed: { kind: 'cancelled', http: 401 },
  internal: { kind: 'internal', http: 500 },
} as const satisfies Record<string, { kind: ErrorKind; http: number }>

export type ErrorCode = keyof typeof ERROR_CATALOGUE

export const isErrorCode = (code: unknown): code is ErrorCode =>
  typeof code === 'string' && Object.hasOwn(ERROR_CATALOGUE, code)

/** What a client of any boundary sees: a fixed code, a text for people, and the id that finds the cause in a log (E1). */
export type ErrorBody = { code: ErrorCode; text: string; errorId?: string | undefined; detail?: unknown }

/**
 * An error with a stable code and a text that may be shown to the person who caused it. The cause (paths, driver text,
 * OS errors) stays in `cause` and goes to logs only. `detail` is machine-readable and as public as the text.
 */
export class PosternError extends Error {
  override readonly name = 'PosternError'
  readonly code: ErrorCode
  readonly errorId: string | undefined
  readonly detail: unknown

  constructor(
    code: ErrorCode,
    text: string,
    options: { cause?: unknown; errorId?: string | undefined; detail?: unknown } = {},
  ) {
    super(text, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.errorId = options.errorId
    this.detail = options.detail
  }

  get kind(): ErrorKind {
    return ERROR_CATALOGUE[this.code].kind
  }

  toBody(): ErrorBody {
    return {
      code: this.code,
      text: this.message,
      ...(this.errorId === undefined ? {} : { errorId: this.errorId }),
      ...(this.detail === undefined ? {} : { detail: this.detail }),
    }
  }

  static fromBody(body: ErrorBody): PosternError {
    return new PosternError(body.code, body.text, { errorId: body.errorId, detail: body.detail })
  }
}

/** Exit codes of `postern`: 0 done, 1 failed, 2 usage, 3 needs login, 4 refused. */
export function exitCodeOf(error: unknown): 1 | 2 | 3 | 4 {
  if (!(error instanceof PosternError)) return 1
  switch (error.kind) {
    case 'usage':
      return 2
    case 'expired':
      return 3
    case 'denied':
      return 4
    case 'unreachable':
    case 'protocol':
    case 'misconfigured':
    case 'conflict':
    case 'not_found':
    case 'cancelled':
    case 'internal':
      return 1
  }
}
