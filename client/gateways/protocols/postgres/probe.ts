// As little of a PostgreSQL client as a connection test needs: a login without a password (the access server has the
// credentials) and one statement. Called by postgres.ts.
// Source: PostgreSQL documentation, "Frontend/Backend Protocol", 55.2 (message flow) and 55.7.
import type { Duplex } from 'node:stream'
import { readBytes, StreamEndedError } from '../../../../link/read-bytes.ts'
import { PosternError } from '../../../../shared/errors.ts'
import { parseAuthenticationRequest, parseErrorFields } from '../../../../shared/wire/postgres/backend-messages.ts'
import { FieldReader } from '../../../../shared/wire/postgres/field-reader.ts'
import { encodeQuery, encodeTerminate } from '../../../../shared/wire/postgres/frontend-messages.ts'
import { PostgresProtocolError } from '../../../../shared/wire/postgres/protocol-error.ts'
import { encodeStartupMessage } from '../../../../shared/wire/postgres/startup.ts'

/** What the audit log of the server shows as the program. */
const APPLICATION_NAME = 'Postern connection test'
/** Longer messages are no answer to what is asked here, in bytes. */
const MESSAGE_MAX_BYTES = 1024 * 1024
const HEADER_BYTES = 5

type Message = { type: string; body: Buffer }

/**
 * Logs in, up to the first ReadyForQuery.
 * @returns the version that the server says it is, if it says one
 * @throws PosternError `target_auth`, `protocol` or `target_unreachable`, with the server's own text where it gave one
 */
export async function logInToPostgres(
  stream: Duplex,
  who: { user: string; database: string },
  signal: AbortSignal,
): Promise<string | undefined> {
  const parameters = { ...who, application_name: APPLICATION_NAME, client_encoding: 'UTF8' }
  stream.write(encodeStartupMessage(new Map(Object.entries(parameters))))
  let version: string | undefined
  await readUntilReady(stream, signal, ({ type, body }) => {
    if (type === 'R' && parseAuthenticationRequest(body).kind !== 'ok') {
      throw new PosternError(
        'target_auth',
        'the database asks for a password, which the access server should have given',
      )
    }
    if (type !== 'S') return
    const reader = new FieldReader(body, 'parameter status')
    if (reader.string() === 'server_version') version = reader.string()
  })
  return version
}

/** Runs one statement and reads its answer to the end. @throws as logInToPostgres */
export async function runStatement(stream: Duplex, sql: string, signal: AbortSignal): Promise<void> {
  stream.write(encodeQuery(sql))
  await readUntilReady(stream, signal, () => undefined)
}

/** Says good-bye, so that the server does not log a broken connection. */
export const endProbe = (stream: Duplex): void => void stream.end(encodeTerminate())

async function readUntilReady(
  stream: Duplex,
  signal: AbortSignal,
  onMessage: (message: Message) => void,
): Promise<void> {
  try {
    for (;;) {
      const message = await readMessage(stream, signal)
      if (message.type === 'Z') return
      if (message.type === 'E') throw refusalOf(message.body)
      onMessage(message)
    }
  } catch (error) {
    if (error instanceof PostgresProtocolError) {
      throw new PosternError('protocol', `the answer is not the PostgreSQL protocol: ${error.message}`, {
        cause: error,
      })
    }
    if (error instanceof StreamEndedError) {
      throw new PosternError('target_unreachable', 'the connection ended before the database answered', {
        cause: error,
      })
    }
    throw error
  }
}

async function readMessage(stream: Duplex, signal: AbortSignal): Promise<Message> {
  const header = await readBytes(stream, HEADER_BYTES, signal)
  const length = header.readUInt32BE(1) - 4
  if (length < 0 || length > MESSAGE_MAX_BYTES) throw new PostgresProtocolError('a message has an impossible length')
  const body = length === 0 ? Buffer.alloc(0) : await readBytes(stream, length, signal)
  return { type: header.toString('latin1', 0, 1), body }
}

/** An ErrorResponse in the server's own words. */
function refusalOf(body: Buffer): PosternError {
  const { severity, code, message, detail, hint } = parseErrorFields(body)
  const text = [`${severity} ${code}: ${message}`, detail, hint].filter((part) => part !== '').join(' — ')
  return new PosternError('target_auth', text)
}
