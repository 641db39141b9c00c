// kill -9 of the access server at random moments under load, and what has to be so after each restart (S9, R5): every session is ended
// with a reason and one record of it, and whatever an answer or a preamble said has happened is in the audit log. Real processes:
// server, core, gateways, psql, PostgreSQL; the answers that count are those to clients of this process. Used by a test and a bench.
import { createConnection } from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'
import type { DialedRoute } from '../../client/cluster/dial.ts'
import type { Cluster } from '../../client/cluster/address.ts'
import { ADMIN, ALICE, psql, startCluster, type OpenGateway, type TestCluster } from './cluster.ts'
import { DirectPerson, trustOf } from './direct-person.ts'
import { TcpService } from './tcp-service.ts'

/** The kill comes once the load has had so many answers at most, or after that time, and then at a random moment. */
const KILL_AFTER = { acknowledged: 40, atMostMs: 4000, thenMs: 100 }
/** How long one step of a load may take; the server is killed under most of them, in ms. */
const STEP_DEADLINE_MS = 20_000
/** Logins at once that come and go. */
const PEOPLE = 4
/** Beside them. */
const ADMINISTRATOR = -1
/** Of the sessions, those that a logout ends. */
const LOGOUT_SHARE = 0.1
const CAROL = { name: 'carol', password: 'correct horse carol' }

const documents = (port: number): string => `kind: resource
name: echo
protocol: tcp
address: 127.0.0.1:${port}
accounts: [{ name: tcp }]
---
kind: role
name: echo
allow: [{ resources: [echo], accounts: [tcp] }]
---
kind: user
name: ${CAROL.name}
password: ${CAROL.password}
---
{ kind: grant, user: ${CAROL.name}, role: echo }
---
{ kind: grant, user: ${ALICE.name}, role: echo }`

/** Something that the server has said, and the event that must be there for it. */
type Acknowledged = { event: string; key: string }

type AuditRow = { seq: number; event: string; login_id: string | null; session_id: string | null; detail: string }
type SessionRow = { id: string; state: string; end_reason: string | null }

export class CrashRounds {
  readonly acknowledged: Record<string, number> = {}
  readonly problems: string[] = []
  /** From the kill to the ready line of the next server, in ms. */
  readonly backAfterMs: number[] = []
  rounds = 0
  readonly #cluster: TestCluster
  readonly #service: TcpService
  readonly #trust: Cluster
  readonly #gateways: { orders: OpenGateway; echo: OpenGateway }
  readonly #random: () => number
  /** What was said since the last check. */
  #said: Acknowledged[] = []
  /** Keys of all events that were seen, by event. */
  readonly #seen = new Map<string, Map<string, string[]>>()
  readonly #people = new Map<number, DirectPerson>()
  readonly #told = new Set<string>()
  #lastSeq = 0
  #changes = 0

  private constructor(parts: {
    cluster: TestCluster
    service: TcpService
    trust: Cluster
    gateways: { orders: OpenGateway; echo: OpenGateway }
    random: () => number
  }) {
    this.#cluster = parts.cluster
    this.#service = parts.service
    this.#trust = parts.trust
    this.#gateways = parts.gateways
    this.#random = parts.random
  }

  /** @param random from 0 to 1 */
  static async start(random: () => number): Promise<CrashRounds> {
    const service = await new TcpService().start()
    const cluster = await startCluster({
      settings: 'loginLimits: { perUserPerMinute: 10000, perAddressPerMinute: 100000 }',
    })
    await cluster.apply(documents(service.port))
    const home = await cluster.newHome()
    await cluster.login(home)
    const gateways = { orders: await cluster.open(home, 'orders'), echo: await cluster.open(home, 'echo') }
    return new CrashRounds({ cluster, service, trust: await trustOf(cluster), gateways, random })
  }

  async close(): Promise<void> {
    await this.#cluster.close()
    await this.#service.stop()
  }

  /** Load, kill, restart, look. */
  async round(): Promise<void> {
    const over = new AbortController()
    const loads = [
      ...Array.from({ length: PEOPLE }, (_, who) => this.#loop(over.signal, (signal) => this.#comeAndGo(who, signal))),
      this.#loop(over.signal, (signal) => this.#administer(signal)),
      this.#loop(over.signal, () => this.#query()),
      this.#loop(over.signal, () => this.#echoThroughGateway()),
    ]
    const enough = Math.ceil(this.#random() * KILL_AFTER.acknowledged)
    const until = performance.now() + KILL_AFTER.atMostMs
    while (this.#said.length < enough && performance.now() < until) await delay(5)
    await delay(this.#random() * KILL_AFTER.thenMs)
    const killedAt = performance.now()
    const server = this.#cluster.server()
    server.child.kill('SIGKILL')
    over.abort(new Error('the server was killed'))
    await Promise.all([server.ended, ...loads])
    await this.#cluster.startServer()
    this.backAfterMs.push(performance.now() - killedAt)
    this.rounds += 1
    this.#check()
  }

  /** The steps of a load, one after the other; that a step fails under a killed server is what the round is for. */
  async #loop(over: AbortSignal, step: (signal: AbortSignal) => Promise<void>): Promise<void> {
    while (!over.aborted) {
      await step(AbortSignal.any([over, AbortSignal.timeout(STEP_DEADLINE_MS)])).catch((error: unknown) => {
        // A refusal of a living server is none of the crash's.
        if (!over.aborted && !isBrokenOff(error)) this.#problem(`a step failed: ${String(error)}`)
        return over.aborted ? undefined : delay(20)
      })
    }
  }

  /** A login with sessions that begin and end by closing their route, until a logout ends the last one with it. */
  async #comeAndGo(who: number, signal: AbortSignal): Promise<void> {
    // A login of an earlier round goes on: the server knows it again.
    const carol = this.#people.get(who) ?? (await DirectPerson.logIn(this.#trust, CAROL, signal))
    if (!this.#people.has(who)) this.#say('login.succeeded', carol.loginId)
    this.#people.set(who, carol)
    const route = await carol.route('echo', 'tcp', 'tcp', signal)
    for (let isOver = false; !isOver;) {
      const dialed = await carol.dial(route, 'tcp', signal)
      this.#say('session.start', dialed.sessionId)
      try {
        await echo(dialed, signal)
        isOver = this.#random() < LOGOUT_SHARE
        if (isOver) {
          this.#people.delete(who)
          await carol.call({ method: 'POST', path: '/v1/logout', body: {} }, z.object({}), signal)
          this.#say('login.ended', carol.loginId)
        } else {
          const path = `/v1/routes/${route.identity.routeId}/close`
          await carol.call({ method: 'POST', path }, z.object({ sessionId: z.string() }), signal)
        }
        this.#say('session.end', dialed.sessionId)
      } finally {
        dialed.link.destroy()
        await dialed.link.closed
      }
    }
  }

  /** A role more, and one more. */
  async #administer(signal: AbortSignal): Promise<void> {
    const admin = this.#people.get(ADMINISTRATOR) ?? (await DirectPerson.logIn(this.#trust, ADMIN, signal))
    if (!this.#people.has(ADMINISTRATOR)) this.#say('login.succeeded', admin.loginId)
    this.#people.set(ADMINISTRATOR, admin)
    while (!signal.aborted) {
      const name = `role-${++this.#changes}`
      const body = { documents: [{ kind: 'role', name, allow: [] }] }
      await admin.call({ method: 'POST', path: '/v1/admin/apply', body }, z.object({}), signal)
      this.#say('admin.change', name)
    }
  }

  /** Real psql through the gateway; the server may go under it. */
  async #query(): Promise<void> {
    await psql(this.#gateways.orders.url, ['-c', 'select count(*) from orders'])
  }

  async #echoThroughGateway(): Promise<void> {
    const socket = createConnection({ host: '127.0.0.1', port: this.#gateways.echo.port })
    socket.on('error', () => undefined)
    const closed = once(socket, 'close')
    socket.write('ping')
    socket.once('data', () => socket.end())
    await closed
  }

  #say(event: string, key: string): void {
    this.#said.push({ event, key })
    this.acknowledged[event] = (this.acknowledged[event] ?? 0) + 1
  }

  /** Told once, in the round in which it first shows. */
  #problem(text: string): void {
    if (!this.#told.has(text)) this.problems.push(`round ${this.rounds}: ${text}`)
    this.#told.add(text)
  }

  #check(): void {
    const database = new DatabaseSync(join(this.#cluster.directory, 'server', 'postern.sqlite'), { readOnly: true })
    try {
      this.#readAudit(database)
      for (const { event, key } of this.#said.splice(0))
        if (!this.#seen.get(event)?.has(key)) this.#problem(`${event} of ${key} was acknowledged and is not in the log`)
      const rows = database.prepare('select id, state, end_reason from sessions').all() as SessionRow[]
      for (const row of rows) this.#checkSession(row)
    } finally {
      database.close()
    }
  }

  #readAudit(database: DatabaseSync): void {
    const rows = database
      .prepare('select seq, event, login_id, session_id, detail from audit where seq > ? order by seq')
      .all(this.#lastSeq) as AuditRow[]
    for (const row of rows) {
      const detail = JSON.parse(row.detail) as { name?: string; reason?: string }
      const key =
        row.event === 'admin.change' ? detail.name : row.event.startsWith('login') ? row.login_id : row.session_id
      const keys = this.#seen.get(row.event) ?? new Map<string, string[]>()
      this.#seen.set(row.event, keys)
      if (key) keys.set(key, [...(keys.get(key) ?? []), detail.reason ?? ''])
      this.#lastSeq = row.seq
    }
  }

  /** No load runs between the restart and this, so a session that is not ended is one that was forgotten. */
  #checkSession({ id, state, end_reason: reason }: SessionRow): void {
    const records = this.#seen.get('session.end')?.get(id) ?? []
    if (state !== 'ended') this.#problem(`session ${id} is ${state} after the restart`)
    if (state === 'ended' && reason === null) this.#problem(`session ${id} ended without a reason`)
    if (state === 'ended' && (records.length !== 1 || records[0] !== reason))
      this.#problem(`session ${id} ended as ${String(reason)}, its records are [${records.join(', ')}]`)
  }
}

/** Refused connections, resets and deadlines: what a client sees of a server that dies. */
const isBrokenOff = (error: unknown): boolean =>
  error instanceof Error &&
  'code' in error &&
  ['server_unreachable', 'ECONNRESET', 'EPIPE'].includes(String(error.code))

async function echo({ link }: DialedRoute, signal: AbortSignal): Promise<void> {
  link.stream.write('ping')
  await Promise.race([once(link.stream, 'data', { signal }), link.closed])
}
