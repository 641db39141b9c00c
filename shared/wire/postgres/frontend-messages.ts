// Messages that a client sends: parsers for those that the statement log has to understand (whole bodies or only their
// beginning), builders for those that Postern sends to a target itself. Pure; parsers throw PostgresProtocolError only.
// Source: PostgreSQL documentation, "Frontend/Backend Protocol", 55.7.
import { encodeMessage } from './backend-messages.ts'
import { cString, FieldReader } from './field-reader.ts'
import { PostgresProtocolError } from './protocol-error.ts'

/** Text of a statement as far as it is at hand. */
export type StatementText = { sql: string; isCut: boolean }

/** `Q`: one or more statements. */
export function parseQuery(body: Buffer): StatementText {
  const { text, isCut } = new FieldReader(body, 'Query').stringOrCut()
  return { sql: text, isCut }
}

/** `P`: prepares a statement under a name; the empty name is the unnamed statement. */
export function parseParse(body: Buffer): { name: string } & StatementText {
  const reader = new FieldReader(body, 'Parse')
  const name = serverName(reader.stringOrCut().text)
  const { text, isCut } = reader.stringOrCut()
  return { name, sql: text, isCut }
}

/** `B`: binds parameters to a prepared statement under a portal's name. */
export function parseBind(body: Buffer): { portal: string; statement: string } {
  const reader = new FieldReader(body, 'Bind')
  return { portal: serverName(reader.stringOrCut().text), statement: serverName(reader.stringOrCut().text) }
}

/** `E`: executes a portal. */
export function parseExecute(body: Buffer): { portal: string } {
  return { portal: serverName(new FieldReader(body, 'Execute').stringOrCut().text) }
}

/** `C`: closes a statement or a portal. */
export function parseClose(body: Buffer): { kind: 'statement' | 'portal'; name: string } {
  const reader = new FieldReader(body, 'Close')
  const kind = reader.bytes(1).toString('latin1') === 'S' ? 'statement' : 'portal'
  return { kind, name: serverName(reader.stringOrCut().text) }
}

/** `F`: calls a function by its object id. */
export const parseFunctionCall = (body: Buffer): { oid: number } => ({
  oid: new FieldReader(body, 'FunctionCall').uint32(),
})

/** PostgreSQL tells names of statements and portals apart by their first 63 bytes (NAMEDATALEN - 1). */
const NAME_MAX_BYTES = 63
/** A unit of a JavaScript string takes three bytes of UTF-8 at most (a pair of them four), so most names need no look at theirs. */
const serverName = (name: string): string =>
  name.length * 3 <= NAME_MAX_BYTES ? name : Buffer.from(name).subarray(0, NAME_MAX_BYTES).toString('utf8')

export const encodeQuery = (sql: string): Buffer => encodeMessage('Q', cString(sql))
export const encodeTerminate = (): Buffer => encodeMessage('X')
/** The answer to a cleartext or MD5 request. */
export const encodePassword = (password: string): Buffer => encodeMessage('p', cString(password))

/** The first answer to a SASL request: the mechanism that was chosen, and its first message. */
export function encodeSaslInitialResponse(mechanism: string, data: Uint8Array): Buffer {
  const length = Buffer.alloc(4)
  length.writeInt32BE(data.length)
  return encodeMessage('p', cString(mechanism), length, data)
}

export const encodeSaslResponse = (data: Uint8Array): Buffer => encodeMessage('p', data)

/** The body of the first answer to a SASL request; `data` is empty where the client sent none. */
export function parseSaslInitialResponse(body: Buffer): { mechanism: string; data: Buffer } {
  const reader = new FieldReader(body, 'SASL initial response')
  const mechanism = reader.string()
  const length = reader.int32()
  const data = length === -1 ? Buffer.alloc(0) : reader.bytes(length)
  if (reader.remaining > 0) throw new PostgresProtocolError('SASL initial response: bytes follow its end')
  return { mechanism, data }
}
