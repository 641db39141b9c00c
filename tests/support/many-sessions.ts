// Thousands of tcp sessions at once through a real access server: most of them logins of this process that hold route certificates and
// dial with the product's client code, the rest through real gateways of a real core. The target is a process that echoes. Used by
// the soak of it.
import { createConnection, type Socket } from 'node:net'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Duplex } from 'node:stream'
import { connectToCore, type CoreConnection } from '../../client/connect.ts'
import { ALICE, startCluster, type TestCluster } from './cluster.ts'
import { DirectPerson, trustOf, type RouteCertificate } from './direct-person.ts'
import { ProcessProbe } from './process-probe.ts'
import type { Kept } from './run.ts'
import { manyAtOnce } from './steady-rate.ts'
import { tcpServiceProcess } from './tcp-process.ts'

/** How many there are of what. Each login has a session on each resource; the core has one on each of its gateways. */
export type Scale = { logins: number; resources: number; gateways: number }

/** One way to a target: a new connection each time. */
export type Way = { kind: 'direct' | 'gateway'; connect: (signal: AbortSignal) => Promise<Duplex>; held: Connection[] }

export type Rows = { sessions: number; running: number; routes: number; audit: number }

const AT_ONCE = 16
const STEP_DEADLINE_MS = 60_000
/** A new connection, and an answer on an old one; in ms. */
const CONNECTION_DEADLINE_MS = 20_000
const nameOf = (resource: number): string => `echo-${resource}`

const documents = (port: number, resources: number): string =>
  [
    ...Array.from(
      { length: resources },
      (_, at) =>
        `{ kind: resource, name: ${nameOf(at)}, protocol: tcp, address: "127.0.0.1:${port}", labels: { soak: yes-it-is }, accounts: [{ name: tcp }] }`,
    ),
    '{ kind: role, name: soak, allow: [{ labels: { soak: yes-it-is }, accounts: [tcp] }] }',
    `{ kind: grant, user: ${ALICE.name}, role: soak }`,
  ].join('\n---\n')

/** One connection that stands, until `close`; whatever ends it before is a failure. */
export class Connection {
  readonly #stream: Duplex
  readonly #onLost: (why: string) => void
  #isClosing = false

  private constructor(stream: Duplex, onLost: (why: string) => void) {
    this.#stream = stream
    this.#onLost = onLost
    stream.on('error', () => undefined)
    const lost = (): void => {
      if (!this.#isClosing) this.#onLost('a connection ended by itself')
      this.#isClosing = true
    }
    stream.once('end', lost).once('close', lost)
  }

  /** Up to the first byte that came back: the whole way is there. */
  static async open(way: Way, onLost: (why: string) => void): Promise<Connection> {
    const stream = await way.connect(AbortSignal.timeout(CONNECTION_DEADLINE_MS))
    const connection = new Connection(stream, onLost)
    try {
      await connection.ask()
      return connection
    } catch (error) {
      await connection.close()
      throw error
    }
  }

  /** One byte there and back. */
  async ask(): Promise<void> {
    const answered = once(this.#stream, 'data', { signal: AbortSignal.timeout(CONNECTION_DEADLINE_MS) })
    this.#stream.write('?')
    await answered
  }

  get isLiving(): boolean {
    return !this.#isClosing
  }

  async close(): Promise<void> {
    if (this.#isClosing) return
    this.#isClosing = true
    const closed = once(this.#stream, 'close', { signal: AbortSignal.timeout(CONNECTION_DEADLINE_MS) })
    this.#stream.end()
    await closed.catch(() => this.#stream.destroy())
  }
}

export class ManySessions {
  readonly ways: Way[] = []
  readonly cluster: TestCluster
  readonly server: ProcessProbe
  readonly coreProbe: ProcessProbe
  readonly #service: Kept
  readonly #core: CoreConnection

  private constructor(parts: {
    cluster: TestCluster
    service: Kept
    core: CoreConnection
    server: ProcessProbe
    coreProbe: ProcessProbe
  }) {
    this.cluster = parts.cluster
    this.server = parts.server
    this.coreProbe = parts.coreProbe
    this.#service = parts.service
    this.#core = parts.core
  }

  /** @param settings further lines of the server's settings */
  static async start(scale: Scale, settings = ''): Promise<ManySessions> {
    const service = await tcpServiceProcess('echo')
    const cluster = await startCluster({
      routeTtl: '7h',
      settings: `loginLimits: { perUserPerMinute: 10000, perAddressPerMinute: 100000 }\n${settings}`,
    })
    await cluster.apply(documents(service.port, scale.resources))
    const home = await cluster.newHome()
    await cluster.login(home)
    const core = await connectToCore({ home, kind: 'terminal', canAsk: false, appVersion: 'soak' })
    const server = cluster.server()
    const many = new ManySessions({
      cluster,
      service: service.process,
      core,
      server: await ProcessProbe.attach(server.child.pid ?? 0, () => server.stderr),
      coreProbe: await ProcessProbe.attach(core.core.pid, () => readFile(join(home, 'core.log'), 'utf8')),
    })
    await many.#openGateways(scale.gateways)
    await many.#logIn(scale)
    return many
  }

  async close(): Promise<void> {
    this.server.close()
    this.coreProbe.close()
    await this.#core.close()
    await this.cluster.close()
    await this.#service.stop('SIGKILL')
  }

  /** As the store has them now. */
  rows(): Rows {
    const database = new DatabaseSync(join(this.cluster.directory, 'server', 'postern.sqlite'), { readOnly: true })
    const count = (sql: string): number => (database.prepare(sql).get() as { n: number }).n
    try {
      return {
        sessions: count('select count(*) n from sessions'),
        running: count("select count(*) n from sessions where state <> 'ended'"),
        routes: count('select count(*) n from routes'),
        audit: count('select count(*) n from audit'),
      }
    } finally {
      database.close()
    }
  }

  async #openGateways(count: number): Promise<void> {
    for (let at = 0; at < count; at++) {
      const { gateway } = await this.#core.call('gateway.open', { resource: nameOf(at), keep: 'attached' })
      this.ways.push({ kind: 'gateway', connect: (signal) => connectLocally(gateway.port, signal), held: [] })
    }
  }

  async #logIn({ logins, resources }: Scale): Promise<void> {
    const trust = await trustOf(this.cluster)
    const deadline = (): AbortSignal => AbortSignal.timeout(STEP_DEADLINE_MS)
    await manyAtOnce(Array.from({ length: logins }), AT_ONCE, async () => {
      const person = await DirectPerson.logIn(trust, ALICE, deadline())
      for (let at = 0; at < resources; at++) {
        const route = await person.route(nameOf(at), 'tcp', 'tcp', deadline())
        this.ways.push({ kind: 'direct', connect: (signal) => dialDirectly(person, route, signal), held: [] })
      }
    })
  }
}

async function connectLocally(port: number, signal: AbortSignal): Promise<Socket> {
  const socket = createConnection({ host: '127.0.0.1', port, allowHalfOpen: true, noDelay: true })
  await once(socket, 'connect', { signal })
  return socket
}

async function dialDirectly(person: DirectPerson, route: RouteCertificate, signal: AbortSignal): Promise<Duplex> {
  const { link } = await person.dial(route, 'tcp', signal)
  return link.stream
}
