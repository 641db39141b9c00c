// Reads certificate signing requests (PKCS#10, RFC 2986) that come from outside, strictly. Called by logins and routes.
// Takes nothing from a request but its public key: who it belongs to comes from the server's own records.
import { createPublicKey, verify, type KeyObject } from 'node:crypto'
import { PosternError } from '../../shared/errors.ts'
import { bitString, fromDer, fromPem, OID, oid, sequence, toDer, type Asn1 } from '../../shared/x509/der.ts'

const CSR_MAX_CHARACTERS = 16 * 1024

/**
 * The public key of a PEM request: P-256, and the sender holds its private key (the request is signed with it).
 * @throws PosternError `bad_request` for anything else, whatever the bytes are
 */
export function parseCsr(pem: string): KeyObject {
  try {
    if (pem.length > CSR_MAX_CHARACTERS) throw new Error('it is longer than 16 KiB')
    const der = fromPem(pem, 'CERTIFICATE REQUEST')
    const [info, , signature] = childrenOf(fromDer(der), 3)
    const [, , spki] = childrenOf(info, 4)
    if (info === undefined || spki === undefined || typeof signature?.value !== 'string')
      throw new Error('it is no PKCS#10 request')
    // The first byte of a bit string counts its unused bits.
    const signatureBytes = Buffer.from(signature.value.slice(1), 'binary')
    // Built again from its parts it must be the same bytes: so the frame is right, the algorithm ECDSA with SHA-256, and
    // what is verified below is what was signed.
    const rebuilt = toDer(sequence(info, sequence(oid(OID.ecdsaWithSha256)), bitString(signatureBytes)))
    if (!rebuilt.equals(der)) throw new Error('it is not DER, or not signed with ECDSA and SHA-256')

    const publicKey = createPublicKey({ key: toDer(spki), format: 'der', type: 'spki' })
    if (publicKey.asymmetricKeyDetails?.namedCurve !== 'prime256v1') throw new Error('its key is not on P-256')
    if (!verify('sha256', toDer(info), publicKey, signatureBytes)) throw new Error('its signature is wrong')
    return publicKey
  } catch (cause) {
    throw new PosternError('bad_request', 'csr: this is not a signing request (PEM PKCS#10) for a P-256 key', {
      cause,
      detail: { field: 'csr' },
    })
  }
}

function childrenOf(node: Asn1 | undefined, count: number): Asn1[] {
  if (!Array.isArray(node?.value) || node.value.length !== count) throw new Error('it has another structure')
  return node.value
}
