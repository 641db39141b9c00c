// The certificate chain that a server sent, unverified: for trust.ts (which looks for the CA in it) and clock.ts (which checks
// it by signatures alone).
import { X509Certificate } from 'node:crypto'
import type { PeerCertificate, TLSSocket } from 'node:tls'

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
