// A small certificate maker for tests: a P-256 CA, server certificates and client certificates with one URI SAN. Built on
// shared/x509/der.ts, independent of the access server's own CA.
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  randomBytes,
  sign,
  X509Certificate,
  type KeyObject,
} from 'node:crypto'
import {
  bitString,
  boolean,
  distinguishedName,
  explicit,
  extension,
  fromDer,
  fromPem,
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

export type TestCa = {
  certPem: string
  /** sha256:HEX of its DER. */
  fingerprint: string
  issueServer(options?: { notBefore?: Date; notAfter?: Date; ips?: string[] }): { certPem: string; keyPem: string }
  issueClient(uri: string, publicKey: KeyObject, notBefore: Date, notAfter: Date): string
}

const DAY_MS = 86_400_000
/** Bits digitalSignature, and keyCertSign with cRLSign (RFC 5280, 4.2.1.3). */
const SIGN_ONLY = bitString(Uint8Array.of(0x80), 7)
const CERT_SIGN = bitString(Uint8Array.of(0x06), 1)

export function createTestCa(commonName = 'Test CA'): TestCa {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const caName = distinguishedName(commonName)
  const keyId = octetString(randomBytes(20))
  const issue = (subject: Asn1, key: KeyObject, notBefore: Date, notAfter: Date, extensions: Asn1[]): string => {
    const serial = randomBytes(16)
    serial.writeUInt8((serial.readUInt8() & 0x7f) | 0x01)
    const signing = sequence(oid(OID.ecdsaWithSha256))
    const body = sequence(
      explicit(0, integer(Uint8Array.of(2))),
      integer(serial),
      signing,
      caName,
      sequence(time(notBefore), time(notAfter)),
      subject,
      fromDer(key.export({ type: 'spki', format: 'der' })),
      explicit(3, sequence(...extensions)),
    )
    return toPem(toDer(sequence(body, signing, bitString(sign('sha256', toDer(body), privateKey)))), 'CERTIFICATE')
  }
  const yesterday = new Date(Date.now() - DAY_MS)
  const certPem = issue(caName, publicKey, new Date(Date.now() - 30 * DAY_MS), new Date(Date.now() + 365 * DAY_MS), [
    extension(OID.basicConstraints, true, sequence(boolean(true))),
    extension(OID.keyUsage, true, CERT_SIGN),
    extension(OID.subjectKeyIdentifier, false, keyId),
  ])
  return {
    certPem,
    fingerprint: `sha256:${new X509Certificate(certPem).fingerprint256.replaceAll(':', '').toLowerCase()}`,
    issueServer({ notBefore = yesterday, notAfter = new Date(Date.now() + 30 * DAY_MS), ips = ['127.0.0.1'] } = {}) {
      const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
      const names = sequence(
        implicit(2, Buffer.from('localhost')),
        ...ips.map((ip) => implicit(7, Uint8Array.from(ip.split('.').map(Number)))),
      )
      const leaf = issue(distinguishedName('server'), keys.publicKey, notBefore, notAfter, [
        extension(OID.keyUsage, true, SIGN_ONLY),
        extension(OID.extendedKeyUsage, false, sequence(oid(OID.serverAuth))),
        extension(OID.subjectAltName, false, names),
      ])
      return { certPem: leaf + certPem, keyPem: keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() }
    },
    issueClient: (uri, key, notBefore, notAfter) =>
      issue(distinguishedName('client'), key, notBefore, notAfter, [
        extension(OID.keyUsage, true, SIGN_ONLY),
        extension(OID.extendedKeyUsage, false, sequence(oid(OID.clientAuth))),
        extension(OID.subjectAltName, false, sequence(implicit(6, Buffer.from(uri)))),
      ]),
  }
}

/** The public key of a PKCS#10 request (RFC 2986: the third field of its information). */
export function publicKeyOfCsr(csrPem: string): KeyObject {
  const request = fromDer(fromPem(csrPem, 'CERTIFICATE REQUEST'))
  const [info] = request.value as Asn1[]
  const spki = (info!.value as Asn1[])[2]!
  return createPublicKey({ key: toDer(spki), format: 'der', type: 'spki' })
}

/** A key of its own, for certificates that do not fit. */
export const otherKeyPem = (): string =>
  createPrivateKey(
    generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' }),
  )
    .export({ type: 'pkcs8', format: 'pem' })
    .toString()
