// Opens the connection to a target: TCP, then TLS as the resource says. Called by the engine for connections and for cancel
// requests. Promises: within the deadline, and either the TLS that was asked for or an error; never a fall-back to clear text.
import { createHash, X509Certificate } from 'node:crypto'
import { isIP, type Socket } from 'node:net'
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls'
import type { PostgresResource } from '../../../shared/admin-api.ts'
import { PosternError } from '../../../shared/errors.ts'
import { encodeSslRequest } from '../../../shared/wire/postgres/startup.ts'
import { readBytes } from '../../../link/read-bytes.ts'
import { connectToTarget, opened, splitAddress } from '../target-socket.ts'

export type TargetAddress = Pick<PostgresResource, 'address' | 'tls'>

export type TargetConnection = {
  socket: Socket
  /** tls-server-end-point of the target's certificate (RFC 5929), where there is TLS and its certificate allows it. */
  serverEndPoint: Buffer | undefined
}

/**
 * Dials a target.
 * @param signal the deadline and every other reason to give up.
 * @throws PosternError `target_unreachable` or `target_tls`, with the cause for the log; the signal's reason if it aborts.
 */
export async function dialTarget(target: TargetAddress, signal: AbortSignal): Promise<TargetConnection> {
  const socket = await connectToTarget(target.address, signal)
  try {
    if (target.tls.mode === 'disable') return { socket, serverEndPoint: undefined }
    return await startTls(socket, splitAddress(target.address).host, target.tls, signal)
  } catch (error) {
    socket.destroy()
    throw error
  }
}

async function startTls(
  socket: Socket,
  host: string,
  settings: PostgresResource['tls'],
  signal: AbortSignal,
): Promise<TargetConnection> {
  const options = tlsOptions(host, settings)
  socket.write(encodeSslRequest())
  const answer = await readBytes(socket, 1, signal).catch(whenNotAborted(signal, 'target_unreachable'))
  if (answer.toString('latin1') !== 'S')
    throw targetError('target_tls', new Error(`the target does not offer TLS, and the mode is ${settings.mode}`))
  // What came with the answer in clear text was not said by the holder of the certificate (CVE-2021-23222).
  if (socket.readableLength > 0)
    throw targetError('target_tls', new Error('the target sent clear text after it had agreed to TLS'))
  const secure = connectTls({ ...options, socket })
  secure.on('error', () => undefined)
  await opened(secure, 'secureConnect', signal).catch(whenNotAborted(signal, 'target_tls'))
  return { socket: secure, serverEndPoint: serverEndPointOf(secure) }
}

function tlsOptions(host: string, { mode, ca, serverName }: PostgresResource['tls']): ConnectionOptions {
  const name = serverName ?? host
  return {
    host: name,
    ...(isIP(name) === 0 ? { servername: name } : {}),
    minVersion: 'TLSv1.2',
    rejectUnauthorized: mode !== 'require',
    ...(mode === 'verify-full' ? {} : { checkServerIdentity: () => undefined }),
    ...(ca === undefined ? {} : { ca: parseCa(ca) }),
  }
}

/** A bad PEM is an error: handed to the TLS library it would count as no certificate, or as the system's (C8). */
function parseCa(pem: string): string[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  try {
    if (blocks.length === 0) throw new Error('the CA of the resource holds no PEM certificate')
    return blocks.map((block) => new X509Certificate(block).toString())
  } catch (error) {
    throw targetError('target_tls', error)
  }
}

/**
 * RFC 5929, 4.1: the certificate hashed with the hash of its signature, SHA-256 in place of MD5 and SHA-1. Signatures without
 * a hash of their own (Ed25519, RSA-PSS by name) have none.
 */
function serverEndPointOf(socket: TLSSocket): Buffer | undefined {
  const certificate = socket.getPeerX509Certificate()
  const hash = /(?:^|with-?)(md5|sha1|sha224|sha256|sha384|sha512)(?:With|$)/i.exec(
    certificate?.signatureAlgorithm ?? '',
  )?.[1]
  if (certificate === undefined || hash === undefined) return undefined
  const isWeak = /^(md5|sha1)$/i.test(hash)
  return createHash(isWeak ? 'sha256' : hash.toLowerCase())
    .update(certificate.raw)
    .digest()
}

const whenNotAborted =
  (signal: AbortSignal, code: 'target_unreachable' | 'target_tls') =>
  (cause: unknown): never => {
    throw signal.aborted ? (signal.reason as Error) : targetError(code, cause)
  }

/** The sanitised error (E1): what the client may read is made elsewhere, the cause is for the log. */
const targetError = (code: 'target_unreachable' | 'target_tls', cause: unknown): PosternError =>
  new PosternError(code, code === 'target_tls' ? 'TLS to the target failed' : 'the target cannot be reached', { cause })
