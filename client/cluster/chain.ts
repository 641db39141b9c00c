// The certificate chain that a server sent, and whether it leads to a CA by signatures alone: for trust.ts (which looks for the
// CA in it), trust-news.ts (which tries other CAs on it) and clock.ts (which must not look at dates).
import { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import type { PeerCertificate, TLSSocket } from 'node:tls'
import type { Cluster } from './address.ts'

/** The certificates that the server sent, its own first. */
export function chainOf(socket: TLSSocket): X509Certificate[] {
  const chain: X509Certificate[] = []
  let next: Partial<PeerCertificate> & { issuerCertificate?: PeerCertificate } = socket.getPeerCertificate(true)
  // A self-signed CA names itself as its issuer; 10 is more than any chain of ours.
  while (next.raw && chain.length < 10) {
    const raw = next.raw
    if (chain.some((known) => known.raw.equals(raw))) break
    chain.push(new X509Certificate(raw))
    next = next.issuerCertificate ?? {}
  }
  return chain
}

/** Whether a chain leads to one of the trusted CAs by signatures, dates aside, and its first certificate names the host. */
export function leadsToTrusted(chain: readonly X509Certificate[], { address, caPems }: Cluster): boolean {
  const cas = caPems.map((pem) => new X509Certificate(pem))
  const isFrom = (certificate: X509Certificate, issuer: X509Certificate): boolean =>
    issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)
  const [leaf, ...issuers] = chain
  if (!leaf) return false
  const isNamed = isIP(address.host) === 0 ? leaf.checkHost(address.host) : leaf.checkIP(address.host)
  if (isNamed === undefined) return false
  let current: X509Certificate = leaf
  for (const issuer of [...issuers, undefined]) {
    if (cas.some((ca) => isFrom(current, ca))) return true
    if (!issuer || !isFrom(current, issuer)) return false
    current = issuer
  }
  return false
}
