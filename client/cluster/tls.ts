// One TLS 1.3 connection to an access server, verified, with an ALPN name: what API calls, trust and route dials stand on.
// Turns every way in which that can fail into an error that says what was wrong and what to do.
import { connect as connectTcp, type Socket } from 'node:net'
import { connect, createSecureContext, type ConnectionOptions, type SecureContext, type TLSSocket } from 'node:tls'
import { keepAlive } from '../../link/keepalive.ts'
import { PosternError } from '../../shared/errors.ts'
import type { Alpn } from '../../shared/names.ts'
import type { Address } from './address.ts'
import { keepTicket, takeTicket } from './session-tickets.ts'

/** Only between our own ends, so nothing older. */
export const TLS_VERSION = 'TLSv1.3'

/** A context without a client certificate that trusts these CAs. */
export const anonymousContext = (caPems: readonly string[]): SecureContext =>
  createSecureContext({ ca: [...caPems], minVersion: TLS_VERSION, maxVersion: TLS_VERSION })

export type TlsOptions = {
  address: Address
  alpn: Alpn
  context: SecureContext
  signal: AbortSignal
  /** Only trust.ts and clock.ts look at a chain before it is verified, and verify it themselves. */
  isVerified?: boolean
  /** Whether it may resume a session of this context, and keep what it is given for the next one. */
  isResumable?: boolean
}

/** `transport` is the TCP connection below `socket`. */
export type TlsConnection = { socket: TLSSocket; transport: Socket }

/**
 * Connects, verifies the server's chain and name, and checks the ALPN answer. The socket keeps half-close; the caller owns it.
 * A resumed session was verified when it began. Under TLS 1.3 success here says nothing yet about our own certificate (see dial.ts).
 * @throws PosternError `server_unreachable`, `server_untrusted`, `protocol`; the signal's reason if that aborts
 */
export async function connectTls(options: TlsOptions): Promise<TlsConnection> {
  const { address, alpn, context, signal, isVerified = true, isResumable = false } = options
  signal.throwIfAborted()
  const transport = connectTcp({
    host: address.host,
    port: address.port,
    allowHalfOpen: true,
    noDelay: true,
  })
  keepAlive(transport)
  await opened(transport, 'connect', address, signal)
  const ticket = isResumable ? takeTicket(context) : undefined
  // The typings forget allowHalfOpen, without which a client's FIN would cut the server's answer off.
  const connection: ConnectionOptions & { allowHalfOpen: boolean } = {
    socket: transport,
    host: address.host,
    ...(address.serverName === undefined ? {} : { servername: address.serverName }),
    ALPNProtocols: [alpn],
    secureContext: context,
    rejectUnauthorized: isVerified,
    allowHalfOpen: true,
    ...(ticket === undefined ? {} : { session: ticket }),
  }
  const socket = connect(connection)
  if (isResumable) socket.on('session', (session) => keepTicket(context, session))
  await opened(socket, 'secureConnect', address, signal)
  if (socket.alpnProtocol !== alpn) {
    socket.destroy()
    throw notAnAccessServer(address)
  }
  return { socket, transport }
}

/** Errors that follow must not end the process; whoever uses the socket learns of its end. One for all: it keeps nothing of a dial. */
const noted = (): void => undefined

/** Resolves on `event`; otherwise destroys the socket and rejects with what happened to it, in words. */
function opened(
  socket: Socket,
  event: 'connect' | 'secureConnect',
  address: Address,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void) => {
      signal.removeEventListener('abort', onAbort)
      socket.off(event, onOpen).off('error', onError).off('close', onClose)
      socket.on('error', noted)
      act()
    }
    const fail = (error: Error) =>
      settle(() => {
        socket.destroy()
        reject(error)
      })
    const onOpen = () => settle(resolve)
    const onAbort = () => fail(signal.reason as Error)
    const onError = (error: Error) => fail(explainTlsError(error, address))
    const onClose = () => fail(unreachable(address, 'it closed the connection'))
    if (signal.aborted) {
      onAbort()
      return
    }
    signal.addEventListener('abort', onAbort, { once: true })
    socket.on(event, onOpen).on('error', onError).on('close', onClose)
  })
}

/** OpenSSL's words for a certificate whose dates do not fit this machine's clock. */
const DATE_ERRORS: readonly string[] = ['CERT_NOT_YET_VALID', 'CERT_HAS_EXPIRED']

/** Whether verification failed because of dates alone: then one of the two clocks may be wrong (clock.ts). */
export const isDateError = (error: unknown): boolean =>
  error instanceof PosternError && error.code === 'server_untrusted' && DATE_ERRORS.includes(codeOf(error.cause))

/** Whether the server said that it does not know the ALPN name: an older one, which answers to others. */
export const isWithoutAlpn = (error: unknown): boolean =>
  error instanceof PosternError && codeOf(error.cause) === 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL'

function explainTlsError(error: Error, address: Address): PosternError {
  const code = codeOf(error)
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return new PosternError(
      'server_untrusted',
      `the certificate of ${address.text} was made for another name; use one of the names that the server was set up with (serverNames)`,
      { cause: error },
    )
  }
  if (DATE_ERRORS.includes(code)) {
    const text = `the certificate of ${address.text} ${code === 'CERT_HAS_EXPIRED' ? 'has expired' : 'is not valid yet'} by this machine's clock`
    return new PosternError('server_untrusted', text, { cause: error })
  }
  if (UNTRUSTED_CHAIN.has(code)) {
    return new PosternError(
      'server_untrusted',
      `the certificate of ${address.text} was not signed by the CA that you trust for it; ask its administrator for the CA fingerprint and log in with --ca-pin`,
      { cause: error },
    )
  }
  if (code === 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL' || code.startsWith('ERR_SSL_') || code === 'EPROTO') {
    return notAnAccessServer(address, error)
  }
  return unreachable(address, SYSTEM_ERRORS[code] ?? (code || error.message), error)
}

const UNTRUSTED_CHAIN = new Set([
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
  'CERT_REJECTED',
  'INVALID_CA',
  'INVALID_PURPOSE',
])

const SYSTEM_ERRORS: Record<string, string> = {
  ECONNREFUSED: 'nothing listens there',
  ECONNRESET: 'it closed the connection',
  ENOTFOUND: 'no such host name',
  EAI_AGAIN: 'the name cannot be looked up now',
  ETIMEDOUT: 'no answer',
  EHOSTUNREACH: 'no way to that host',
  ENETUNREACH: 'no network',
}

/** An access server that could not be reached, and why. */
export const unreachable = (address: Address, why: string, cause?: unknown): PosternError =>
  new PosternError('server_unreachable', `cannot reach the access server at ${address.text}: ${why}`, { cause })

const notAnAccessServer = (address: Address, cause?: unknown): PosternError =>
  new PosternError('protocol', `${address.text} is no Postern access server (or an incompatible one)`, { cause })

function codeOf(error: unknown): string {
  if (error instanceof AggregateError) return codeOf(error.errors.at(0))
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}
