// The races of a session's ends with each other and with everything else that happens to it. fast-check's scheduler decides the
// order of every step of the store, of the audit log and of what is done; each order is checked against the same rules.
import fc from 'fast-check'
import type { Kysely } from 'kysely'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { SessionEnded, type AuditEntry, type EndedSession } from '../../server/seams.ts'
import type { SessionLease, Sessions } from '../../server/sessions/sessions.ts'
import type { Tables } from '../../server/store/schema.ts'
import { SESSION_END_REASONS, type SessionEndReason } from '../../shared/session-api.ts'
import { PosternError } from '../../shared/errors.ts'
import { openScheduledStore, type StoreSteps } from '../support/scheduled-store.ts'
import { limited, newSessionOwner } from '../support/session-owner.ts'

const ACTIONS = [
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
] as const
type Action = (typeof ACTIONS)[number]

const steps: StoreSteps = { step: () => Promise.resolve(), refusals: 0, onCommit: () => undefined }
let db: Kysely<Tables>
beforeAll(async () => {
  db = await openScheduledStore(steps)
})
afterAll(() => db.destroy())

let runs = 0

/** One session, what happens to it, and what was seen of it. */
class Race {
  readonly #scheduler: fc.Scheduler
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

  constructor(scheduler: fc.Scheduler) {
    this.#scheduler = scheduler
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
      // The server stops, or the store refuses: there is no session then. Nothing else keeps a connection out.
      expect((error as Error).message).toMatch(/^the access server is shutting down|^the store refuses/)
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
        steps.refusals++
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
    steps.refusals = 0
    await this.#scheduler.waitFor(this.#sessions.reap())
    if (!actions.includes('stop the server')) await this.#scheduler.waitFor(this.#requireRoom())
    await this.#scheduler.waitIdle()
    steps.step = () => Promise.resolve()
    await this.#check()
  }

  /** Whatever has happened: the route's next connection finds a session, or gets a new one. */
  async #requireRoom(): Promise<void> {
    const lease = await this.#sessions.open(this.#route, '127.0.0.1:2')
    expect(lease.session.signal.aborted).toBe(false)
    expect(this.#sessions.live().map(({ sessionId }) => sessionId)).toEqual([lease.session.id])
    this.#leases.push(lease)
  }

  async #check(): Promise<void> {
    const rows = await db.selectFrom('sessions').selectAll().where('route_id', '=', this.#id).execute()
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

const pairs = ACTIONS.flatMap((one, index) => ACTIONS.slice(index).map((other) => [one, other] as const))

it.each(pairs)('S1, S5: %s while: %s', async (one, other) => {
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), async (scheduler) => {
      await new Race(scheduler).run([one, other])
    }),
    { numRuns: 15 },
  )
})

it('S1, S3, S5, S9: any six at once, in any order', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      fc.array(fc.constantFrom(...ACTIONS), { minLength: 3, maxLength: 6 }),
      async (scheduler, actions) => {
        await new Race(scheduler).run(actions)
      },
    ),
    { numRuns: 300 },
  )
})
