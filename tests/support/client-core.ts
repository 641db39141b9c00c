// A client core in the test's own process, with a clock that the test moves, a fake access server it is logged in to, and
// hosts that record what they are told. Used by tests/client.
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createConnection, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { once } from 'node:events'
import { pino } from 'pino'
import { attachTo, type CoreConnection, type HostIntroduction } from '../../client/control/client.ts'
import { UNKNOWN_STEP } from '../../client/state-machine.ts'
import { startCore, type Core, type CoreOptions } from '../../client/core.ts'
import { controlSocketOf, prepareHome, type Home } from '../../client/home.ts'
import { defaultSettings, type Settings } from '../../client/settings.ts'
import type { EventName, EventPayload, GatewayView } from '../../shared/rpc.ts'
import { encodeStartupMessage } from '../../shared/wire/postgres/startup.ts'
import { FakeAccessServer, PASSWORD } from './fake-access-server.ts'
import { PATIENCE } from './patience.ts'
import { run, type Finished } from './run.ts'

/** A host whose events can be waited for. */
export class TestHost {
  readonly core: CoreConnection
  readonly #events: { event: EventName; payload: unknown }[] = []
  readonly #watchers = new Set<() => void>()

  constructor(core: CoreConnection) {
    this.core = core
    const names: EventName[] = [
      'login.requested',
      'login.updated',
      'login.closed',
      'login.needed',
      'gateway.changed',
      'notice',
      'state.patch',
      'sessions.updated',
    ]
    for (const event of names) {
      core.on(event, (payload) => {
        this.#events.push({ event, payload })
        for (const watch of [...this.#watchers]) watch()
      })
    }
  }

  all<E extends EventName>(event: E): EventPayload<E>[] {
    return this.#events.filter((one) => one.event === event).map((one) => one.payload as EventPayload<E>)
  }

  /** Waits for an event (also one that came already) that fits. */
  async next<E extends EventName>(
    event: E,
    fits: (payload: EventPayload<E>) => boolean = () => true,
    timeoutMs = 10_000,
  ): Promise<EventPayload<E>> {
    await waitUntil(
      () => this.all(event).some(fits),
      `event ${event}; came: ${JSON.stringify(this.#events)}`,
      timeoutMs,
      (watch) => {
        this.#watchers.add(watch)
        return () => void this.#watchers.delete(watch)
      },
    )
    return this.all(event).find(fits)!
  }

  forget(): void {
    this.#events.length = 0
  }
}

/** Waits for a condition, looking again when told to and every 10 ms (conditions of other processes tell nobody). */
export async function waitUntil(
  holds: () => boolean | Promise<boolean>,
  what: string,
  timeoutMs = 10_000,
  subscribe: (watch: () => void) => () => void = () => () => undefined,
): Promise<void> {
  const deadline = Date.now() + PATIENCE * timeoutMs
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`waited ${PATIENCE * timeoutMs} ms in vain for ${what}`)
    await new Promise<void>((resolve) => {
      const timer = setTimeout(done, 10)
      const unsubscribe = subscribe(done)
      function done(): void {
        clearTimeout(timer)
        unsubscribe()
        resolve()
      }
    })
  }
}

export type TestCoreOptions = {
  settings?: Partial<Settings>
  uid?: number
  /** The system that the core believes to be on. */
  platform?: NodeJS.Platform
  server?: FakeAccessServer
  home?: string
  keyStore?: CoreOptions['keyStore']
  controlTimings?: CoreOptions['controlTimings']
  after?: CoreOptions['after']
  openingDeadlineMs?: number
}

/** A core, a fake server, and everything that has to be closed. */
export class TestCore {
  readonly server: FakeAccessServer
  readonly home: Home
  readonly log: string[] = []
  /** Added to this machine's clock as the core sees it, in ms. */
  clockShiftMs = 0
  /** What the core asks from its next start on; undefined: as a terminal's core, none. */
  keyStore: CoreOptions['keyStore']
  core!: Core
  readonly #options: TestCoreOptions
  readonly #hosts: CoreConnection[] = []
  #socketPath = ''

  private constructor(server: FakeAccessServer, home: Home, options: TestCoreOptions) {
    this.server = server
    this.home = home
    this.#options = options
    this.keyStore = options.keyStore
  }

  static async start(options: TestCoreOptions = {}): Promise<TestCore> {
    const server = options.server ?? (await new FakeAccessServer().start())
    const dir = options.home ?? (await mkdtemp(join(tmpdir(), 'postern-client-')))
    const test = new TestCore(server, await prepareHome(dir, process.getuid?.()), options)
    await test.restart()
    return test
  }

  /** Starts the core of this home (again). */
  async restart(): Promise<void> {
    const uid = this.#options.uid ?? process.getuid?.()
    this.#socketPath = await controlSocketOf(this.home, process.getuid?.(), [tmpdir()])
    this.core = await startCore({
      home: this.home,
      socketPath: this.#socketPath,
      settings: { ...defaultSettings(), idleExit: 600_000, ...this.#options.settings },
      appVersion: '0.0.0-test',
      platform: this.#options.platform ?? process.platform,
      uid,
      keyStore: this.keyStore,
      controlTimings: this.#options.controlTimings,
      after: this.#options.after,
      openingDeadlineMs: this.#options.openingDeadlineMs,
      now: () => Date.now() + this.clockShiftMs,
      log: pino({ level: 'debug' }, { write: (line: string) => void this.log.push(line) }),
    })
  }

  async attach(introduction: Partial<HostIntroduction> = {}): Promise<TestHost> {
    const socket = createConnection(this.#socketPath)
    await once(socket, 'connect')
    const full = { kind: 'terminal' as const, canAsk: true, appVersion: 'test', ...introduction }
    const core = await attachTo(socket, full, AbortSignal.timeout(PATIENCE * 5000))
    this.#hosts.push(core)
    return new TestHost(core)
  }

  /** Makes the fake server known and logs alice in. */
  async login(host: TestHost): Promise<void> {
    await host.core.call('profile.add', { address: this.server.address, caPin: this.server.ca.fingerprint })
    await this.submit(host)
  }

  async submit(host: TestHost, requestId?: string, password = PASSWORD): Promise<void> {
    await host.core.call('login.submit', {
      user: 'alice',
      password,
      ...(requestId === undefined ? {} : { requestId }),
    })
  }

  async open(host: TestHost, resource = 'orders', keep: 'attached' | 'detached' = 'attached'): Promise<GatewayView> {
    return (await host.core.call('gateway.open', { resource, keep })).gateway
  }

  /** Moves the core's and the server's clock past the end of every login. */
  expire(): void {
    const hourMs = 3_600_000
    this.clockShiftMs += 2 * hourMs
    const shiftMs = this.clockShiftMs
    this.server.now = () => Date.now() + shiftMs
  }

  async close(): Promise<void> {
    await Promise.all(this.#hosts.map((host) => host.close()))
    await this.core.stop()
    await this.server.close()
    await rm(this.home.dir, { recursive: true, force: true, maxRetries: 10 })
    // In every test: no profile or gateway does what its machine does not know (D3).
    const unknown = this.log.filter((line) => line.includes(UNKNOWN_STEP))
    if (unknown.length > 0) throw new Error(unknown.join(''))
  }
}

/** One simple query through a gateway with real psql. */
export const psql = (gateway: { url: string }, sql = 'select 1'): Promise<Finished> =>
  run('psql', ['-X', '-A', '-t', '-w', '-c', sql, gateway.url], { timeoutMs: 30_000 })

/** A client that has sent its startup message and waits. */
export class RawClient {
  readonly socket: Socket
  received = Buffer.alloc(0)
  isEnded = false
  readonly closed: Promise<unknown>

  constructor(port: number) {
    this.socket = createConnection({ host: '127.0.0.1', port, allowHalfOpen: true })
    this.socket.on('data', (bytes: Buffer) => (this.received = Buffer.concat([this.received, bytes])))
    this.socket.on('end', () => (this.isEnded = true))
    this.socket.on('error', () => undefined)
    this.closed = new Promise((resolve) => this.socket.once('close', resolve))
  }

  static async connect(port: number, first: Buffer = startup()): Promise<RawClient> {
    const client = new RawClient(port)
    await once(client.socket, 'connect')
    client.socket.write(first)
    return client
  }

  /** The text of everything that came, for looking into. */
  get text(): string {
    return this.received.toString('latin1')
  }

  async ended(): Promise<this> {
    await waitUntil(() => this.isEnded || this.socket.destroyed, 'the end of a client connection')
    this.socket.destroy()
    return this
  }
}

export const startup = (database = 'orders', applicationName = 'raw client'): Buffer =>
  encodeStartupMessage(
    new Map([
      ['user', 'reader'],
      ['database', database],
      ['application_name', applicationName],
    ]),
  )

export const writeFileText = (path: string, text: string): Promise<void> => writeFile(path, text)
export const freshDirectory = (): Promise<string> =>
  mkdtemp(join(tmpdir(), `postern-${randomBytes(2).toString('hex')}-`))
