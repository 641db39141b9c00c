// Certificates of CAs as a client keeps them: PEM of exactly one certificate that is a CA, and the fingerprint that people
// compare. Called by trust.ts, trust-news.ts and the profile file.
import { createHash, X509Certificate } from 'node:crypto'
import { PosternError } from '../../shared/errors.ts'
import { fromPem, toPem } from '../../shared/x509/der.ts'

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
