// What an answer of the server says about trust (C7): which CAs it is to be trusted by from now on, and that the user certificate
// should be had anew. Believed only over a verified connection, and never to a point where this very server would not be
// trusted any more. Called by api.ts.
import type { X509Certificate } from 'node:crypto'
import { TrustNews } from '../../shared/api.ts'
import type { Address } from './address.ts'
import { leadsToTrusted } from './chain.ts'
import { parseCa } from './ca.ts'

export type HeardTrust = {
  /** The CAs to trust, the one that signs first; undefined: nothing was said that can be believed. */
  caPems: readonly string[] | undefined
  /** The user certificate that was presented rests on a CA that is on its way out. */
  isCertificateAged: boolean
}

/**
 * Reads the news out of an answer, whatever else is in it.
 * @param chain what the server sent in the verified handshake of the connection that the answer came over
 */
export function hearTrust(json: unknown, chain: readonly X509Certificate[], address: Address): HeardTrust {
  const news = TrustNews.safeParse(json)
  if (!news.success) return { caPems: undefined, isCertificateAged: false }
  const { cas, renewCertificate = false } = news.data
  return { caPems: cas && believable(cas, chain, address), isCertificateAged: renewCertificate }
}

/** One that cannot be read makes all of them unbelievable: half a list could be the wrong half (C8). */
function believable(
  cas: readonly string[],
  chain: readonly X509Certificate[],
  address: Address,
): readonly string[] | undefined {
  try {
    const caPems = [...new Set(cas.map(parseCa))]
    return leadsToTrusted(chain, { address, caPems }) ? caPems : undefined
  } catch {
    return undefined
  }
}
