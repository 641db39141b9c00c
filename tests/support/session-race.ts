// The model of a session's races: one session, everything that may happen to it at once, and the rules that hold in whatever order.
// fast-check's scheduler decides the order of every step of the store, of the audit log and of what is done. Used by the tests of
// races, on SQLite and on PostgreSQL.
import type fc from 'fast-check'
import type { Kysely } from 'kysely'
import { expect } from 'vitest'
import { SessionEnded, type AuditEntry, type EndedSession } from '../../server/seams.ts'
import type { SessionLease, Sessions } from '../../server/sessions/sessions.ts'
import type { Tables } from '../../server/store/schema.ts'
import { SESSION_END_REASONS, type SessionEndReason } from '../../shared/session-api.ts'
import { PosternError } from '../../shared/errors.ts'
import type { StoreSteps } from './scheduled-store.ts'
import { limited, newSessionOwner } from './session-owner.ts'

export const ACTIONS = [
  'cancel',
  'terminate',
  'logout',
  'remove the person',
  'lose the role',
  'grant runs out',
  'be idle',
  'close the gateway',
  'stop the server',
  'open again',
  'mark active',
  'release',
  'refuse a change',
  'lose an answer',
] as const
export type Action = (typeof ACTIONS)[number]

/** Every two of them, and each with itself. */
export const PAIRS = ACTIONS.flatMap((one, index) => ACTIONS.slice(index).map((other) => [one, other] as const))

/** What the races of one test run on. */
export type RaceStore = { db: Kysely<Tables>; steps: StoreSteps }

let runs = 0

/** One session, what happens to it, and what was seen of it. */
export class Race {
  readonly #scheduler: fc.Scheduler
  readonly #db: Kysely<Tables>
  readonly #steps: StoreSteps
  readonly #id = `run-${++runs}`
  readonly #events: AuditEntry[] = []
  readonly #told: EndedSession[] = []
  readonly #results: { sessionId: string; reason: SessionEndReason | null }[] = []
  readonly #leases: SessionLease[] = []
  /** By session: causes that were given before the record of an end began to commit. */
  readonly #inTime = new Map<string, SessionEndReason[]>()
  readonly #committing = new Set<string>()
  #isAllowed = true
  #isTold = true
  #ms = 0
  #nextId = 0
  readonly #sessions: Sessions
  readonly #route: ReturnType<typeof limited>

  constructor(scheduler: fc.Scheduler, { db, steps }: RaceStore) {
    this.#scheduler = scheduler
    this.#db = db
    this.#steps = steps
    steps.lostAnswers = 0
    steps.step = (what) => scheduler.schedule(Promise.resolve(), what)
    steps.refusals = 0
    // The transactions of these races are those that write an end: of a session that is ending by now.
    steps.onCommit = () => {
      for (const { session } of this.#leases) if (this.#isEnding(session.id)) this.#committing.add(session.id)
    }
    const route = { routeId: this.#id, loginId: `login-${this.#id}`, user: `user-${this.#id}` }
    this.#route = limited(route, { until: new Date(60_000), idleTimeoutMs: 1000 })
    this.#sessions = newSessionOwner({
      db,
      audit: {
        record: (entry) => void this.#events.push(entry),
        flush: () => scheduler.schedule(Promise.resolve(), 'flush'),
      },
      access: {
        authoriseRoute: async () => {
          await scheduler.schedule(Promise.resolve(), 'authorise')
          if (!this.#isAllowed) throw new PosternError('resource_denied', 'not any more')
          return {
            ...this.#route,
            limits: { ...this.#route.limits, until: null },
            resource: {} as never,
            databases: [],
          }
        },
      },
      control: {
        sessionEnded: (session) => void this.#told.push(session),
        accessChanged: () => (this.#isTold = true),
      },
      now: () => new Date(this.#ms),
      monotonicMs: () => this.#ms,
      newId: () => `${this.#id}-${++this.#nextId}`,
      recordTimeoutMs: 60_000,
    })
  }

  #isEnding(id: string): boolean {
    return !this.#sessions.live().some(({ sessionId }) => sessionId === id)
  }

  /** The cause counts for all that live or end now and have no committing record, or for the one that it is meant for. */
  #give(reason: SessionEndReason, only?: string): void {
    for (const lease of this.#leases) {
      const { id, signal } = lease.session
      if (only !== undefined && id !== only) continue
      if (signal.aborted || this.#committing.has(id)) continue
      const causes = this.#inTime.get(id) ?? []
      this.#inTime.set(id, [...causes, reason])
    }
  }

  async #end(sessionId: string, reason: SessionEndReason, by?: string): Promise<void> {
    this.#give(reason, sessionId)
    this.#results.push({ sessionId, reason: await this.#sessions.end(sessionId, reason, by) })
  }

  async open(): Promise<void> {
    try {
      this.#leases.push(await this.#sessions.open(this.#route, '127.0.0.1:1'))
    } catch (error) {
      // The server stops, or the store refuses or is cut off: there is no session then. Nothing else keeps a connection out.
      expect((error as Error).message).toMatch(/^the access server is shutting down|^the store /)
    }
  }

  async act(action: Action): Promise<void> {
    const [first] = this.#leases
    const sessionId = first?.session.id ?? 'none'
    switch (action) {
      case 'cancel':
        return this.#end(sessionId, 'cancelled', 'alice')
      case 'terminate':
        return this.#end(sessionId, 'terminated', 'root')
      case 'close the gateway':
        this.#give('closed')
        await this.#sessions.endRoute(this.#id, 'closed')
        return
      case 'logout':
        this.#give('revoked')
        return this.#sessions.endLogin(`login-${this.#id}`, 'revoked')
      case 'remove the person':
        this.#give('revoked')
        return this.#sessions.endUser(`user-${this.#id}`, 'revoked')
      case 'lose the role':
        this.#isAllowed = false
        return this.#sessions.endDisallowed()
      case 'grant runs out':
        this.#isAllowed = false
        this.#ms += 60_000
        for (const lease of this.#leases) lease.progress.forward++
        return this.#sessions.reap()
      case 'be idle':
        this.#ms += 1000
        return this.#sessions.reap()
      case 'stop the server':
        this.#give('restart')
        return this.#sessions.endAll()
      case 'open again':
        return this.open()
      case 'mark active':
        return first?.session.markActive().catch(() => undefined)
      case 'release':
        first?.release()
        return
      case 'refuse a change':
        this.#steps.refusals++
        return
      case 'lose an answer':
        this.#steps.lostAnswers++
        return
    }
  }

  /** All of it at once, in the order that the scheduler likes; then what the store refused is done again. */
  async run(actions: readonly Action[]): Promise<void> {
    await this.#scheduler.waitFor(this.open())
    const all = actions.map((action) =>
      this.#scheduler.schedule(Promise.resolve(), action).then(() => this.act(action)),
    )
    await this.#scheduler.waitFor(Promise.all(all))
    this.#steps.refusals = 0
    this.#steps.lostAnswers = 0
    await this.#scheduler.waitFor(this.#sessions.reap())
    if (!actions.includes('stop the server')) await this.#scheduler.waitFor(this.#requireRoom())
    await this.#scheduler.waitIdle()
    this.#steps.step = () => Promise.resolve()
    await this.#check()
  }

  /** Whatever has happened: the route's next connection finds a session, or gets a new one. */
  async #requireRoom(): Promise<void> {
    // What was taken away is given back: only who is allowed comes so far.
    this.#isAllowed = true
    const { route, limits } = this.#route
    const lease = await this.#sessions.open({ route, limits: { ...limits, until: null } }, '127.0.0.1:2')
    expect(lease.session.signal.aborted).toBe(false)
    expect(this.#sessions.live().map(({ sessionId }) => sessionId)).toEqual([lease.session.id])
    this.#leases.push(lease)
  }

  async #check(): Promise<void> {
    const rows = await this.#db.selectFrom('sessions').selectAll().where('route_id', '=', this.#id).execute()
    const living = this.#sessions.live().map(({ sessionId }) => sessionId)
    expect(living.length, 'at most one session of a route lives').toBeLessThanOrEqual(1)
    for (const row of rows) {
      const events = this.#events.filter(({ session }) => session === row.id)
      const ends = events.filter(({ event }) => event === 'session.end')
      const told = this.#told.filter(({ sessionId }) => sessionId === row.id)
      const signals = this.#leases.filter(({ session }) => session.id === row.id).map(({ session }) => session.signal)
      if (row.state !== 'ended') {
        expect(living, 'a row that is not over belongs to a living session').toContain(row.id)
        expect([ends, told, signals.filter(({ aborted }) => aborted)]).toEqual([[], [], []])
        continue
      }
      expect(living).not.toContain(row.id)
      expect(ends, 'one event of the end').toHaveLength(1)
      expect(told, 'told once').toHaveLength(1)
      const reasons = [
        row.end_reason,
        ends[0]?.detail?.['reason'],
        told[0]?.reason,
        ...signals.map(({ reason }) => (reason instanceof SessionEnded ? reason.reason : 'none')),
        ...this.#results.filter(({ sessionId }) => sessionId === row.id).map(({ reason }) => reason),
      ]
      expect(new Set(reasons), 'row, event, news, signals and callers have one reason').toHaveLength(1)
      for (const cause of this.#inTime.get(row.id) ?? [])
        expect(rankOf(row.end_reason), `no cause that came in time is stronger: ${cause}`).toBeLessThanOrEqual(
          rankOf(cause),
        )
      const names = events.map(({ event }) => event)
      expect(names.slice(names.indexOf('session.end') + 1), 'nothing is said of it after its end').toEqual([])
      expect(names.filter((name) => name === 'session.active').length).toBeLessThanOrEqual(1)
    }
    for (const id of living) expect(rows.map((row) => row.id)).toContain(id)
    expect(this.#isTold).toBe(true)
  }
}

const rankOf = (reason: string | null): number => SESSION_END_REASONS.indexOf(reason as SessionEndReason)
