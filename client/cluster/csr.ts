// Key pairs and certificate requests (PKCS#10, RFC 2986): the key is made here and never leaves this machine (C1). P-256,
// because Electron's TLS has no Ed25519. Used by logins and by route reissue.
import { generateKeyPair, sign, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import {
  bitString,
  distinguishedName,
  explicit,
  fromDer,
  integer,
  OID,
  oid,
  sequence,
  toDer,
  toPem,
} from '../../shared/x509/der.ts'

export type KeyRequest = {
  /** PKCS#8, PEM. */
  keyPem: string
  /** PKCS#10, PEM. */
  csrPem: string
}

const generate = promisify(generateKeyPair)

/** A fresh P-256 key and a request for it. The subject is a courtesy: the server decides who one is. */
export async function createKeyRequest(commonName: string): Promise<KeyRequest> {
  const { privateKey, publicKey } = await generate('ec', { namedCurve: 'P-256' })
  return {
    keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    csrPem: signedRequest(commonName, privateKey, publicKey),
  }
}

function signedRequest(commonName: string, privateKey: KeyObject, publicKey: KeyObject): string {
  const info = sequence(
    integer(Uint8Array.of(0)),
    distinguishedName(commonName),
    fromDer(publicKey.export({ type: 'spki', format: 'der' })),
    explicit(0),
  )
  const signature = sign('sha256', toDer(info), privateKey)
  return toPem(toDer(sequence(info, sequence(oid(OID.ecdsaWithSha256)), bitString(signature))), 'CERTIFICATE REQUEST')
}
