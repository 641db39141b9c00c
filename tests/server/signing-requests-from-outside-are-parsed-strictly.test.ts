// C1: the server signs requests and takes only their key. Whatever bytes come, the parser answers with a key or bad_request.
import { execFileSync } from 'node:child_process'
import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { PosternError } from '../../shared/errors.ts'
import { toPem } from '../../shared/x509/der.ts'
import { parseCsr } from '../../server/ca/csr.ts'
import { csrOf, derOf, newKeyAndCsr } from './support/access-server.ts'

const refusal = (pem: string): string | undefined => {
  try {
    parseCsr(pem)
    return undefined
  } catch (error) {
    if (error instanceof PosternError) return error.code
    throw error
  }
}
const openssl = (...args: string[]): string =>
  execFileSync('openssl', ['req', '-new', '-nodes', '-keyout', '/dev/null', ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  })

describe('what is taken', () => {
  it('C1: the key of our own client’s request', () => {
    const { key, csr } = newKeyAndCsr()
    expect(parseCsr(csr).equals(createPublicKey(key))).toBe(true)
  })
  it('C1: a request that openssl made, its subject and extensions ignored', () => {
    const csr = openssl(
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-sha256',
      '-subj',
      '/CN=root/O=admins',
      '-addext',
      'subjectAltName=URI:spiffe://postern/user/root/login/x',
    )
    expect(parseCsr(csr).asymmetricKeyDetails?.namedCurve).toBe('prime256v1')
  })
})

describe('what is refused', () => {
  it.each([
    ['nothing', () => ''],
    ['text', () => 'hello'],
    ['a certificate’s label', () => newKeyAndCsr().csr.replaceAll('CERTIFICATE REQUEST', 'CERTIFICATE')],
    ['two requests', () => newKeyAndCsr().csr + newKeyAndCsr().csr],
    ['more than 16 KiB', () => newKeyAndCsr().csr + '\n'.repeat(16 * 1024)],
    ['RSA', () => openssl('-newkey', 'rsa:2048', '-sha256', '-subj', '/CN=a')],
    ['P-384', () => openssl('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384', '-sha256', '-subj', '/CN=a')],
    [
      'a signature with SHA-384',
      () => openssl('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-sha384', '-subj', '/CN=a'),
    ],
    [
      'a key that the sender does not have',
      () => {
        const mine = generateKeyPairSync('ec', { namedCurve: 'P-256' })
        const theirs = generateKeyPairSync('ec', { namedCurve: 'P-256' })
        return csrOf(mine.privateKey, theirs.publicKey)
      },
    ],
    [
      'bytes behind the request',
      () => toPem(Buffer.concat([derOf(newKeyAndCsr().csr), Buffer.from([0])]), 'CERTIFICATE REQUEST'),
    ],
    ['very deep nesting', () => toPem(Buffer.alloc(8000, 0x30), 'CERTIFICATE REQUEST')],
  ])('%s', (_what, make) => expect(refusal(make())).toBe('bad_request'))

  it('any bytes: the parser never throws anything else', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 400 }),
        (bytes) => refusal(toPem(bytes, 'CERTIFICATE REQUEST')) === 'bad_request',
      ),
    )
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => refusal(text) === 'bad_request'))
  })

  it('any one byte of a good request changed, cut or added', () => {
    const der = derOf(newKeyAndCsr().csr)
    fc.assert(
      fc.property(fc.nat(der.length - 1), fc.integer({ min: 1, max: 255 }), (at, mask) => {
        const changed = Buffer.from(der)
        changed[at] = (changed[at] ?? 0) ^ mask
        expect(refusal(toPem(changed, 'CERTIFICATE REQUEST'))).toBe('bad_request')
        expect(refusal(toPem(der.subarray(0, at), 'CERTIFICATE REQUEST'))).toBe('bad_request')
      }),
    )
  })
})
