// Postern as people run it, for the benchmark: a real client core in its own process with real gateways, once against the C upstream
// (whose logins and certificates the tests' access server makes), once against the real access server. Called by the tables.
import { chmod, writeFile } from 'node:fs/promises'
import { generateKeyPairSync } from 'node:crypto'
import { join } from 'node:path'
import { connectToCore } from '../../../client/connect.ts'
import { ALICE, startCluster, type TestCluster } from '../../support/cluster.ts'
import { FakeAccessServer, PASSWORD, TCP_RESOURCE } from '../../support/fake-access-server.ts'
import type { Kept } from '../../support/run.ts'
import { compilePrograms, Upstream } from './native-programs.ts'
import type { RunningWay } from './way.ts'

const HOUR_MS = 3_600_000
const MAX_CONNECTIONS = 400
const SERVER_WITHOUT_AUDIT = join(import.meta.dirname, 'server-without-audit.ts')

export const PGBENCH = { user: 'pgbench', password: 'pgbench-secret', database: 'pgbench' } as const

/** A core in a home of its own. */
export class CoreUnderTest {
  readonly #home: string
  readonly #cluster: TestCluster
  readonly #gateways: Kept[] = []
  #pid = -1

  private constructor(cluster: TestCluster, home: string) {
    this.#cluster = cluster
    this.#home = home
  }

  static async start(cluster: TestCluster): Promise<CoreUnderTest> {
    const core = new CoreUnderTest(cluster, await cluster.newHome())
    const connection = await connectToCore({ home: core.#home, kind: 'terminal', canAsk: false, appVersion: 'bench' })
    core.#pid = connection.core.pid
    await connection.close()
    return core
  }

  get pid(): number {
    return this.#pid
  }

  /** Opens a gateway of a cluster that the core is signed in to by `login`; its port. */
  async open(profile: string, resource: string, args: readonly string[] = []): Promise<number> {
    const gateway = await this.#cluster.open(this.#home, resource, ['--profile', profile, ...args])
    this.#gateways.push(gateway.process)
    return gateway.port
  }

  async login(address: string, caFile: string, password: string): Promise<void> {
    const args = ['login', address, '--user', ALICE.name, '--ca', caFile, '--password-stdin']
    const done = await this.#cluster.postern(this.#home, args, { input: `${password}\n` })
    if (done.code !== 0) throw new Error(`the login at ${address} failed: ${done.stderr}`)
  }

  async stop(): Promise<void> {
    await Promise.all(this.#gateways.map((gateway) => gateway.stop()))
    await this.#cluster.postern(this.#home, ['core', 'stop'])
  }
}

/** What a cluster needs to lead to them: resources, a role, a grant. */
export const documents = (tcpPort: number, postgresPort: number): string => `
kind: resource
name: service
protocol: tcp
address: 127.0.0.1:${tcpPort}
---
kind: resource
name: pgbench
protocol: postgres
address: 127.0.0.1:${postgresPort}
tls: { mode: disable }
defaultDatabase: ${PGBENCH.database}
accounts: [{ name: ${PGBENCH.user}, password: ${PGBENCH.password} }]
---
kind: role
name: bench
allow:
  - { resources: [service], accounts: [tcp] }
  - { resources: [pgbench], accounts: [${PGBENCH.user}], databases: [${PGBENCH.database}] }
---
{ kind: grant, user: ${ALICE.name}, role: bench }
`

/** What all tables stand on: the upstream with its certificates, and access servers. */
export class Ground {
  readonly directory: string
  readonly upstream: Upstream
  /** With its PostgreSQL, which all ways of the third table lead to. */
  readonly cluster: TestCluster
  readonly #fake: FakeAccessServer
  #withoutAudit: TestCluster | undefined

  private constructor(directory: string, fake: FakeAccessServer, upstream: Upstream, cluster: TestCluster) {
    this.directory = directory
    this.#fake = fake
    this.upstream = upstream
    this.cluster = cluster
  }

  /** @param directory an empty one, which the caller removes */
  static async start(directory: string): Promise<Ground> {
    // pgbouncer, as a user of its own, has to reach its files in here.
    await chmod(directory, 0o755)
    await compilePrograms(directory)
    await using started = new AsyncDisposableStack()
    const fake = await new FakeAccessServer().start()
    started.defer(() => fake.close())
    Object.assign(fake, {
      cluster: 'upstream',
      resources: ['service'],
      userTtlMs: 8 * HOUR_MS,
      routeTtlMs: 8 * HOUR_MS,
    })
    fake.resourceDetails.set('service', TCP_RESOURCE)
    await writeCertificates(directory, fake)
    const upstream = await Upstream.start(directory, fake.port)
    started.defer(() => upstream.stop())
    const cluster = await startCluster({ name: 'cluster', maxConnections: MAX_CONNECTIONS, routeTtl: '8h' })
    started.defer(() => cluster.close())
    await cluster.apply(documents(upstream.ports.plain, cluster.postgres.port))
    started.move()
    return new Ground(directory, fake, upstream, cluster)
  }

  /** The gateway in front of the C upstream; a core of its own. */
  async startGateway(): Promise<RunningWay> {
    const core = await CoreUnderTest.start(this.cluster)
    await core.login(`127.0.0.1:${this.upstream.ports.postern}`, join(this.directory, 'ca.pem'), PASSWORD)
    const port = await core.open('upstream', 'service')
    return { port, pids: [core.pid], stop: () => core.stop() }
  }

  /** Gateway and access server, to one of the cluster's resources; a core of its own. */
  async startWholeWay(resource: 'service' | 'pgbench', cluster = this.cluster): Promise<RunningWay> {
    const core = await CoreUnderTest.start(this.cluster)
    await core.login(cluster.address, cluster.caFile, ALICE.password)
    const port = await core.open(cluster.name, resource)
    return { port, pids: [core.pid, cluster.server().child.pid ?? -1], stop: () => core.stop() }
  }

  /** The same with an access server that drops what is told to the audit. */
  async startWithoutAudit(): Promise<RunningWay> {
    if (!this.#withoutAudit) {
      const options = { name: 'no-audit', routeTtl: '8h', serverProgram: SERVER_WITHOUT_AUDIT }
      this.#withoutAudit = await startCluster(options)
      await this.#withoutAudit.apply(documents(this.upstream.ports.plain, this.cluster.postgres.port))
    }
    return this.startWholeWay('pgbench', this.#withoutAudit)
  }

  /** Gateway and access server, each started for this and carrying nothing before; both end with it. */
  async startFreshWholeWay(): Promise<RunningWay> {
    const cluster = await startCluster({ name: 'fresh', routeTtl: '8h' })
    try {
      await cluster.apply(documents(this.upstream.ports.plain, this.cluster.postgres.port))
      const way = await this.startWholeWay('service', cluster)
      return { ...way, stop: () => way.stop().finally(() => cluster.close()) }
    } catch (error) {
      await cluster.close()
      throw error
    }
  }

  async stop(): Promise<void> {
    await this.#withoutAudit?.close()
    await this.cluster.close()
    await this.upstream.stop()
    await this.#fake.close()
  }
}

/** server.pem and client.pem (certificate, then key) and ca.pem, for the upstream and all peers. */
async function writeCertificates(directory: string, { ca }: FakeAccessServer): Promise<void> {
  const server = ca.issueServer()
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const day = 24 * HOUR_MS
  const certificate = ca.issueClient(
    'spiffe://upstream/user/bench',
    publicKey,
    new Date(Date.now() - day),
    new Date(Date.now() + day),
  )
  const files = {
    'server.pem': server.certPem + server.keyPem,
    'client.pem': certificate + privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    'ca.pem': ca.certPem,
  }
  for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text, { mode: 0o600 })
}
