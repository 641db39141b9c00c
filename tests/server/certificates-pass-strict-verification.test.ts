// C1, C3, C8: what the CAs issue is what OpenSSL's strict mode and Node's TLS accept, with the fields that we promise.
import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fingerprintOf, openAuthority } from '../../server/ca/authority.ts'
import { parseServerName } from '../../server/ca/server-name.ts'
import {
  newKeyAndCsr,
  resource,
  role,
  grant,
  user,
  startTestServer,
  type Person,
  type TestServer,
} from './support/access-server.ts'

let server: TestServer
let alice: Person
let routePem: string
beforeAll(async () => {
  server = await startTestServer({ serverNames: ['localhost', '127.0.0.1', '::1', 'db.example.org'] })
  const admin = await server.setUp()
  await server.apply(
    admin,
    user('alice'),
    resource('orders'),
    role('dev', { resources: ['*'], accounts: ['*'] }),
    grant('alice', 'dev'),
  )
  alice = await server.logIn('alice', 'correct horse alice')
  const answer = await server.call('POST', '/v1/routes', {
    credentials: alice,
    body: { resource: 'orders', protocol: 'postgres', account: 'reader', csr: newKeyAndCsr().csr },
  })
  routePem = answer.body.certificate
})
afterAll(() => server.close())

const opensslVerify = async (purpose: string, ca: string, leaf: string): Promise<string> => {
  const caFile = path.join(server.directory, 'verify-ca.pem')
  const leafFile = path.join(server.directory, 'verify-leaf.pem')
  await writeFile(caFile, ca)
  await writeFile(leafFile, leaf)
  return execFileSync('openssl', ['verify', '-x509_strict', '-purpose', purpose, '-CAfile', caFile, leafFile], {
    encoding: 'utf8',
  })
}
const userCaPem = () => server.authority.trustedUserCas()[0]?.toString() ?? ''
const printed = (pem: string): string =>
  execFileSync('openssl', ['x509', '-noout', '-text'], { input: pem, encoding: 'utf8' })

describe('one of each, with openssl verify -x509_strict', () => {
  it('C3: a user certificate', async () => {
    expect(await opensslVerify('sslclient', userCaPem(), alice.certificate)).toContain(': OK')
    const text = printed(alice.certificate)
    expect(text).toMatch(/Key Usage: critical\s+Digital Signature\n/)
    expect(text).toMatch(/Extended Key Usage: \s+TLS Web Client Authentication\n/)
    expect(text).toContain('ASN1 OID: prime256v1')
  })
  it('C3: a route certificate', async () => {
    expect(await opensslVerify('sslclient', userCaPem(), routePem)).toContain(': OK')
  })
  it('C8: the server’s certificate, with its names', async () => {
    const { cert } = await server.authority.serverTls(server.config.serverNames)
    expect(await opensslVerify('sslserver', server.authority.serverCaPem, cert)).toContain(': OK')
    expect(new X509Certificate(cert).subjectAltName).toBe(
      'DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1, DNS:db.example.org',
    )
  })
  it('both CAs, which sign no other CA', async () => {
    for (const ca of [userCaPem(), server.authority.serverCaPem]) {
      expect(await opensslVerify('any', ca, ca)).toContain(': OK')
      expect(printed(ca)).toMatch(/Basic Constraints: critical\s+CA:TRUE, pathlen:0\n/)
      expect(printed(ca)).toMatch(/Key Usage: critical\s+Certificate Sign, CRL Sign\n/)
    }
  })
})

it('C8: the server sends its CA behind its certificate, and the fingerprint is of that CA', async () => {
  const { cert } = await server.authority.serverTls(server.config.serverNames)
  const blocks = cert.match(/-----BEGIN[^]+?-----END CERTIFICATE-----\n/g) ?? []
  expect(blocks).toHaveLength(2)
  const ca = new X509Certificate(blocks[1] ?? '')
  expect(new X509Certificate(blocks[0] ?? '').verify(ca.publicKey)).toBe(true)
  expect(fingerprintOf(ca)).toBe(server.made.fingerprint)
  expect(server.made.fingerprint).toBe(`sha256:${ca.fingerprint256.replaceAll(':', '').toLowerCase()}`)
})

it('the two CAs are two: no server certificate passes as a client’s, nor the other way', () => {
  const userCa = server.authority.trustedUserCas()[0]
  expect(userCa?.publicKey.equals(new X509Certificate(server.authority.serverCaPem).publicKey)).toBe(false)
  expect(
    new X509Certificate(alice.certificate).verify(new X509Certificate(server.authority.serverCaPem).publicKey),
  ).toBe(false)
})

it('C6: client certificates start five minutes back, server certificates a day', async () => {
  const { cert } = await server.authority.serverTls(server.config.serverNames)
  const backMs = (pem: string) => server.clock.now.getTime() - new X509Certificate(pem).validFromDate.getTime()
  expect(Math.abs(backMs(alice.certificate) - 5 * 60_000)).toBeLessThan(1000)
  expect(Math.abs(backMs(cert) - 86_400_000)).toBeLessThan(1000)
})

it('the server’s certificate is kept over starts, and reissued when the names change or it runs out within 30 days', async () => {
  const names = server.config.serverNames
  const reopened = await openAuthority(server.store.db, server.masterKey, () => server.clock.now)
  const first = await server.authority.serverTls(names)
  expect(await reopened.serverTls([...names].reverse())).toEqual(first)
  expect((await reopened.serverTls(['localhost'])).cert).not.toBe(first.cert)
  const before = await reopened.serverTls(names)
  const at = (days: number) =>
    openAuthority(server.store.db, server.masterKey, () => new Date(server.clock.now.getTime() + days * 86_400_000))
  expect((await (await at(334)).serverTls(names)).cert).toBe(before.cert)
  expect((await (await at(336)).serverTls(names)).cert).not.toBe(before.cert)
})

it('C1: CA keys and the server’s key lie in the store only sealed', async () => {
  const rows = JSON.stringify([
    await server.store.db.selectFrom('ca_keys').selectAll().execute(),
    await server.store.db.selectFrom('settings').selectAll().execute(),
  ])
  expect(rows).toContain('v1:')
  expect(rows).not.toContain('PRIVATE KEY')
})

it.each([
  ['::1', '00000000000000000000000000000001'],
  ['2001:db8::8:800:200c:417a', '20010db80000000000080800200c417a'],
  ['::', '00000000000000000000000000000000'],
  ['fe80::', 'fe800000000000000000000000000000'],
  ['::ffff:192.0.2.1', '00000000000000000000ffffc0000201'],
  ['10.1.2.3', '0a010203'],
])('the IP address %s becomes the bytes %s', (address, hex) => {
  const parsed = parseServerName(address)
  expect(parsed?.kind === 'ip' && parsed.bytes.toString('hex')).toBe(hex)
})

it.each(['-a.b', 'a..b', 'a b', '', 'a_very:bad', 'x'.repeat(64)])('%j is no server name', (name) => {
  expect(parseServerName(name)).toBeUndefined()
})
