// C7, C8, C1: the core learns other CAs from the server that it trusts, believes nothing that would cost it the server, moves its
// login over to another user CA by itself, and keeps its keys.
import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { parseAddress } from '../../client/cluster/address.ts'
import { hearTrust } from '../../client/cluster/trust-news.ts'
import type { ProfileView } from '../../shared/rpc.ts'
import { createTestCa } from '../support/certificates.ts'
import { psql, RawClient, TestCore, waitUntil, type TestHost } from '../support/client-core.ts'
import { FakeAccessServer, greetControl } from '../support/fake-access-server.ts'

let test: TestCore
let host: TestHost
beforeEach(async () => {
  test = await TestCore.start()
  host = await test.attach()
})
afterEach(() => test.close())

type ProfileFile = { version: number; caPems: string[]; caPem?: string }
const profileFile = () => join(test.home.profilesDir, 'test.json')
const storedProfile = async () => JSON.parse(await readFile(profileFile(), 'utf8')) as ProfileFile
const storedCertificate = () => readFile(join(test.home.profilesDir, 'test.user.pem'), 'utf8')
const profile = async (): Promise<ProfileView | undefined> => (await host.core.call('profile.list', {})).profiles[0]
/** Any call to the server; its answer carries the news. */
const anyCall = () => host.core.call('resource.list', {})
const renewals = (): number => test.server.seen.calls.filter(({ what }) => what === 'POST /v1/login/certificate').length

it('C7: the CAs that the server names are trusted from then on, stored whole, and dropped when it names them no more', async () => {
  const next = createTestCa('Next CA')
  const { ca } = test.server
  await test.login(host)
  const gateway = await test.open(host)
  const running = await RawClient.connect(gateway.port)
  await waitUntil(() => running.text.includes('client_encoding'), 'a connection that stands')

  test.server.trustNews = { cas: [next.certPem, ca.certPem] }
  await anyCall()
  expect(await storedProfile()).toMatchObject({ version: 2, caPems: [next.certPem, ca.certPem] })
  expect(await profile()).toMatchObject({ state: 'ready', fingerprint: next.fingerprint })
  // Contexts are made of the new list: dials and calls still find the server.
  expect(await psql(gateway)).toMatchObject({ code: 0 })

  test.server.trustNews = { cas: [ca.certPem] }
  await anyCall()
  expect((await storedProfile()).caPems).toEqual([ca.certPem])
  expect(await psql(gateway)).toMatchObject({ code: 0 })
  expect(running.isEnded).toBe(false)
  running.socket.destroy()
  expect(test.server.seen.logins).toHaveLength(1)
  expect(host.all('login.requested')).toEqual([])
})

it('C7: a server whose certificate comes from the other CA now is found on the same address, before and after a restart', async () => {
  const next = createTestCa('Next CA')
  await test.login(host)
  const gateway = await test.open(host, 'orders', 'detached')
  test.server.trustNews = { cas: [next.certPem, test.server.ca.certPem] }
  await anyCall()
  const { port } = test.server
  await test.server.close()
  const moved = new FakeAccessServer({ ca: next })
  moved.port = port
  await moved.start()
  try {
    // The fake issues by one CA and looks at identities only, so the login counts there too.
    expect(await psql(gateway)).toMatchObject({ code: 0 })
    await test.core.stop()
    await test.restart()
    host = await test.attach()
    expect(await psql(gateway)).toMatchObject({ code: 0 })
    expect(moved.seen.logins).toEqual([])
  } finally {
    await moved.close()
  }
})

it('C7, C8: a list that cannot be read, or would not verify this very server, is not believed, and spoils no answer', async () => {
  const { ca } = test.server
  const stranger = createTestCa()
  await test.login(host)
  const gateway = await test.open(host)
  const leaf = ca.issueServer().certPem.split(/(?<=-----END CERTIFICATE-----\n)/)[0] ?? ''
  const unbelievable: unknown[] = [
    [stranger.certPem],
    [],
    'all of them',
    [ca.certPem, 'no PEM'],
    [ca.certPem, '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'],
    [ca.certPem + stranger.certPem],
    [leaf],
    [ca.certPem, leaf],
    [ca.certPem, 7],
  ]
  for (const cas of unbelievable) {
    test.server.trustNews = { cas: cas as string[] }
    await anyCall()
    await test.submit(host)
    expect((await storedProfile()).caPems).toEqual([ca.certPem])
    expect(await psql(gateway)).toMatchObject({ code: 0 })
  }
})

it('C7, C8: whatever an answer says about trust, nothing is thrown and nothing unverified is believed', () => {
  const address = parseAddress(test.server.address)
  const ca = test.server.ca.certPem
  const strange = fc.oneof(fc.anything(), fc.string(), fc.constant(ca), fc.constant(`${ca}${ca}`))
  const json = fc.oneof(
    fc.anything(),
    fc.record({ cas: fc.oneof(strange, fc.array(strange)), renewCertificate: fc.oneof(fc.boolean(), fc.anything()) }),
  )
  fc.assert(
    fc.property(json, (answer) => {
      // Without a chain nothing can be verified.
      expect(hearTrust(answer, [], address).caPems).toBeUndefined()
    }),
    { numRuns: 500 },
  )
})

it('C7: a profile of an earlier version is read, its CA and its login stay, and it is written anew', async () => {
  await test.login(host)
  await test.core.stop()
  const { caPems, ...rest } = await storedProfile()
  await writeFile(profileFile(), JSON.stringify({ ...rest, version: 1, caPem: caPems[0] }))
  await test.restart()
  host = await test.attach()
  expect(await profile()).toMatchObject({ state: 'ready', fingerprint: test.server.ca.fingerprint })
  await anyCall()
  await test.submit(host)
  expect(await storedProfile()).toMatchObject({ version: 2, caPems })
})

it('C8: a stored CA that cannot be read makes the profile unknown, never unverified', async () => {
  await test.login(host)
  await test.core.stop()
  const stored = await storedProfile()
  for (const caPems of [[], ['no PEM'], [...stored.caPems, 'no PEM']]) {
    await writeFile(profileFile(), JSON.stringify({ ...stored, caPems }))
    await test.restart()
    host = await test.attach()
    expect((await host.core.call('profile.list', {})).profiles).toEqual([])
    await expect(anyCall()).rejects.toMatchObject({ code: 'profile_unknown' })
    await test.core.stop()
  }
  await test.restart()
})

it('C7: a login on an old user CA moves to another certificate of the same login, without a person, and proves it', async () => {
  await test.login(host)
  await test.open(host)
  const before = await storedCertificate()
  test.server.trustNews = { renewCertificate: true }
  await anyCall()
  await waitUntil(() => test.server.seen.calls.some(({ what }) => what === 'GET /v1/me'), 'the new one is presented')
  const after = await storedCertificate()
  expect(after).not.toBe(before)
  expect(renewals()).toBe(1)
  // A server that goes on saying so is not asked each time.
  await anyCall()
  await anyCall()
  expect(renewals()).toBe(1)
  expect(await profile()).toMatchObject({ state: 'ready', user: 'alice' })
  expect(test.server.seen.logins).toHaveLength(1)
  expect(host.all('login.requested')).toEqual([])
  // It is the one that the next core finds.
  test.server.trustNews = {}
  await test.core.stop()
  await test.restart()
  host = await test.attach()
  await anyCall()
})

it('C7, C9: told over the control stream, a login without any gateway moves over at once', async () => {
  const streams: { send(text: string): void }[] = []
  test.server.onControl = (stream) => {
    streams.push(stream)
    greetControl(test.server, stream)
  }
  await test.login(host)
  await waitUntil(() => streams.length === 1, 'the control stream')
  const before = await storedCertificate()
  test.server.trustNews = { renewCertificate: true }
  streams[0]?.send(JSON.stringify({ v: 1, type: 'cas.changed' }))
  // The stream is opened anew with the new certificate.
  await waitUntil(() => streams.length === 2, 'a control stream with the new certificate')
  expect(await storedCertificate()).not.toBe(before)
  expect(renewals()).toBe(1)
})

it('C7: a certificate of somebody else in its place is not taken, and the login stays as it is', async () => {
  await test.login(host)
  const before = await storedCertificate()
  test.server.certificateUser = 'mallory'
  test.server.trustNews = { renewCertificate: true }
  await anyCall()
  await waitUntil(() => test.log.some((line) => line.includes('not had anew')), 'the refusal in the log')
  expect(await storedCertificate()).toBe(before)
  expect(await profile()).toMatchObject({ state: 'ready', user: 'alice' })
  await anyCall()
})

it('C7, C8: on the person’s word another CA ends the login, unless the server names both as its own', async () => {
  await test.login(host)
  const other = await new FakeAccessServer().start()
  try {
    const add = () => host.core.call('profile.add', { address: other.address, caPin: other.ca.fingerprint })
    other.trustNews = { cas: [other.ca.certPem, test.server.ca.certPem] }
    expect(await add()).toMatchObject({ profile: 'test', state: 'ready', fingerprint: other.ca.fingerprint })
    const third = await new FakeAccessServer().start()
    try {
      const added = await host.core.call('profile.add', { address: third.address, caPem: third.ca.certPem })
      expect(added).toMatchObject({ profile: 'test', state: 'signed out' })
      expect((await storedProfile()).caPems).toEqual([third.ca.certPem])
    } finally {
      await third.close()
    }
  } finally {
    await other.close()
  }
})

it('C1: no private key leaves, and only the login’s own lies on the disk, for its owner alone', async () => {
  await test.login(host)
  const gateway = await test.open(host)
  expect(await psql(gateway)).toMatchObject({ code: 0 })
  test.server.trustNews = { renewCertificate: true }
  await anyCall()
  await waitUntil(() => test.server.seen.calls.some(({ what }) => what === 'GET /v1/me'), 'a renewal')

  const sent = test.server.seen.calls.map(({ body }) => body).join('\n')
  expect(sent.match(/BEGIN CERTIFICATE REQUEST/g)?.length).toBeGreaterThanOrEqual(3)
  expect(sent).not.toMatch(/PRIVATE/)
  const requests = sent.match(/-----BEGIN CERTIFICATE REQUEST-----.*?-----END/g) ?? []
  // Every certificate has a key of its own.
  expect(new Set(requests).size).toBe(requests.length)

  const withKeys: string[] = []
  for (const entry of await readdir(test.home.dir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const file = join(entry.parentPath, entry.name)
    if ((await readFile(file, 'latin1')).includes('PRIVATE')) withKeys.push(file)
  }
  expect(withKeys.map((file) => file.slice(test.home.dir.length))).toEqual(['/profiles/test.user.pem'])
  for (const file of withKeys) expect((await stat(file)).mode & 0o777).toBe(0o600)
  expect(test.log.join('')).not.toContain('PRIVATE')
})
