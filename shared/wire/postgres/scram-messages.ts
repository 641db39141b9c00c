// The messages that a SCRAM client sends, taken apart for whoever checks its proof. Pure: it reckons nothing; throws
// PostgresProtocolError and nothing else. Source: RFC 5802, section 7 (formal syntax).
import { PostgresProtocolError } from './protocol-error.ts'

export type ClientFirst = {
  /** The GS2 header with its last comma, as the final message has to repeat it. */
  header: string
  nonce: string
  /** client-first-message-bare */
  bare: string
}

export type ClientFinal = {
  /** The GS2 header that the client says it began with. */
  channel: string
  nonce: string
  /** 32 bytes. */
  proof: Buffer
  /** client-final-message-without-proof */
  withoutProof: string
}

const PROOF_BYTES = 32

/**
 * client-first-message of a client that binds no channel. Its user name is not looked at: as in PostgreSQL, the startup message
 * has said it.
 * @throws PostgresProtocolError also for an authorization identity, a channel to bind or a mandatory extension
 */
export function parseClientFirst(message: Buffer): ClientFirst {
  const match = /^([ny],,)(n=[^,\0]*,r=([\x21-\x2b\x2d-\x7e]+)(?:,[^\0]*)?)$/.exec(message.toString('utf8'))
  if (!match) throw new PostgresProtocolError('SCRAM: the first message of the client is malformed')
  const [, header = '', bare = '', nonce = ''] = match
  return { header, nonce, bare }
}

/** client-final-message. */
export function parseClientFinal(message: Buffer): ClientFinal {
  const match = /^(c=([A-Za-z0-9+/]+=*),r=([\x21-\x2b\x2d-\x7e]+)(?:,[^\0]*)?),p=([A-Za-z0-9+/]+=*)$/.exec(
    message.toString('utf8'),
  )
  if (!match) throw new PostgresProtocolError('SCRAM: the last message of the client is malformed')
  const [, withoutProof = '', channel = '', nonce = '', encoded = ''] = match
  const proof = Buffer.from(encoded, 'base64')
  if (proof.length !== PROOF_BYTES) throw new PostgresProtocolError('SCRAM: the proof has the wrong length')
  return { channel: Buffer.from(channel, 'base64').toString('utf8'), nonce, proof, withoutProof }
}
