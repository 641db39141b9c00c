// The messages that open a PostgreSQL connection and have no type byte: SSLRequest, GSSENCRequest, CancelRequest and the
// startup message. Used by gateways (what is this client?), the engine and its target side. Pure.
// Source: PostgreSQL documentation, "Frontend/Backend Protocol", 55.2.1 and 55.7.
import { cString, FieldReader } from './field-reader.ts'
import { PostgresProtocolError } from './protocol-error.ts'

/** Request codes: a "protocol version" that no version will ever have (major 1234). */
export const SSL_REQUEST_CODE = 80877103
export const GSSENC_REQUEST_CODE = 80877104
export const CANCEL_REQUEST_CODE = 80877102
/** Protocol 3.0 as the startup message writes it: major in the upper half, minor in the lower. */
export const PROTOCOL_3_0 = 196608

/** How many bytes classifyFirstBytes needs. */
export const FIRST_BYTES = 8
/** Largest startup message, its length field included (as PostgreSQL: 10,000 bytes after the length). */
export const STARTUP_MAX_BYTES = 10_004
/** A CancelRequest with the 64-bit key of protocol 3.0, which is the only one that we issue. */
export const CANCEL_REQUEST_BYTES = 16

/** The answer "no, go on in clear" to SSLRequest and GSSENCRequest. */
export const REFUSE_ENCRYPTION = Buffer.from('N')

export type FirstMessage =
  | { kind: 'ssl' | 'gss' }
  /** `length` counts the whole message, the eight bytes at hand included. */
  | { kind: 'cancel'; length: number }
  | { kind: 'startup'; length: number; major: number; minor: number }
  | { kind: 'garbage'; what: 'http' | 'tls' | 'other'; text: string }

/**
 * Says what a client's first bytes begin.
 * @param bytes at least FIRST_BYTES of them; more are ignored.
 */
export function classifyFirstBytes(bytes: Uint8Array): FirstMessage {
  if (bytes.length < FIRST_BYTES) throw new PostgresProtocolError('too few bytes to tell what the client wants')
  const first = Buffer.from(bytes.buffer, bytes.byteOffset, FIRST_BYTES)
  const length = first.readUInt32BE(0)
  const code = first.readUInt32BE(4)
  if (length === 8 && code === SSL_REQUEST_CODE) return { kind: 'ssl' }
  if (length === 8 && code === GSSENC_REQUEST_CODE) return { kind: 'gss' }
  if (length === CANCEL_REQUEST_BYTES && code === CANCEL_REQUEST_CODE) return { kind: 'cancel', length }
  const [major, minor] = [code >>> 16, code & 0xffff]
  if (length >= FIRST_BYTES && length <= STARTUP_MAX_BYTES && major >= 1 && major <= 3)
    return { kind: 'startup', length, major, minor }
  return garbage(first)
}

function garbage(first: Buffer): FirstMessage {
  if (first[0] === 0x16 && first[1] === 0x03)
    return {
      kind: 'garbage',
      what: 'tls',
      text: 'a TLS handshake came instead of a PostgreSQL message; connect with sslmode=disable, without direct TLS',
    }
  if (/^(GET|HEAD|POST|PUT|DELETE|OPTIONS|PATCH|CONNECT|TRACE|PRI) /.test(`${first.toString('latin1')} `))
    return { kind: 'garbage', what: 'http', text: 'an HTTP request came instead of a PostgreSQL message' }
  return { kind: 'garbage', what: 'other', text: 'the first bytes are no PostgreSQL message' }
}

/** The parameters of a startup message: `user`, `database`, settings, and protocol options (`_pq_.…`). */
export type StartupParameters = ReadonlyMap<string, string>

/**
 * Reads a whole startup message of protocol 3, its length field included.
 * @throws PostgresProtocolError if it is cut, goes on after its end, or is of another protocol than 3. A name that comes
 * twice has its last value, as in PostgreSQL.
 */
export function parseStartupMessage(message: Uint8Array): {
  major: number
  minor: number
  parameters: StartupParameters
} {
  const reader = new FieldReader(Buffer.from(message.buffer, message.byteOffset, message.length), 'startup message')
  if (reader.uint32() !== message.length) throw new PostgresProtocolError('startup message: its length is wrong')
  const code = reader.uint32()
  const [major, minor] = [code >>> 16, code & 0xffff]
  if (major !== 3)
    throw new PostgresProtocolError(`protocol ${major}.${minor} is not spoken here: use a client with protocol 3`)
  const parameters = new Map<string, string>()
  for (let name = reader.string(); name !== ''; name = reader.string()) parameters.set(name, reader.string())
  if (reader.remaining > 0) throw new PostgresProtocolError('startup message: bytes follow its end')
  return { major, minor, parameters }
}

/**
 * The bytes of a startup message.
 * @throws PostgresProtocolError if a name is empty, a string holds a zero, or all is longer than STARTUP_MAX_BYTES.
 */
export function encodeStartupMessage(parameters: StartupParameters, code = PROTOCOL_3_0): Buffer {
  const fields = [...parameters].flatMap(([name, value]) => {
    if (name === '') throw new PostgresProtocolError('startup message: a parameter has no name')
    return [cString(name), cString(value)]
  })
  const message = Buffer.concat([uint32(0), uint32(code), ...fields, Buffer.of(0)])
  if (message.length > STARTUP_MAX_BYTES) throw new PostgresProtocolError('startup message: it is too long')
  message.writeUInt32BE(message.length)
  return message
}

export const encodeSslRequest = (): Buffer => Buffer.concat([uint32(8), uint32(SSL_REQUEST_CODE)])

/** The key under which a running query can be cancelled: two 32-bit numbers in protocol 3.0. */
export type BackendKey = { processId: number; secret: number }

/** @throws PostgresProtocolError if it is not exactly one CancelRequest with a 64-bit key. */
export function parseCancelRequest(message: Uint8Array): BackendKey {
  const reader = new FieldReader(Buffer.from(message.buffer, message.byteOffset, message.length), 'cancel request')
  if (message.length !== CANCEL_REQUEST_BYTES || reader.uint32() !== message.length)
    throw new PostgresProtocolError('cancel request: its length is wrong')
  if (reader.uint32() !== CANCEL_REQUEST_CODE) throw new PostgresProtocolError('this is no cancel request')
  return { processId: reader.uint32(), secret: reader.uint32() }
}

export function encodeCancelRequest(key: BackendKey): Buffer {
  return Buffer.concat([
    uint32(CANCEL_REQUEST_BYTES),
    uint32(CANCEL_REQUEST_CODE),
    uint32(key.processId),
    uint32(key.secret),
  ])
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value >>> 0)
  return bytes
}
