import { afterAll, beforeAll, expect, it } from 'vitest'
import { startTestPostgres, useTestPostgres } from '../support/postgres.ts'
import { APP_PASSWORD, psql, SHOP_SQL, startHarness, type HarnessOptions } from './engine-harness.ts'
import { makeAuthority, type CertificateAuthority } from './target-certificates.ts'

const cluster = useTestPostgres({ initialSql: SHOP_SQL })
let [ours, theirs]: CertificateAuthority[] = []
beforeAll(async () => {
  ;[ours, theirs] = await Promise.all([makeAuthority(), makeAuthority()])
})
afterAll(async () => {
  await Promise.all([ours?.remove(), theirs?.remove()])
})

async function connectWith(tls: NonNullable<HarnessOptions['tls']>, port = cluster.current.port) {
  const engine = await startHarness({ address: `127.0.0.1:${port}`, password: APP_PASSWORD, tls })
  try {
    const sql = 'select ssl from pg_stat_ssl where pid = pg_backend_pid()'
    const finished = await psql(engine.url('shop'), ['-c', sql]).done
    await engine.settled()
    return { ...finished, reported: engine.reported, activations: engine.state.activations }
  } finally {
    await engine.close()
  }
}
const ENCRYPTED = { stdout: 't\n', stderr: '', code: 0 }
const NOT_TRUSTED = 'Postern cannot make a trusted TLS connection to the database "orders" (error E1)'

it('DB1: without TLS at the target every mode but disable is an error', async () => {
  const plain = await startTestPostgres({ initialSql: SHOP_SQL })
  try {
    expect(await connectWith({ mode: 'disable' }, plain.port)).toMatchObject({ stdout: 'f\n', code: 0 })
    for (const mode of ['require', 'verify-ca', 'verify-full'] as const) {
      const { stderr, code, activations, reported } = await connectWith({ mode }, plain.port)
      expect([code, activations]).toEqual([2, 0])
      expect(stderr).toContain(NOT_TRUSTED)
      expect(reported[0]!.code).toBe('target_tls')
    }
  } finally {
    await plain.close()
  }
})

it('DB1: a certificate of our CA for the right name passes every mode', async () => {
  await ours!.installOn(cluster.current, 'IP:127.0.0.1,DNS:db.internal')
  for (const mode of ['require', 'verify-ca', 'verify-full'] as const)
    expect(await connectWith({ mode, ca: ours!.pem })).toMatchObject(ENCRYPTED)
  expect(await connectWith({ mode: 'verify-full', ca: ours!.pem, serverName: 'db.internal' })).toMatchObject(ENCRYPTED)
})

it('C8: a certificate for another name passes all but verify-full', async () => {
  await ours!.installOn(cluster.current, 'DNS:other.internal')
  for (const mode of ['require', 'verify-ca'] as const)
    expect(await connectWith({ mode, ca: ours!.pem })).toMatchObject(ENCRYPTED)
  expect((await connectWith({ mode: 'verify-full', ca: ours!.pem })).stderr).toContain(NOT_TRUSTED)
  const named = await connectWith({ mode: 'verify-full', ca: ours!.pem, serverName: 'db.internal' })
  expect(named.stderr).toContain(NOT_TRUSTED)
  expect(named.stderr).not.toContain('internal')
})

it('C8: a certificate of another CA passes require only', async () => {
  await theirs!.installOn(cluster.current, 'IP:127.0.0.1')
  expect(await connectWith({ mode: 'require', ca: ours!.pem })).toMatchObject(ENCRYPTED)
  for (const mode of ['verify-ca', 'verify-full'] as const) {
    expect((await connectWith({ mode, ca: ours!.pem })).stderr).toContain(NOT_TRUSTED)
    expect((await connectWith({ mode })).stderr).toContain(NOT_TRUSTED)
  }
})

it.each(['', 'no pem', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----'])(
  'C8: a CA that is no certificate (%j) is an error, never a way around',
  async (ca) => {
    for (const mode of ['require', 'verify-ca', 'verify-full'] as const)
      expect((await connectWith({ mode, ca })).stderr).toContain(NOT_TRUSTED)
  },
)

it('DB1: a certificate without a hash of its own (Ed25519) works, without channel binding', async () => {
  const odd = await makeAuthority('ed25519')
  await odd.installOn(cluster.current, 'IP:127.0.0.1')
  expect(await connectWith({ mode: 'verify-full', ca: odd.pem })).toMatchObject(ENCRYPTED)
  await odd.remove()
})
