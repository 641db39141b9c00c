// Hundreds of connections over the gateways of two profiles whose logins have expired: two clusters with their PostgreSQL, one
// home with its core, a host that sees what is asked, and light clients by the hundred, PostgreSQL's and plain TCP's. Used by the test and the bench of it.
import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { readFile } from 'node:fs/promises'
import { connectToCore, type CoreConnection } from '../../client/connect.ts'
import type { GatewayView, LoginPrompt } from '../../shared/rpc.ts'
import { ALICE, startCluster, type TestCluster } from './cluster.ts'
import { LightClient, LineClient, type Outcome, type Waiting } from './light-client.ts'
import { until } from './run.ts'

/** Connections of a profile; the gateways share them evenly. */
export type Load = { profile: string; connections: number; gateways: readonly [resource: string, account: string][] }

export const LOADS: readonly Load[] = [
  {
    profile: 'first',
    connections: 300,
    gateways: [
      ['orders', 'reader'],
      ['orders', 'writer'],
      ['stock', 'reader'],
      ['stock', 'writer'],
      ['returns', 'reader'],
    ],
  },
  {
    profile: 'second',
    connections: 100,
    gateways: [
      ['orders', 'reader'],
      ['lines', 'tcp'],
    ],
  },
]

const SHORT_LOGIN_S = 3
const PATIENCE_MS = 60_000

const lineService = (port: number): string => `kind: resource
name: lines
protocol: tcp
address: 127.0.0.1:${port}
accounts: [{ name: tcp }]
---
kind: role
name: lines
allow:
  - { resources: [lines], accounts: [tcp], databases: ['*'] }
---
{ kind: grant, user: alice, role: lines }`

/** A target that says again what it hears. */
async function startLineService(): Promise<{ port: number; close: () => void }> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    socket.on('error', () => undefined)
    socket.pipe(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    port,
    close() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

const moreResources = (postgresPort: number): string =>
  [
    ...['stock', 'returns'].map(
      (name) => `kind: resource
name: ${name}
protocol: postgres
address: 127.0.0.1:${postgresPort}
tls: { mode: disable }
defaultDatabase: postgres
accounts:
  - { name: reader, password: target-reader-secret }
  - { name: writer, password: target-writer-secret }`,
    ),
    'kind: role\nname: more\nallow:\n  - { resources: [stock, returns], accounts: [reader, writer], databases: [postgres] }',
    '{ kind: grant, user: alice, role: more }',
  ].join('\n---\n')

export class ManyHeld {
  readonly clusters: ReadonlyMap<string, TestCluster>
  readonly home: string
  readonly core: CoreConnection
  readonly gateways: GatewayView[] = []
  /** What the host was asked, and what became of it. */
  readonly asked: LoginPrompt[] = []
  readonly closed: { profile: string; outcome: string }[] = []
  readonly #clients = new Set<Waiting>()
  readonly #lines: { close: () => void }
  #nextClient = 1

  private constructor(
    clusters: ReadonlyMap<string, TestCluster>,
    home: string,
    core: CoreConnection,
    lines: { close: () => void },
  ) {
    this.#lines = lines
    this.clusters = clusters
    this.home = home
    this.core = core
    core.on('login.requested', (prompt) => this.asked.push(prompt))
    core.on('login.needed', (prompt) => this.asked.push(prompt))
    core.on('login.closed', (event) => this.closed.push(event))
  }

  /** All of it, with the gateways open and the logins good. */
  static async start(): Promise<ManyHeld> {
    const clusters = new Map<string, TestCluster>()
    const lines = await startLineService()
    try {
      for (const { profile, connections } of LOADS)
        clusters.set(profile, await startCluster({ name: profile, maxConnections: connections + 50 }))
      const [first, second] = clusters.values()
      if (!first || !second) throw new Error('no cluster')
      await second.apply(lineService(lines.port))
      await first.apply(moreResources(first.postgres.port))
      const home = await first.newHome()
      for (const cluster of clusters.values()) await cluster.login(home, ALICE)
      const core = await connectToCore({ home, kind: 'terminal', canAsk: true, appVersion: 'test' })
      const many = new ManyHeld(clusters, home, core, lines)
      for (const { profile, gateways } of LOADS)
        for (const [resource, account] of gateways) {
          const wanted = { profile, resource, account, keep: 'detached' as const }
          many.gateways.push((await core.call('gateway.open', wanted)).gateway)
        }
      return many
    } catch (error) {
      for (const cluster of clusters.values()) await cluster.close()
      lines.close()
      throw error
    }
  }

  /** Lets the logins of all profiles run out. */
  async expire(): Promise<void> {
    for (const { profile } of LOADS)
      await this.core.call('login.submit', {
        profile,
        user: ALICE.name,
        password: ALICE.password,
        ttlSeconds: SHORT_LOGIN_S,
      })
    await this.untilGateways(({ state }) => state === 'needs login', 'the logins expire')
  }

  /** Logs in, in answer to what is asked or unasked. */
  async logIn(profile: string): Promise<void> {
    const requestId = this.asked.findLast((prompt) => prompt.profile === profile)?.requestId
    const answer = requestId === undefined ? {} : { requestId }
    await this.core.call('login.submit', { profile, user: ALICE.name, password: ALICE.password, ...answer })
  }

  /** Starts clients of a profile, its gateways in turn. Every other one sends its query at once. */
  connect(profile: string, count: number): Waiting[] {
    const gateways = this.gateways.filter((gateway) => gateway.profile === profile)
    return Array.from({ length: count }, (_, at) => {
      const gateway = gateways[at % gateways.length]
      if (!gateway) throw new Error(`no gateway of ${profile}`)
      const number = this.#nextClient++
      const { port, account, protocol } = gateway
      const name = `light-${number}`
      const sql = `select 'value of ' || ${number}`
      const client: Waiting =
        protocol === 'tcp'
          ? new LineClient(port, name, `value of ${number}`)
          : new LightClient({ port, account, database: 'postgres', name, sql, isEager: number % 2 === 0 })
      this.#clients.add(client)
      client.socket.once('close', () => this.#clients.delete(client))
      return client
    })
  }

  /** All clients of all profiles. */
  connectAll(): Map<string, Waiting[]> {
    return new Map(LOADS.map(({ profile, connections }) => [profile, this.connect(profile, connections)]))
  }

  async waiting(profile: string): Promise<number> {
    const { gateways } = await this.core.call('gateway.list', {})
    return gateways.filter((one) => one.profile === profile).reduce((sum, { waiting }) => sum + waiting, 0)
  }

  async untilWaiting(profile: string, count: number): Promise<void> {
    let now = -1
    await until(
      async () => (now = await this.waiting(profile)) === count,
      `${count} connections of ${profile} wait`,
      PATIENCE_MS,
    ).catch((error: unknown) => {
      throw new Error(`${now} connections of ${profile} wait`, { cause: error })
    })
  }

  async untilGateways(fits: (gateway: GatewayView) => boolean, what: string): Promise<void> {
    await until(async () => (await this.core.call('gateway.list', {})).gateways.every(fits), what, PATIENCE_MS)
  }

  /** Resident memory of the core's process now, in MiB. Linux. */
  async coreMiB(): Promise<number> {
    const status = await readFile(`/proc/${this.core.core.pid}/status`, 'utf8')
    return Math.round(Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? Number.NaN) / 1024)
  }

  async close(): Promise<void> {
    for (const client of this.#clients) client.hangUp()
    this.#lines.close()
    await this.core.close()
    for (const cluster of this.clusters.values()) await cluster.close()
  }
}

/** Whether a client got exactly its own row. */
export const isOwnRow = (client: Waiting, outcome: Outcome): boolean =>
  outcome.kind === 'value' && outcome.value === `value of ${client.options.name.slice('light-'.length)}`

/** How many of which outcome, for figures and for failures that can be read. */
export function tally(clients: readonly Waiting[], outcomes: readonly Outcome[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const [at, outcome] of outcomes.entries()) {
    const client = clients[at]
    const what =
      outcome.kind === 'value'
        ? client && isOwnRow(client, outcome)
          ? 'own row'
          : 'wrong row'
        : outcome.kind === 'refused'
          ? outcome.error.code
          : 'closed'
    counts[what] = (counts[what] ?? 0) + 1
  }
  return counts
}
