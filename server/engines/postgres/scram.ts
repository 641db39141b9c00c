// The client's side of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS as PostgreSQL speaks them, used to log in to targets. Pure but
// for hashing; the server's signature is always verified. Sources: RFC 5802, RFC 7677, RFC 5929 (tls-server-end-point).
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { SaltedPasswords } from './salted-passwords.ts'

/** PostgreSQL's default is 4096; a server that asks for more than this only wants our processor. */
const MAX_ITERATIONS = 1_000_000

/** The exchange went wrong: the server is not what it should be, or does not know the password. For logs. */
export class ScramError extends Error {
  override readonly name = 'ScramError'
}

export type ScramClient = {
  mechanism: 'SCRAM-SHA-256' | 'SCRAM-SHA-256-PLUS'
  /** client-first-message */
  first: Buffer
  /** client-final-message for the server-first-message. @throws ScramError */
  answer: (serverFirst: Buffer) => Promise<Buffer>
  /** Checks server-final-message: only a server that knows the password's verifier can make it. @throws ScramError */
  verify: (serverFinal: Buffer) => void
}

/**
 * Begins an exchange.
 * @param mechanisms those that the server offers.
 * @param serverEndPoint hash of the server's certificate, where there is TLS and the certificate has one.
 * @param nonce printable, fresh, at least 18 random bytes.
 * @throws ScramError if the server offers neither mechanism.
 */
export function startScram(options: {
  password: string
  salted: SaltedPasswords
  mechanisms: readonly string[]
  serverEndPoint: Buffer | undefined
  nonce: string
}): ScramClient {
  const { mechanisms, serverEndPoint, nonce } = options
  const bindsChannel = serverEndPoint !== undefined && mechanisms.includes('SCRAM-SHA-256-PLUS')
  if (!bindsChannel && !mechanisms.includes('SCRAM-SHA-256'))
    throw new ScramError(`the server offers only ${mechanisms.join(', ')}`)
  // "y": we could bind but the server seems unable to. One that can, knows that somebody tampered with its offer.
  const header = bindsChannel ? 'p=tls-server-end-point,,' : serverEndPoint === undefined ? 'n,,' : 'y,,'
  const channel = Buffer.concat([Buffer.from(header), bindsChannel ? serverEndPoint : Buffer.alloc(0)])
  // PostgreSQL takes the user from the startup message and ignores this one.
  const firstBare = `n=,r=${nonce}`
  let expectedSignature: Buffer | undefined

  return {
    mechanism: bindsChannel ? 'SCRAM-SHA-256-PLUS' : 'SCRAM-SHA-256',
    first: Buffer.from(header + firstBare),
    answer: async (serverFirst) => {
      const text = serverFirst.toString('utf8')
      const { serverNonce, salt, iterations } = parseServerFirst(text, nonce)
      const salted = await options.salted.derive(saslPrep(options.password), salt, iterations)
      const clientKey = hmac(salted, 'Client Key')
      const finalBare = `c=${channel.toString('base64')},r=${serverNonce}`
      const authMessage = `${firstBare},${text},${finalBare}`
      const clientSignature = hmac(createHash('sha256').update(clientKey).digest(), authMessage)
      const proof = clientKey.map((byte, index) => byte ^ (clientSignature[index] ?? 0))
      expectedSignature = hmac(hmac(salted, 'Server Key'), authMessage)
      return Buffer.from(`${finalBare},p=${Buffer.from(proof).toString('base64')}`)
    },
    verify: (serverFinal) => {
      const signature = Buffer.from(/^v=([A-Za-z0-9+/]+=*)/.exec(serverFinal.toString('utf8'))?.[1] ?? '', 'base64')
      if (expectedSignature?.length !== signature.length || !timingSafeEqual(expectedSignature, signature))
        throw new ScramError('the server could not prove that it knows the password')
    },
  }
}

function parseServerFirst(text: string, nonce: string): { serverNonce: string; salt: Buffer; iterations: number } {
  const match = /^r=([\x21-\x2b\x2d-\x7e]+),s=([A-Za-z0-9+/]+=*),i=([1-9]\d{0,9})(?:,|$)/.exec(text)
  const [, serverNonce = '', salt = '', iterations = ''] = match ?? []
  if (!match) throw new ScramError('the first message of the server is malformed')
  if (!serverNonce.startsWith(nonce) || serverNonce.length === nonce.length)
    throw new ScramError('the server did not answer to our nonce')
  if (Number(iterations) > MAX_ITERATIONS) throw new ScramError(`the server asks for ${iterations} iterations`)
  return { serverNonce, salt: Buffer.from(salt, 'base64'), iterations: Number(iterations) }
}

const hmac = (key: Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest()

/**
 * The password as RFC 4013 (SASLprep) prepares it; like PostgreSQL, the password as it is where that forbids a character.
 * ASCII comes out as it went in.
 */
function saslPrep(password: string): string {
  const mapped = password
    .replace(/[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000]/gu, ' ')
    .replace(/\p{Default_Ignorable_Code_Point}/gu, '')
    .normalize('NFKC')
  return /[\p{Cc}\p{Co}\p{Cs}\ufffc\ufffd]/u.test(mapped) || mapped === '' ? password : mapped
}
