// A private CA and server certificates for a target of the tests, made with openssl, readable by the server's user.
import { execFile } from 'node:child_process'
import { chown, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { TestPostgres } from '../support/postgres.ts'
import { until } from '../support/run.ts'

const run = promisify(execFile)
const KEY_KINDS = { ec: ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'], ed25519: ['-newkey', 'ed25519'] }

export type CertificateAuthority = {
  pem: string
  /** Makes a server certificate for these names (`DNS:…`, `IP:…`) and tells the target to use it. */
  installOn: (cluster: TestPostgres, names: string, days?: number) => Promise<void>
  remove: () => Promise<void>
}

export async function makeAuthority(kind: keyof typeof KEY_KINDS = 'ec'): Promise<CertificateAuthority> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-ca-'))
  const openssl = (...args: string[]) => run('openssl', args, { cwd: folder, timeout: 20_000 })
  const request = (name: string) => [...KEY_KINDS[kind], '-nodes', '-keyout', `${name}.key`, '-subj', `/CN=${name}`]
  await openssl('req', '-x509', ...request('ca'), '-out', 'ca.crt', '-days', '30')
  return {
    pem: await readFile(join(folder, 'ca.crt'), 'utf8'),
    installOn: async (cluster, names, days = 30) => {
      await openssl('req', ...request('server'), '-out', 'server.csr')
      await writeFile(join(folder, 'names.cnf'), `subjectAltName=${names}\n`)
      const signed = [
        '-CA',
        'ca.crt',
        '-CAkey',
        'ca.key',
        '-CAcreateserial',
        '-extfile',
        'names.cnf',
        '-days',
        String(days),
      ]
      await openssl('x509', '-req', '-in', 'server.csr', ...signed, '-out', 'server.crt')
      const { uid, gid } = await stat(cluster.clusterDir)
      for (const file of ['server.crt', 'server.key']) {
        const path = join(cluster.clusterDir, file)
        await rm(path, { force: true })
        await writeFile(path, await readFile(join(folder, file)), { mode: 0o600 })
        await chown(path, uid, gid)
      }
      await cluster.sql('alter system set ssl = on')
      await cluster.sql('select pg_reload_conf()')
      await untilTlsIsServed(cluster)
    },
    remove: () => rm(folder, { recursive: true }),
  }
}

/** The postmaster takes a new certificate up when it gets round to it, so it is asked again. */
async function untilTlsIsServed(cluster: TestPostgres): Promise<void> {
  const wanted = (await readFile(join(cluster.clusterDir, 'server.crt'), 'utf8')).trim()
  const isServed = async (): Promise<boolean> => {
    const served = run('openssl', ['s_client', '-starttls', 'postgres', '-connect', `127.0.0.1:${cluster.port}`], {
      timeout: 10_000,
    })
    // Its input has no end otherwise, and it would stay connected.
    served.child.stdin?.end()
    const { stdout } = await served.catch(() => ({ stdout: '' }))
    return stdout.includes(wanted)
  }
  await until(isServed, 'the target serves its new certificate', 30_000)
}
