// A certificate together with its key and the one TLS context that is made of them: what a dial or an API call presents.
// Built whole or not at all. Whom it trusts may change under it (C7); who it is may not. A context is never shared between
// certificates, and session tickets live and die with their context, so no TLS session outlives its identity (C4).
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { createSecureContext, type SecureContext } from 'node:tls'
import { PosternError } from '../../shared/errors.ts'
import { identityFromSubjectAltName, type Identity } from '../../shared/names.ts'
import { TLS_VERSION } from './tls.ts'

export type KeyedCertificate<I extends Identity = Identity> = {
  readonly certificatePem: string
  readonly keyPem: string
  readonly identity: I
  /** Lifetimes by the server's clock, in ms since the epoch (C6: taken from the certificate, never from what was asked). */
  readonly notBeforeMs: number
  readonly notAfterMs: number
  /** The TLS context that presents it and trusts these CAs; the same one as long as the list is the same. */
  contextFor(caPems: readonly string[]): SecureContext
}

/**
 * Checks that certificate, key and identity belong together and makes the TLS context.
 * @throws PosternError `protocol` if the certificate or key cannot be read, `wrong_identity` if they are somebody else's
 */
export function buildKeyedCertificate<K extends Identity['kind']>(
  parts: { certificatePem: string; keyPem: string; caPems: readonly string[] },
  kind: K,
): KeyedCertificate<Extract<Identity, { kind: K }>> {
  const { certificatePem, keyPem, caPems } = parts
  let certificate: X509Certificate
  let isKeyOfIt: boolean
  try {
    certificate = new X509Certificate(certificatePem)
    isKeyOfIt = certificate.checkPrivateKey(createPrivateKey(keyPem))
  } catch (error) {
    throw new PosternError('protocol', 'the certificate or its key cannot be read', { cause: error })
  }
  if (!isKeyOfIt) throw new PosternError('wrong_identity', 'the certificate belongs to another key')
  const identity = identityFromSubjectAltName(certificate.subjectAltName)
  if (!isOfKind(identity, kind)) throw new PosternError('wrong_identity', `the certificate names no ${kind}`)
  const build = (ca: readonly string[]): SecureContext =>
    createSecureContext({
      cert: certificatePem,
      key: keyPem,
      ca: [...ca],
      minVersion: TLS_VERSION,
      maxVersion: TLS_VERSION,
    })
  let latest = { caPems, context: build(caPems) }
  return {
    certificatePem,
    keyPem,
    identity,
    notBeforeMs: certificate.validFromDate.getTime(),
    notAfterMs: certificate.validToDate.getTime(),
    contextFor: (wanted) => {
      if (latest.caPems !== wanted) latest = { caPems: wanted, context: build(wanted) }
      return latest.context
    },
  }
}

const isOfKind = <K extends Identity['kind']>(
  identity: Identity | undefined,
  kind: K,
): identity is Extract<Identity, { kind: K }> => identity?.kind === kind
