// Builds and signs X.509 v3 certificates (RFC 5280), P-256 and ECDSA with SHA-256 throughout. Called by authority.ts,
// which decides who gets what; here is only how a CA, a client and a server certificate look.
import { createHash, randomBytes, sign, type KeyObject } from 'node:crypto'
import {
  bitString,
  boolean,
  distinguishedName,
  explicit,
  extension,
  fromDer,
  implicit,
  integer,
  octetString,
  OID,
  oid,
  sequence,
  time,
  toDer,
  toPem,
  type Asn1,
} from '../../shared/x509/der.ts'
import { parseServerName } from './server-name.ts'

/** Who signs: a CA's name and key pair. For a self-signed CA it is the subject itself. */
export type Issuer = { commonName: string; privateKey: KeyObject; publicKey: KeyObject }

export type CertificateProfile =
  | { kind: 'ca' }
  /** A person's or route's certificate; `uri` is its identity, the only subject alternative name (C3). */
  | { kind: 'client'; uri: string }
  /** The server's TLS certificate for DNS names and IP addresses. */
  | { kind: 'server'; names: readonly string[] }

export type CertificateContent = {
  commonName: string
  publicKey: KeyObject
  notBefore: Date
  notAfter: Date
  profile: CertificateProfile
}

/** PEM of a new certificate. Times are cut to whole seconds, which is all that X.509 knows. */
export function signCertificate(content: CertificateContent, issuer: Issuer): string {
  const algorithm = sequence(oid(OID.ecdsaWithSha256))
  const tbs = toDer(
    sequence(
      explicit(0, integer(Buffer.from([2]))), // version 3
      integer(randomSerial()),
      algorithm,
      distinguishedName(issuer.commonName),
      sequence(time(content.notBefore), time(content.notAfter)),
      distinguishedName(content.commonName),
      fromDer(spkiOf(content.publicKey)),
      explicit(3, sequence(...extensionsOf(content, issuer))),
    ),
  )
  const signature = sign('sha256', tbs, issuer.privateKey)
  return toPem(toDer(sequence(fromDer(tbs), algorithm, bitString(signature))), 'CERTIFICATE')
}

function extensionsOf({ profile, publicKey }: CertificateContent, issuer: Issuer): Asn1[] {
  const keyIds = [
    extension(OID.subjectKeyIdentifier, false, octetString(keyIdOf(publicKey))),
    extension(OID.authorityKeyIdentifier, false, sequence(implicit(0, keyIdOf(issuer.publicKey)))),
  ]
  switch (profile.kind) {
    case 'ca':
      return [
        // A path length of 0: it signs leaves, never another CA.
        extension(OID.basicConstraints, true, sequence(boolean(true), integer(Buffer.from([0])))),
        extension(OID.keyUsage, true, bitString(Buffer.from([0b0000_0110]), 1)), // keyCertSign, cRLSign
        ...keyIds,
      ]
    case 'client':
      return [...leafUsage(OID.clientAuth), ...keyIds, subjectAltName([implicit(6, Buffer.from(profile.uri))])]
    case 'server':
      return [...leafUsage(OID.serverAuth), ...keyIds, subjectAltName(profile.names.map(generalName))]
  }
}

/** Critical digitalSignature: BoringSSL refuses a leaf certificate without it. */
const leafUsage = (purpose: string): Asn1[] => [
  extension(OID.keyUsage, true, bitString(Buffer.from([0b1000_0000]), 7)),
  extension(OID.extendedKeyUsage, false, sequence(oid(purpose))),
]

const subjectAltName = (names: Asn1[]): Asn1 => extension(OID.subjectAltName, false, sequence(...names))

function generalName(name: string): Asn1 {
  const parsed = parseServerName(name)
  if (parsed === undefined) throw new TypeError(`${name} is neither a DNS name nor an IP address`)
  return parsed.kind === 'dns' ? implicit(2, Buffer.from(parsed.name)) : implicit(7, parsed.bytes)
}

/** 16 random bytes, positive and without a leading zero (RFC 5280, 4.1.2.2). */
function randomSerial(): Buffer {
  const serial = randomBytes(16)
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40
  return serial
}

export const spkiOf = (publicKey: KeyObject): Buffer => publicKey.export({ type: 'spki', format: 'der' })

/** SHA-1 of the public key's bits (RFC 5280, 4.2.1.2, method 1): an identifier, not a protection. */
function keyIdOf(publicKey: KeyObject): Buffer {
  const bits = fromDer(spkiOf(publicKey)).value[1]
  if (typeof bits !== 'object' || typeof bits.value !== 'string') throw new TypeError('not a SubjectPublicKeyInfo')
  return createHash('sha1')
    .update(Buffer.from(bits.value.slice(1), 'binary'))
    .digest()
}
