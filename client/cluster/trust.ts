// How a cluster comes to be trusted (C8): by its CA in a file, or by the fingerprint of the CA that the server itself sends.
// Never on first sight: without either, the person is told the fingerprint and has to compare it.
import { createHash, X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import { ClusterInfo } from '../../shared/api.ts'
import { PosternError } from '../../shared/errors.ts'
import { ALPN } from '../../shared/names.ts'
import { fromPem, toPem } from '../../shared/x509/der.ts'
import type { Address, Cluster } from './address.ts'
import { callApi } from './api.ts'
import { chainOf } from './chain.ts'
import { connectTls, TLS_VERSION, unreachable } from './tls.ts'

const TRUST_DEADLINE_MS = 15_000

/** sha256:HEX of a certificate's DER. */
export const fingerprintOf = (certificatePem: string): string =>
  `sha256:${createHash('sha256').update(fromPem(certificatePem, 'CERTIFICATE')).digest('hex')}`

/** A CA from a file of the person. @throws PosternError `bad_request`: a bad PEM never means "no verification" (C8) */
export function parseCa(pem: string): string {
  try {
    const certificate = new X509Certificate(fromPem(pem, 'CERTIFICATE'))
    if (certificate.ca) return toPem(certificate.raw, 'CERTIFICATE')
  } catch (error) {
    throw new PosternError('bad_request', 'the CA file is not one PEM certificate', { cause: error })
  }
  throw new PosternError('bad_request', 'the certificate in the CA file is not a CA')
}

/**
 * The CA that the server sends, if its fingerprint is the pinned one. What it signs is verified afterwards by whoever connects.
 * @throws PosternError `server_untrusted` (detail: {fingerprint}) if there is no pin or another one; `bad_request` for a pin
 * that is none
 */
export async function caByPin(address: Address, pin: string | undefined, signal: AbortSignal): Promise<string> {
  const wanted = pin === undefined ? undefined : parsePin(pin)
  const ca = await fetchCa(address, signal)
  const fingerprint = fingerprintOf(ca)
  if (fingerprint === wanted) return ca
  throw new PosternError(
    'server_untrusted',
    wanted === undefined
      ? `the CA of ${address.text} is not known here; its fingerprint is ${fingerprint}. Compare it with the one that the server's administrator sees, then log in with --ca-pin ${fingerprint}`
      : `the CA of ${address.text} has another fingerprint than you gave: ${fingerprint}. Either the pin is wrong or somebody is in between`,
    { detail: { fingerprint } },
  )
}

function parsePin(pin: string): string {
  const normal = pin
    .trim()
    .toLowerCase()
    .replace(/^sha256:/, '')
    .replaceAll(':', '')
  if (!/^[0-9a-f]{64}$/.test(normal)) {
    throw new PosternError('bad_request', 'a CA fingerprint is sha256: and 64 hexadecimal digits')
  }
  return `sha256:${normal}`
}

/** The last CA certificate of the chain that the server sends, unverified. */
async function fetchCa(address: Address, signal: AbortSignal): Promise<string> {
  const deadline = AbortSignal.timeout(TRUST_DEADLINE_MS)
  try {
    const { socket } = await connectTls({
      address,
      alpn: ALPN.web,
      context: createSecureContext({ minVersion: TLS_VERSION, maxVersion: TLS_VERSION }),
      signal: AbortSignal.any([signal, deadline]),
      isVerified: false,
    })
    const ca = chainOf(socket)
      .filter((certificate) => certificate.ca)
      .at(-1)
    socket.destroy()
    if (ca) return toPem(ca.raw, 'CERTIFICATE')
  } catch (error) {
    if (deadline.aborted) throw unreachable(address, `no answer within ${TRUST_DEADLINE_MS / 1000} s`, error)
    throw error
  }
  throw new PosternError(
    'server_untrusted',
    `${address.text} does not send its CA; ask its administrator for the CA file and use --ca`,
  )
}

/** Which cluster answers at an address, over a verified connection. */
export const askCluster = (
  cluster: Cluster,
  now: () => number,
  noteServerTime: (serverMs: number) => void,
  signal: AbortSignal,
): Promise<ClusterInfo> =>
  callApi({ cluster, now, noteServerTime, signal }, { method: 'GET', path: '/v1/cluster' }, ClusterInfo)
