// Logs in to a target on a fresh connection with the stored credentials and collects what it says until it is ready for
// queries. Called by the engine. Nothing of this exchange but settings, notices and errors ever reaches the client.
// Source: PostgreSQL documentation, "Frontend/Backend Protocol", 55.2.1 (start-up) and 55.3 (SASL).
import { createHash } from 'node:crypto'
import type { Duplex } from 'node:stream'
import { PosternError } from '../../../shared/errors.ts'
import {
  encodeMessage,
  parseAuthenticationRequest,
  parseBackendKeyData,
  parseErrorFields,
  type AuthenticationRequest,
  type SeenError,
} from '../../../shared/wire/postgres/backend-messages.ts'
import {
  encodePassword,
  encodeSaslInitialResponse,
  encodeSaslResponse,
} from '../../../shared/wire/postgres/frontend-messages.ts'
import { PostgresProtocolError } from '../../../shared/wire/postgres/protocol-error.ts'
import { encodeStartupMessage, type BackendKey } from '../../../shared/wire/postgres/startup.ts'
import { readBytes } from '../../../link/read-bytes.ts'
import type { Random } from './cancel-keys.ts'
import type { SaltedPasswords } from './salted-passwords.ts'
import { startScram, type ScramClient } from './scram.ts'

/** Far above what a start-up needs; a target that says more is not one. */
const MAX_MESSAGE_BYTES = 64 * 1024
const MAX_MESSAGES = 1000

export type TargetLogin = {
  account: string
  password: string | undefined
  /** Everything else of the startup message: database, application_name, options … */
  parameters: ReadonlyMap<string, string>
  serverEndPoint: Buffer | undefined
  random: Random
  salted: SaltedPasswords
}

export type TargetGreeting = {
  key: BackendKey | undefined
  /** ParameterStatus and NoticeResponse messages in their order, for the client. */
  messages: Buffer
  /** ReadyForQuery as the target sent it. */
  ready: Buffer
}

/** The target refused the connection for a reason of its own that the client should read: no such database, too many clients. */
export class TargetRefusal extends Error {
  override readonly name = 'TargetRefusal'
  readonly fields: SeenError
  constructor(fields: SeenError) {
    super(`the target refused the connection: ${fields.code} ${fields.message}`)
    this.fields = fields
  }
}

/**
 * Logs in and waits for ReadyForQuery.
 * @throws PosternError `target_auth` for everything about credentials, TargetRefusal for what the target says otherwise,
 * PostgresProtocolError, StreamEndedError or the socket's error, the signal's reason.
 */
export async function logInToTarget(stream: Duplex, login: TargetLogin, signal: AbortSignal): Promise<TargetGreeting> {
  stream.write(encodeStartupMessage(new Map([['user', login.account], ...login.parameters])))
  await authenticate(stream, login, signal)

  const messages: Buffer[] = []
  let key: BackendKey | undefined
  for (let count = 0; count < MAX_MESSAGES; count++) {
    const { type, body } = await readMessage(stream, signal)
    if (type === 'Z') return { key, messages: Buffer.concat(messages), ready: encodeMessage('Z', body) }
    if (type === 'K') key = parseBackendKeyData(body)
    else if (type === 'S' || type === 'N') messages.push(encodeMessage(type, body))
    else throw new PostgresProtocolError(`the target sent message "${type}" before it was ready`)
  }
  throw new PostgresProtocolError('the target did not become ready')
}

async function authenticate(stream: Duplex, login: TargetLogin, signal: AbortSignal): Promise<void> {
  let scram: { client: ScramClient; isVerified: boolean } | undefined
  for (let count = 0; count < MAX_MESSAGES; count++) {
    const request = await readAuthenticationRequest(stream, signal)
    if (request === undefined) continue
    switch (request.kind) {
      case 'ok':
        // A server that skips the proof of its own is not the one that knows the password.
        if (scram?.isVerified === false) throw authError('the target let us in without its SCRAM signature')
        return
      case 'cleartext':
        // Clear only inside of TLS, or where the administrator chose no TLS at all: dialTarget never falls back to it.
        stream.write(encodePassword(passwordOf(login)))
        break
      case 'md5':
        stream.write(encodePassword(md5Password(login, request.salt)))
        break
      case 'sasl': {
        const nonce = Buffer.from(login.random(18)).toString('base64')
        const { mechanisms } = request
        const begin = () => startScram({ ...login, password: passwordOf(login), mechanisms, nonce })
        scram = { client: orAuthError(begin), isVerified: false }
        stream.write(encodeSaslInitialResponse(scram.client.mechanism, scram.client.first))
        break
      }
      case 'sasl-continue':
        if (scram === undefined) throw authError('the target continued a SCRAM exchange that nobody began')
        stream.write(
          encodeSaslResponse(
            await scram.client.answer(request.data).catch((error: unknown) => {
              throw authErrorFrom(error)
            }),
          ),
        )
        signal.throwIfAborted()
        break
      case 'sasl-final': {
        const { client } = scram ?? {}
        if (client === undefined) throw authError('the target ended a SCRAM exchange that nobody began')
        orAuthError(() => client.verify(request.data))
        scram = { client, isVerified: true }
        break
      }
      case 'other':
        throw authError(`the target asks for authentication method ${request.code}, which Postern does not speak`)
    }
  }
  throw new PostgresProtocolError('the target never ended the authentication')
}

/** The next request; undefined for a message that may come in between (the target knows protocol 3.0 and says so). */
async function readAuthenticationRequest(
  stream: Duplex,
  signal: AbortSignal,
): Promise<AuthenticationRequest | undefined> {
  const { type, body } = await readMessage(stream, signal)
  if (type === 'R') return parseAuthenticationRequest(body)
  if (type === 'v' || type === 'N') return undefined
  throw new PostgresProtocolError(`the target sent message "${type}" instead of an authentication request`)
}

/** One message; an ErrorResponse is thrown as what it means. */
async function readMessage(stream: Duplex, signal: AbortSignal): Promise<{ type: string; body: Buffer }> {
  const header = await readBytes(stream, 5, signal)
  const length = header.readInt32BE(1) - 4
  if (length < 0 || length > MAX_MESSAGE_BYTES)
    throw new PostgresProtocolError(`the target sent a message of ${length} bytes before it was ready`)
  const body = length === 0 ? Buffer.alloc(0) : await readBytes(stream, length, signal)
  const type = header.toString('latin1', 0, 1)
  if (type !== 'E') return { type, body }
  const refusal = new TargetRefusal(parseErrorFields(body))
  // Class 28 is about who we are, so about the stored credentials; its texts name hosts and methods.
  throw refusal.fields.code.startsWith('28') ? authErrorFrom(refusal) : refusal
}

function passwordOf({ password }: TargetLogin): string {
  if (password === undefined) throw authError('the target asks for a password, and none is stored for this account')
  return password
}

/** "md5" and the hash of (hash of password and user) and salt. */
function md5Password(login: TargetLogin, salt: Buffer): string {
  const md5 = (...parts: (string | Buffer)[]): string =>
    parts.reduce((hash, part) => hash.update(part), createHash('md5')).digest('hex')
  return `md5${md5(md5(passwordOf(login), login.account), salt)}`
}

const authError = (why: string): PosternError => authErrorFrom(new Error(why))
const authErrorFrom = (cause: unknown): PosternError =>
  new PosternError('target_auth', 'the target does not accept the stored credentials', { cause })

function orAuthError<T>(act: () => T): T {
  try {
    return act()
  } catch (error) {
    throw error instanceof PosternError ? error : authErrorFrom(error)
  }
}
