// DER building blocks for X.509 (RFC 5280) and PKCS#10 (RFC 2986) on node-forge's ASN.1 codec. Pure: signing is done by
// who holds a key (client/cluster/csr.ts, server/ca/certificate.ts). P-256 only: Electron's TLS has no Ed25519.
/* eslint-disable @typescript-eslint/no-unsafe-enum-assignment -- context-specific tags are numbers, which the typings forget */
import { Buffer } from 'node:buffer'
import type forge from 'node-forge'
// These two alone: all of node-forge is 42 modules, 2 MiB and 10 ms of every start.
import asn1 from 'node-forge/lib/asn1.js'
import util from 'node-forge/lib/util.js'

export type Asn1 = forge.asn1.Asn1

export const OID = {
  commonName: '2.5.4.3',
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  basicConstraints: '2.5.29.19',
  keyUsage: '2.5.29.15',
  extendedKeyUsage: '2.5.29.37',
  subjectAltName: '2.5.29.17',
  subjectKeyIdentifier: '2.5.29.14',
  authorityKeyIdentifier: '2.5.29.35',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
} as const

const binary = (bytes: Uint8Array): string => Buffer.from(bytes).toString('binary')
const primitive = (type: forge.asn1.Type, value: string): Asn1 => asn1.create(asn1.Class.UNIVERSAL, type, false, value)

export const sequence = (...items: Asn1[]): Asn1 => asn1.create(asn1.Class.UNIVERSAL, asn1.Type.SEQUENCE, true, items)
export const set = (...items: Asn1[]): Asn1 => asn1.create(asn1.Class.UNIVERSAL, asn1.Type.SET, true, items)
export const oid = (dotted: string): Asn1 => primitive(asn1.Type.OID, asn1.oidToDer(dotted).getBytes())
export const octetString = (bytes: Uint8Array): Asn1 => primitive(asn1.Type.OCTETSTRING, binary(bytes))
export const integer = (bytes: Uint8Array): Asn1 => primitive(asn1.Type.INTEGER, binary(bytes))
/** A bit string; `unusedBits` counts the padding bits of the last byte. */
export const bitString = (bytes: Uint8Array, unusedBits = 0): Asn1 =>
  primitive(asn1.Type.BITSTRING, String.fromCharCode(unusedBits) + binary(bytes))
export const boolean = (value: boolean): Asn1 => primitive(asn1.Type.BOOLEAN, value ? '\xff' : '\0')
export const utf8String = (text: string): Asn1 => primitive(asn1.Type.UTF8, util.encodeUtf8(text))
/** Context-specific, constructed: `[tag] { items }`. */
export const explicit = (tag: number, ...items: Asn1[]): Asn1 =>
  asn1.create(asn1.Class.CONTEXT_SPECIFIC, tag, true, items)
/** Context-specific, primitive: `[tag] bytes`, as in GeneralName. */
export const implicit = (tag: number, bytes: Uint8Array): Asn1 =>
  asn1.create(asn1.Class.CONTEXT_SPECIFIC, tag, false, binary(bytes))

/** UTCTime until 2049, GeneralizedTime from 2050 on (RFC 5280, 4.1.2.5). */
export const time = (date: Date): Asn1 =>
  date.getUTCFullYear() < 2050
    ? primitive(asn1.Type.UTCTIME, asn1.dateToUtcTime(date))
    : primitive(asn1.Type.GENERALIZEDTIME, asn1.dateToGeneralizedTime(date))

/** A distinguished name with one common name. */
export const distinguishedName = (commonName: string): Asn1 =>
  sequence(set(sequence(oid(OID.commonName), utf8String(commonName))))

/** One X.509 extension around its inner value. */
export const extension = (dotted: string, critical: boolean, inner: Asn1): Asn1 =>
  sequence(oid(dotted), ...(critical ? [boolean(true)] : []), octetString(toDer(inner)))

export const toDer = (node: Asn1): Buffer => Buffer.from(asn1.toDer(node).getBytes(), 'binary')

/** Parses one DER value. Throws on anything that is not DER, including bytes after it. */
export const fromDer = (bytes: Uint8Array): Asn1 =>
  asn1.fromDer(util.createBuffer(binary(bytes)), {
    strict: true,
    parseAllBytes: true,
    decodeBitStrings: false,
  } as unknown as boolean)

export type PemLabel = 'CERTIFICATE' | 'CERTIFICATE REQUEST'

export const toPem = (der: Uint8Array, label: PemLabel): string =>
  `-----BEGIN ${label}-----\n${Buffer.from(der)
    .toString('base64')
    .replace(/.{1,64}/g, '$&\n')}-----END ${label}-----\n`

/** The DER bytes of the only PEM block of that label; throws if there is none. */
export function fromPem(pem: string, label: PemLabel): Buffer {
  const match = new RegExp(`^\\s*-----BEGIN ${label}-----\\s+([A-Za-z0-9+/=\\s]+)-----END ${label}-----\\s*$`).exec(pem)
  if (!match?.[1]) throw new Error(`not one PEM block of a ${label.toLowerCase()}`)
  return Buffer.from(match[1], 'base64')
}
