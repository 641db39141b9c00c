// kill -9 of the access server at random moments under load, and what has to be so after each restart (S9, R5): every session that a
// client was let into is on record, begun once; every session is ended with a reason and one record of it; and whatever an answer or a
// preamble said has happened is in the audit log. Real processes: server, core, gateways, psql, PostgreSQL; what counts is what clients
// of this process were told, and what the core's log says of psql. Used by a test and a bench.
import { createConnection } from 'node:net'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'
import type { DialedRoute } from '../../client/cluster/dial.ts'
import type { Cluster } from '../../client/cluster/address.ts'
import { EndSessionResponse } from '../../shared/session-api.ts'
import { ADMIN, ALICE, psql, startCluster, type OpenGateway, type TestCluster } from './cluster.ts'
import { DirectPerson, trustOf, type RouteCertificate } from './direct-person.ts'
import { TcpService } from './tcp-service.ts'

/** The kill comes once the load has had so many answers at most, or after that time, and then at a random moment. */
const KILL_AFTER = { acknowledged: 40, atMostMs: 4000, thenMs: 100 }
/** How long one step of a load may take; the server is killed under most of them, in ms. */
const STEP_DEADLINE_MS = 60_000
/** Logins at once that come and go. */
const PEOPLE = 4
/** Beside them. */
const ADMINISTRATOR = -1
/** Loses a role and gets it again. */
const UNLUCKY = -2
/** How a session of the load is ended, as often as it stands here. */
const WAYS = [
  'close',
  'close',
  'close',
  'close',
  'cancel',
  'cancel',
  'terminate',
  'terminate',
  'terminate',
  'logout',
] as const
const CAROL = { name: 'carol', password: 'correct horse carol' }
const DAVE = { name: 'dave', password: 'correct horse dave' }

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
kind: user
name: ${DAVE.name}
password: ${DAVE.password}
---
{ kind: grant, user: ${CAROL.name}, role: echo }
---
{ kind: grant, user: ${ALICE.name}, role: echo }`

/** Something that the server has said, and the event that must be there for it. */
type Acknowledged = { event: string; key: string; reason?: string }

type AuditRow = { seq: number; event: string; login_id: string | null; session_id: string | null; detail: string }
type SessionRow = { id: string; state: string; end_reason: string | null; ended_by: string | null }

export class CrashRounds {
  readonly acknowledged: Record<string, number> = {}
  /** How many sessions clients were let into. */
  get begun(): number {
    return this.#begun.size
  }
  readonly problems: string[] = []
  /** From the kill to the ready line of the next server, in ms. */
  readonly backAfterMs: number[] = []
  rounds = 0
  readonly #cluster: TestCluster
  readonly #service: TcpService
  readonly #trust: Cluster
  readonly #gateways: { orders: OpenGateway; echo: OpenGateway }
  readonly #home: string
  readonly #random: () => number
  /** What was said since the last check. */
  #said: Acknowledged[] = []
  /** Keys of all events that were seen, by event. */
  readonly #seen = new Map<string, Map<string, string[]>>()
  readonly #people = new Map<number, DirectPerson>()
  readonly #told = new Set<string>()
  /** Sessions that clients were let into: the preamble named them, to this process or to the core. */
  readonly #begun = new Set<string>()
  #lastSeq = 0
  #changes = 0

  private constructor(parts: {
    cluster: TestCluster
    service: TcpService
    trust: Cluster
    gateways: { orders: OpenGateway; echo: OpenGateway }
    home: string
    random: () => number
  }) {
    this.#cluster = parts.cluster
    this.#service = parts.service
    this.#trust = parts.trust
    this.#gateways = parts.gateways
    this.#home = parts.home
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
    return new CrashRounds({ cluster, service, trust: await trustOf(cluster), gateways, home, random })
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
      this.#loop(over.signal, (signal) => this.#loseRole(signal)),
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
    await this.#readCoreLog()
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
    const carol = await this.#person(who, CAROL, signal)
    const route = await carol.route('echo', 'tcp', 'tcp', signal)
    for (let isOver = false; !isOver;) {
      const dialed = await carol.dial(route, 'tcp', signal)
      this.#say('session.start', dialed.sessionId)
      try {
        await echo(dialed, signal)
        const way = WAYS[Math.floor(this.#random() * WAYS.length)] ?? 'close'
        isOver = way === 'logout'
        if (isOver) this.#people.delete(who)
        const reason = await this.#end(way, carol, route, dialed.sessionId, signal)
        if (isOver) this.#say('login.ended', carol.loginId)
        this.#say('session.end', dialed.sessionId, reason)
        await this.#requireCutOff(dialed, `the session was ended (${way})`, signal)
      } finally {
        dialed.link.destroy()
        await dialed.link.closed
      }
    }
  }

  /** Asks for the end of a session; the reason that it then has, as the answer says. */
  async #end(
    way: (typeof WAYS)[number],
    person: DirectPerson,
    route: RouteCertificate,
    sessionId: string,
    signal: AbortSignal,
  ): Promise<string> {
    switch (way) {
      case 'close': {
        const path = `/v1/routes/${route.identity.routeId}/close`
        await person.call({ method: 'POST', path }, z.object({ sessionId: z.string() }), signal)
        return 'closed'
      }
      case 'logout':
        await person.call({ method: 'POST', path: '/v1/logout', body: {} }, z.object({}), signal)
        return 'revoked'
      case 'cancel':
      case 'terminate': {
        const who = way === 'cancel' ? person : await this.#person(ADMINISTRATOR, ADMIN, signal)
        const { reason } = await who.call(
          { method: 'POST', path: `/v1/sessions/${sessionId}/end`, body: {} },
          EndSessionResponse,
          signal,
        )
        if (reason !== (way === 'cancel' ? 'cancelled' : 'terminated'))
          this.#problem(`session ${sessionId} was to be ended (${way}) and is ${reason}`)
        return reason
      }
    }
  }

  /** Dave has a role and a session on it; the role is taken away from him, which ends it. */
  async #loseRole(signal: AbortSignal): Promise<void> {
    const admin = await this.#person(ADMINISTRATOR, ADMIN, signal)
    const documents = [{ kind: 'grant', user: DAVE.name, role: 'echo' }]
    await admin.call({ method: 'POST', path: '/v1/admin/apply', body: { documents } }, z.object({}), signal)
    const dave = await this.#person(UNLUCKY, DAVE, signal)
    const dialed = await dave.dial(await dave.route('echo', 'tcp', 'tcp', signal), 'tcp', signal)
    this.#say('session.start', dialed.sessionId)
    try {
      await echo(dialed, signal)
      await admin.call({ method: 'DELETE', path: `/v1/admin/grants/${DAVE.name}/echo` }, z.object({}), signal)
      this.#say('session.end', dialed.sessionId, 'revoked')
      await this.#requireCutOff(dialed, 'its role was taken away', signal)
    } finally {
      dialed.link.destroy()
      await dialed.link.closed
    }
  }

  /** Once the answer says that a session has ended, its connection is cut off without anybody's doing. */
  async #requireCutOff({ link, sessionId }: DialedRoute, why: string, signal: AbortSignal): Promise<void> {
    const isOver = await Promise.race([link.closed.then(() => true), once(signal, 'abort').then(() => false)])
    // Under a kill nobody knows; else the step's own time was up.
    if (!isOver && signal.reason instanceof DOMException)
      this.#problem(`${why}, and the connection of ${sessionId} lives`)
  }

  /** Logged in; a login of an earlier round goes on: the server knows it again. */
  async #person(who: number, person: { name: string; password: string }, signal: AbortSignal): Promise<DirectPerson> {
    const known = this.#people.get(who)
    if (known) return known
    const fresh = await DirectPerson.logIn(this.#trust, person, signal)
    this.#say('login.succeeded', fresh.loginId)
    this.#people.set(who, fresh)
    return fresh
  }

  /** A role more, and one more. */
  async #administer(signal: AbortSignal): Promise<void> {
    const admin = await this.#person(ADMINISTRATOR, ADMIN, signal)
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

  #say(event: string, key: string, reason?: string): void {
    if (event === 'session.start') this.#begun.add(key)
    this.#said.push({ event, key, ...(reason === undefined ? {} : { reason }) })
    const what = reason === undefined ? event : `${event} ${reason}`
    this.acknowledged[what] = (this.acknowledged[what] ?? 0) + 1
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
      for (const { event, key, reason } of this.#said.splice(0)) {
        const reasons = this.#seen.get(event)?.get(key)
        if (!reasons) this.#problem(`${event} of ${key} was acknowledged and is not in the log`)
        else if (reason !== undefined && !reasons.includes(reason))
          this.#problem(`${event} of ${key} was acknowledged as ${reason}, and the log has [${reasons.join(', ')}]`)
      }
      const rows = database.prepare('select id, state, end_reason, ended_by from sessions').all() as SessionRow[]
      for (const row of rows) this.#checkSession(row)
      this.#checkStarts(new Map(rows.map((row) => [row.id, row])))
    } finally {
      database.close()
    }
  }

  /** Where psql got in, and whoever else came through a gateway. */
  async #readCoreLog(): Promise<void> {
    const log = await readFile(join(this.#home, 'core.log'), 'utf8')
    for (const [, id] of log.matchAll(/"session":"([0-9a-f-]{36})".*"msg":"connected"/g)) if (id) this.#begun.add(id)
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

  /** What a client was told has begun is on record, begun once; and nothing has an end that never was. */
  #checkStarts(rows: ReadonlyMap<string, SessionRow>): void {
    for (const id of this.#begun) {
      if (!rows.has(id)) this.#problem(`a client was let into session ${id}, and it is not on record`)
      const starts = this.#seen.get('session.start')?.get(id)?.length ?? 0
      if (starts !== 1) this.#problem(`a client was let into session ${id}, and the log has ${starts} starts of it`)
    }
    for (const event of ['session.start', 'session.active', 'session.end'])
      for (const [id, { length }] of this.#seen.get(event) ?? []) {
        if (!rows.has(id)) this.#problem(`${event} of ${id} is in the log, and there is no such session`)
        if (length > 1) this.#problem(`${event} of ${id} is in the log ${length} times`)
      }
  }

  /** No load runs between the restart and this, so a session that is not ended is one that was forgotten. */
  #checkSession({ id, state, end_reason: reason, ended_by: by }: SessionRow): void {
    const records = this.#seen.get('session.end')?.get(id) ?? []
    if (state !== 'ended') this.#problem(`session ${id} is ${state} after the restart`)
    if (state === 'ended' && reason === null) this.#problem(`session ${id} ended without a reason`)
    if (state === 'ended' && (records.length !== 1 || records[0] !== reason))
      this.#problem(`session ${id} ended as ${String(reason)}, its records are [${records.join(', ')}]`)
    const isAsked = reason === 'cancelled' || reason === 'terminated'
    if (isAsked && (by === null || !this.#seen.get('session.end.asked')?.has(id)))
      this.#problem(`session ${id} is ${reason}, and the log does not say who asked for it`)
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
