// How a cluster comes to be trusted (C8): by its CA in a file, or by the fingerprint of the CA that the server itself sends.
// Never on first sight: without either, the person is told the fingerprint and has to compare it.
import type { X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import { TrustNews } from '../../shared/api.ts'
import { ClusterInfo } from '../../shared/login-api.ts'
import { PosternError } from '../../shared/errors.ts'
import { ALPN } from '../../shared/names.ts'
import { toPem } from '../../shared/x509/der.ts'
import type { Address, Cluster } from './address.ts'
import { callApi } from './api.ts'
import { fingerprintOf, parseCa } from './ca.ts'
import { chainOf } from './chain.ts'
import { exchange } from './exchange.ts'
import { connectTls, TLS_VERSION, unreachable } from './tls.ts'
import type { HeardTrust } from './trust-news.ts'

const TRUST_DEADLINE_MS = 15_000

/**
 * The CA with the pinned fingerprint, as the server sends it. What it signs is verified afterwards by whoever connects.
 * @throws PosternError `server_untrusted` (detail: {fingerprint}) if there is no pin or another one; `bad_request` for a pin
 * that is none
 */
export async function caByPin(address: Address, pin: string | undefined, signal: AbortSignal): Promise<string> {
  const wanted = pin === undefined ? undefined : parsePin(pin)
  const cas = await fetchCas(address, signal)
  // While the CAs are rotated the old one counts as well as the new one (C7).
  const pinned = cas.find((ca) => fingerprintOf(ca) === wanted)
  if (pinned !== undefined) return pinned
  const fingerprint = fingerprintOf(cas[0])
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

/**
 * The CAs that the server sends, unverified, the one that signs first. After a rotation TLS hides it behind a certificate in
 * which the old CA vouches for it: then the server is asked for the list.
 */
async function fetchCas(address: Address, signal: AbortSignal): Promise<[string, ...string[]]> {
  const deadline = AbortSignal.timeout(TRUST_DEADLINE_MS)
  const bound = AbortSignal.any([signal, deadline])
  try {
    const { socket } = await connectTls({
      address,
      alpn: ALPN.web,
      context: createSecureContext({ minVersion: TLS_VERSION, maxVersion: TLS_VERSION }),
      signal: bound,
      isVerified: false,
    })
    const [signing] = chainOf(socket).filter((certificate) => certificate.ca)
    if (signing && isSelfSigned(signing)) {
      socket.destroy()
      return [toPem(signing.raw, 'CERTIFICATE')]
    }
    const { json } = await exchange(socket, address, { method: 'GET', path: '/v1/cluster' }, bound)
    const [first, ...others] = (TrustNews.parse(json).cas ?? []).map(parseCa)
    if (first !== undefined) return [first, ...others]
  } catch (error) {
    if (deadline.aborted) throw unreachable(address, `no answer within ${TRUST_DEADLINE_MS / 1000} s`, error)
    if (signal.aborted || (error instanceof PosternError && error.code !== 'bad_request')) throw error
  }
  throw new PosternError(
    'server_untrusted',
    `${address.text} does not send its CA; ask its administrator for the CA file and use --ca`,
  )
}

const isSelfSigned = (certificate: X509Certificate): boolean =>
  certificate.checkIssued(certificate) && certificate.verify(certificate.publicKey)

/** Which cluster answers at an address, over a verified connection, and by which CAs it is to be trusted from now on. */
export async function askCluster(
  cluster: Cluster,
  now: () => number,
  noteServerTime: (serverMs: number) => void,
  signal: AbortSignal,
): Promise<{ info: ClusterInfo; caPems: readonly string[] }> {
  let { caPems } = cluster
  const noteTrust = (heard: HeardTrust): void => {
    caPems = heard.caPems ?? caPems
  }
  const context = { cluster, now, noteServerTime, noteTrust, signal }
  return { info: await callApi(context, { method: 'GET', path: '/v1/cluster' }, ClusterInfo), caPems }
}
