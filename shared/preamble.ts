// The preamble (C5): the one message that the server sends on protocol ALPN names after the TLS handshake and before any
// protocol byte, so that a client never takes silence for success. Framing (u32 length + JSON) lives in link/preamble.ts.
import { z } from 'zod'
import { ERROR_CATALOGUE, type ErrorCode } from './errors.ts'

/** Largest preamble, in bytes of JSON. */
export const PREAMBLE_MAX_BYTES = 16 * 1024

const errorCodes = Object.keys(ERROR_CATALOGUE) as [ErrorCode, ...ErrorCode[]]

/** Unknown codes of a newer server become `internal`: the text still says what happened. */
const WireErrorCode = z.enum(errorCodes).catch('internal')

export const Preamble = z.union([
  z.object({ ok: z.object({ version: z.number().int(), sessionId: z.string(), serverTime: z.iso.datetime() }) }),
  z.object({
    refused: z.object({
      version: z.number().int(),
      code: WireErrorCode,
      text: z.string(),
      errorId: z.string().optional(),
      serverTime: z.iso.datetime(),
    }),
  }),
])
export type Preamble = z.infer<typeof Preamble>
