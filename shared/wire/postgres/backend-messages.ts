// Messages that a server sends: builders for those that Postern says itself, parsers for those that it has to understand
// (authentication, errors, keys, settings, command tags). Pure. Parsers throw PostgresProtocolError and nothing else.
// Source: PostgreSQL documentation, "Frontend/Backend Protocol", 55.7 and 55.8 (error fields).
import { cString, FieldReader } from './field-reader.ts'
import { PROTOCOL_3_0, type BackendKey } from './startup.ts'
import { PostgresProtocolError } from './protocol-error.ts'

/** One typed message: the type's letter, the length, the body. */
export function encodeMessage(type: string, ...parts: Uint8Array[]): Buffer {
  const header = Buffer.alloc(5)
  header.write(type, 'latin1')
  const message = Buffer.concat([header, ...parts])
  message.writeInt32BE(message.length - 1, 1)
  return message
}

const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value | 0)
  return bytes
}

// --- errors and notices -----------------------------------------------------------------------------------------------

export type Severity = 'ERROR' | 'FATAL' | 'PANIC' | 'WARNING' | 'NOTICE' | 'DEBUG' | 'INFO' | 'LOG'
/** What an ErrorResponse or NoticeResponse tells people. `code` is a SQLSTATE of five characters. */
export type ErrorFields = {
  severity: Severity
  code: string
  message: string
  detail?: string | undefined
  hint?: string | undefined
}

export const encodeErrorResponse = (fields: ErrorFields): Buffer => encodeMessage('E', encodeFields(fields))
export const encodeNoticeResponse = (fields: ErrorFields): Buffer => encodeMessage('N', encodeFields(fields))

/** Severity goes out twice: S may be translated, V (since 9.6) never is. */
function encodeFields({ severity, code, message, detail, hint }: ErrorFields): Buffer {
  const fields = { S: severity, V: severity, C: code, M: message, D: detail, H: hint }
  const parts = Object.entries(fields).map(([type, text]) =>
    text === undefined ? Buffer.alloc(0) : Buffer.concat([Buffer.from(type), cString(text)]),
  )
  return Buffer.concat([...parts, Buffer.of(0)])
}

/** The fields of an ErrorResponse or NoticeResponse as the server wrote them; what is missing is an empty text. */
export type SeenError = { severity: string; code: string; message: string; detail: string; hint: string }

/** @param body the body or its beginning: a field that is cut off is taken as far as it goes. */
export function parseErrorFields(body: Buffer): SeenError {
  const reader = new FieldReader(body, 'error response')
  const fields = new Map<string, string>()
  while (reader.remaining > 0) {
    const type = reader.bytes(1).toString('latin1')
    if (type === '\0') break
    fields.set(type, reader.stringOrCut().text)
  }
  const text = (type: string): string => fields.get(type) ?? ''
  return { severity: text('V') || text('S'), code: text('C'), message: text('M'), detail: text('D'), hint: text('H') }
}

// --- start of a connection --------------------------------------------------------------------------------------------

/** What the server asks for before it lets a client in. `other` names a method that Postern does not speak. */
export type AuthenticationRequest =
  | { kind: 'ok' | 'cleartext' }
  | { kind: 'md5'; salt: Buffer }
  | { kind: 'sasl'; mechanisms: string[] }
  | { kind: 'sasl-continue' | 'sasl-final'; data: Buffer }
  | { kind: 'other'; code: number }

/** Parses the body of an `R` message. */
export function parseAuthenticationRequest(body: Buffer): AuthenticationRequest {
  const reader = new FieldReader(body, 'authentication request')
  const code = reader.int32()
  switch (code) {
    case 0:
      return { kind: 'ok' }
    case 3:
      return { kind: 'cleartext' }
    case 5:
      return { kind: 'md5', salt: reader.bytes(4) }
    case 10: {
      const mechanisms: string[] = []
      for (let name = reader.string(); name !== ''; name = reader.string()) mechanisms.push(name)
      return { kind: 'sasl', mechanisms }
    }
    case 11:
      return { kind: 'sasl-continue', data: reader.rest() }
    case 12:
      return { kind: 'sasl-final', data: reader.rest() }
    default:
      return { kind: 'other', code }
  }
}

/** The `R` message for a request; for tests and servers of our own. */
export function encodeAuthentication(request: Exclude<AuthenticationRequest, { kind: 'other' }>): Buffer {
  switch (request.kind) {
    case 'ok':
      return encodeMessage('R', int32(0))
    case 'cleartext':
      return encodeMessage('R', int32(3))
    case 'md5':
      return encodeMessage('R', int32(5), request.salt)
    case 'sasl':
      return encodeMessage('R', int32(10), ...request.mechanisms.map(cString), Buffer.of(0))
    case 'sasl-continue':
      return encodeMessage('R', int32(11), request.data)
    case 'sasl-final':
      return encodeMessage('R', int32(12), request.data)
  }
}

export const encodeAuthenticationOk = (): Buffer => encodeAuthentication({ kind: 'ok' })

/** Says that only protocol 3.0 is spoken and which `_pq_.` options are not known. Goes out before AuthenticationOk. */
export const encodeNegotiateProtocolVersion = (unknownOptions: readonly string[]): Buffer =>
  // The documentation says "minor version", PostgreSQL and libpq write and read the whole version number.
  encodeMessage('v', int32(PROTOCOL_3_0), int32(unknownOptions.length), ...unknownOptions.map(cString))

export const encodeParameterStatus = (name: string, value: string): Buffer =>
  encodeMessage('S', cString(name), cString(value))

export const encodeBackendKeyData = (key: BackendKey): Buffer =>
  encodeMessage('K', int32(key.processId), int32(key.secret))

/** Parses the body of a `K` message of protocol 3.0 (a 64-bit key). */
export function parseBackendKeyData(body: Buffer): BackendKey {
  const reader = new FieldReader(body, 'backend key')
  const key = { processId: reader.uint32(), secret: reader.uint32() }
  if (reader.remaining > 0) throw new PostgresProtocolError('backend key: it is longer than protocol 3.0 allows')
  return key
}

/** `I` idle, `T` in a transaction, `E` in a failed one. */
export const encodeReadyForQuery = (status: 'I' | 'T' | 'E' = 'I'): Buffer => encodeMessage('Z', Buffer.from(status))

// --- outcomes ---------------------------------------------------------------------------------------------------------

/** A command tag and the number of rows in it: `INSERT 0 5` → 5, `SELECT 3` → 3, `CREATE TABLE` → none. */
export function parseCommandTag(body: Buffer): { tag: string; rows: number | undefined } {
  const tag = new FieldReader(body, 'command tag').stringOrCut().text
  const count = / (\d+)$/.exec(tag)?.[1]
  return { tag, rows: count === undefined ? undefined : Number(count) }
}
