// The gateway's own password in PostgreSQL's own words (G18): the server's side of SCRAM-SHA-256, so that a program in the
// gateway's place never learns the password. It ends before AuthenticationOk, which the real server sends later. Called by
// postgres.ts. Sources: RFC 5802, RFC 7677; PostgreSQL documentation, "Frontend/Backend Protocol", 55.3 (SASL Authentication).
import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Duplex } from 'node:stream'
import { promisify } from 'node:util'
import { readBytes } from '../../../../link/read-bytes.ts'
import { encodeAuthentication } from '../../../../shared/wire/postgres/backend-messages.ts'
import { parseSaslInitialResponse } from '../../../../shared/wire/postgres/frontend-messages.ts'
import { PostgresProtocolError } from '../../../../shared/wire/postgres/protocol-error.ts'
import { parseClientFinal, parseClientFirst } from '../../../../shared/wire/postgres/scram-messages.ts'
import type { CheckPassword } from '../protocol.ts'

const MECHANISM = 'SCRAM-SHA-256'
/** PostgreSQL's default; the password is random, so that more of them would protect nothing. */
const ITERATIONS = 4096
const SALT_BYTES = 16
const NONCE_BYTES = 18
const HEADER_BYTES = 5
/** As PostgreSQL allows it (PG_MAX_SASL_MESSAGE_LENGTH), in bytes. */
const MESSAGE_MAX_BYTES = 1024

const deriveKey = promisify(pbkdf2)

type Verifier = { salt: Buffer; storedKey: Buffer; serverKey: Buffer }

/** A check of one password; its keys are derived once, with the first client. */
export function postgresPasswordCheck(password: string): CheckPassword {
  let verifier: Promise<Verifier> | undefined
  return async (stream, signal) => {
    verifier ??= deriveVerifier(password)
    return exchange(stream, await verifier, signal)
  }
}

async function deriveVerifier(password: string): Promise<Verifier> {
  const salt = randomBytes(SALT_BYTES)
  const salted = await deriveKey(password, salt, ITERATIONS, 32, 'sha256')
  return {
    salt,
    storedKey: createHash('sha256').update(hmac(salted, 'Client Key')).digest(),
    serverKey: hmac(salted, 'Server Key'),
  }
}

/** @throws PostgresProtocolError for an answer that is no SCRAM; StreamEndedError where the client went away */
async function exchange(
  stream: Duplex,
  { salt, storedKey, serverKey }: Verifier,
  signal: AbortSignal,
): Promise<boolean> {
  stream.write(encodeAuthentication({ kind: 'sasl', mechanisms: [MECHANISM] }))
  const initial = parseSaslInitialResponse(await readAnswer(stream, signal))
  if (initial.mechanism !== MECHANISM) throw new PostgresProtocolError(`the client chose ${initial.mechanism}`)
  const first = parseClientFirst(initial.data)
  const nonce = first.nonce + randomBytes(NONCE_BYTES).toString('base64')
  const serverFirst = `r=${nonce},s=${salt.toString('base64')},i=${ITERATIONS}`
  stream.write(encodeAuthentication({ kind: 'sasl-continue', data: Buffer.from(serverFirst) }))
  const final = parseClientFinal(await readAnswer(stream, signal))
  const authMessage = `${first.bare},${serverFirst},${final.withoutProof}`
  const clientSignature = hmac(storedKey, authMessage)
  const clientKey = Buffer.from(clientSignature.map((byte, index) => byte ^ (final.proof[index] ?? 0)))
  // All of it is reckoned whatever is wrong, and compared in constant time: how long it took tells nothing.
  const isProven = timingSafeEqual(createHash('sha256').update(clientKey).digest(), storedKey)
  const isSameExchange = final.nonce === nonce && final.channel === first.header
  if (!isProven || !isSameExchange) return false
  const data = Buffer.from(`v=${hmac(serverKey, authMessage).toString('base64')}`)
  stream.write(encodeAuthentication({ kind: 'sasl-final', data }))
  return true
}

/** The body of the client's next message, which can only be a `p`. */
async function readAnswer(stream: Duplex, signal: AbortSignal): Promise<Buffer> {
  const header = await readBytes(stream, HEADER_BYTES, signal)
  const length = header.readInt32BE(1) - 4
  if (header.toString('latin1', 0, 1) !== 'p')
    throw new PostgresProtocolError('the client did not answer with a password')
  if (length < 1 || length > MESSAGE_MAX_BYTES)
    throw new PostgresProtocolError('a SASL message has an impossible length')
  return readBytes(stream, length, signal)
}

const hmac = (key: Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest()
