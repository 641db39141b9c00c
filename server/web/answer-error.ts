// Turns what went wrong with a request into its HTTP status and ApiError body. Called by web-app.ts only. Causes go to the
// log under an id; the client gets the catalogue's code and a fixed text (E1).
import type { Logger } from 'pino'
import type { z } from 'zod'
import { ERROR_CATALOGUE, PosternError, type ErrorBody } from '../../shared/errors.ts'
import type { ReportError } from '../seams.ts'
import { STORE_TROUBLES, storeTroubleOf } from '../store/store-trouble.ts'

export type ErrorAnswer = { status: number; body: ErrorBody }

/** HTTP errors of fastify that have a status of their own beside the catalogue's. */
const FASTIFY_TEXTS: Record<string, { status: number; text: string }> = {
  FST_ERR_CTP_BODY_TOO_LARGE: { status: 413, text: 'the body is larger than 1 MiB' },
  FST_ERR_CTP_INVALID_MEDIA_TYPE: { status: 415, text: 'the body must be application/json' },
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: { status: 400, text: 'the body is not as long as its Content-Length says' },
  FST_ERR_BAD_URL: { status: 400, text: 'the path is not a valid URL path' },
}

export function answerError(error: unknown, reportError: ReportError, log: Logger): ErrorAnswer {
  if (error instanceof PosternError && error.kind !== 'internal' && error.kind !== 'misconfigured')
    return { status: ERROR_CATALOGUE[error.code].http, body: error.toBody() }
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
  const known = FASTIFY_TEXTS[code]
  if (known) return { status: known.status, body: { code: 'bad_request', text: known.text } }

  // A misconfiguration (a wrong master key, say) is for the administrator: its text names files of the server.
  const errorCode = error instanceof PosternError ? error.code : 'internal'
  const errorId = reportError(errorCode, error, log)
  const trouble = storeTroubleOf(error)
  const what = trouble ? STORE_TROUBLES[trouble] : 'it failed'
  return {
    status: trouble ? 503 : ERROR_CATALOGUE[errorCode].http,
    body: {
      code: errorCode,
      text: `the access server cannot answer: ${what}; its administrator finds error ${errorId} in its log`,
      errorId,
    },
  }
}

/** Parses a query or body. @throws PosternError `bad_request` whose text and detail name the first field that is wrong */
export function parseInput(schema: z.ZodType, value: unknown): unknown {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const problems = parsed.error.issues.map((issue) => ({ field: issue.path.join('.'), text: issue.message }))
  const [first] = problems
  const text =
    first === undefined ? 'the request is not valid' : first.field === '' ? first.text : `${first.field}: ${first.text}`
  throw new PosternError('bad_request', text, { detail: { field: first?.field ?? '', problems } })
}
