// R5: every filter of the search on both stores, pages without a gap or a double while it is written, and retention.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import fc from 'fast-check'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pino from 'pino'
import { createAuditLog, type OwnedAuditLog } from '../../server/audit/audit-log.ts'
import { createAuditReader } from '../../server/audit/audit-reader.ts'
import { keepRetention, prune } from '../../server/audit/retention.ts'
import type { AuditEntry, AuditReader } from '../../server/seams.ts'
import { openStore, type Store } from '../../server/store/store.ts'
import type { AuditEvent } from '../../shared/audit-api.ts'
import { startPostgresStore, type PostgresStore } from '../server/support/postgres-store.ts'
import { until } from '../support/run.ts'

const log = pino({ level: 'silent' })
const never = new AbortController().signal
const START = Date.parse('2026-11-22T10:00:00.000Z')
const DAY_MS = 86_400_000

let postgres: PostgresStore
beforeAll(async () => {
  postgres = await startPostgresStore()
})
afterAll(() => postgres.stop())

describe.each(['sqlite', 'postgres'] as const)('R5: the audit log on %s', (kind) => {
  let directory: string
  let store: Store
  let audit: OwnedAuditLog
  let reader: AuditReader
  let nowMs: number
  const now = () => new Date(nowMs)

  beforeEach(async (context) => {
    directory = await mkdtemp(join(tmpdir(), 'postern-audit-'))
    store = await openStore(
      kind === 'sqlite'
        ? { kind, file: join(directory, 'store.sqlite') }
        : { kind, url: await postgres.newDatabase(`audit_${context.task.id.replaceAll(/\W/g, '')}`) },
    )
    nowMs = START
    audit = createAuditLog({ db: store.db, now, log })
    reader = createAuditReader({ db: store.db, audit })
  })
  afterEach(async () => {
    await audit.close().catch(() => undefined)
    await store.close()
    await rm(directory, { recursive: true, force: true })
  })

  const find = async (query: object): Promise<AuditEvent[]> =>
    (await reader.query({ limit: 1000, waitSeconds: 0, ...query }, never)).events

  it('R5: every combination of filters finds exactly what it says', async () => {
    const pick = <T>(...values: T[]) => fc.constantFrom(...values)
    const some = {
      user: pick('alice', 'bob'),
      login: pick('l-1', 'l-2'),
      session: pick('s-1', 's-2'),
      resource: pick('orders', 'cache'),
      account: pick('reader', 'writer'),
    }
    const entries = fc.sample(
      fc.record({ event: pick('statement.query', 'statement.copy', 'session.start', 'login.failed'), ...some }),
      { numRuns: 150, seed: 1 },
    )
    for (const entry of entries) {
      nowMs += 1000
      audit.record(entry as AuditEntry)
    }
    const all = await find({})
    expect(all).toHaveLength(150)
    const filter = fc.record(
      {
        ...some,
        event: pick('statement', 'statement.query', 'login.failed', 'state', '%'),
        since: fc.integer({ min: 0, max: 151 }).map((n) => new Date(START + n * 1000).toISOString()),
        until: fc.integer({ min: 0, max: 151 }).map((n) => new Date(START + n * 1000).toISOString()),
      },
      { requiredKeys: [] },
    )
    await fc.assert(
      fc.asyncProperty(filter, async (query) => {
        const { event, since, until: before, ...fields } = query
        const expected = all.filter(
          (one) =>
            Object.entries(fields).every(([name, value]) => one[name as 'user'] === value) &&
            (event === undefined || one.event === event || one.event.startsWith(`${event}.`)) &&
            (since === undefined || one.time >= since) &&
            (before === undefined || one.time < before),
        )
        expect(await find(query)).toEqual(expected)
        expect(await find({ ...query, after: 40 })).toEqual(expected.filter(({ seq }) => seq > 40))
        expect(await find({ ...query, limit: 7 })).toEqual(expected.slice(-7))
        expect(await find({ ...query, limit: 7, after: 40 })).toEqual(
          expected.filter(({ seq }) => seq > 40).slice(0, 7),
        )
      }),
      { numRuns: 60 },
    )
  })

  it('R5: a follower of rare events gets each once, in order, while thousands of others are written', async () => {
    const seen: number[] = []
    const leave = new AbortController()
    const following = (async () => {
      for (let after = 0; !leave.signal.aborted;) {
        const page = await reader.query({ event: 'login', after, limit: 3, waitSeconds: 20 }, leave.signal)
        expect(page.upTo).toBeGreaterThanOrEqual(after)
        seen.push(...page.events.map(({ detail }) => Number(detail['n'])))
        after = page.upTo
      }
    })()
    for (let n = 0; n < 60; n++) {
      for (let other = 0; other < 50; other++) audit.record({ event: 'statement.query' })
      audit.record({ event: 'login.failed', detail: { n } })
      await audit.flush()
    }
    await until(() => Promise.resolve(seen.length >= 60), 'the follower has seen all', 30_000)
    leave.abort()
    await following
    expect(seen).toEqual(Array.from({ length: 60 }, (_, n) => n))
  })

  it('R5: an answer stays small, whatever the statements are, and says that there is more', async () => {
    for (let n = 0; n < 40; n++) audit.record({ event: 'statement.query', detail: { n, sql: 'x'.repeat(65_536) } })
    const seen: unknown[] = []
    for (let after = 0, more = true; more;) {
      const page = await reader.query({ after, limit: 1000, waitSeconds: 0 }, never)
      expect(page.events.length).toBeLessThan(10)
      seen.push(...page.events.map(({ detail }) => detail['n']))
      after = page.upTo
      more = page.more
    }
    expect(seen).toEqual(Array.from({ length: 40 }, (_, n) => n))
  })

  it('R5: retention deletes what is older, nothing younger, and says in the log what it did', async () => {
    for (let n = 0; n < 450; n++) audit.record({ event: 'statement.query', detail: { n } })
    nowMs = START + 1
    audit.record({ event: 'login.failed', detail: { n: 'just young enough' } })
    await audit.flush()
    nowMs = START + 90 * DAY_MS + 1
    const options = { db: store.db, audit, retentionMs: 90 * DAY_MS, now, log }
    expect(await prune(options, never)).toBe(450)
    expect(await find({})).toMatchObject([
      { event: 'login.failed', detail: { n: 'just young enough' } },
      { event: 'audit.pruned', detail: { before: '2026-11-22T10:00:00.001Z', deleted: 450, lastSeq: 450 } },
    ])
    expect(await prune(options, never)).toBe(0)
    expect(await find({ event: 'audit.pruned' })).toHaveLength(1)
  })

  it('R5: retention goes on by itself, outlives a store that fails, and ends when it is told to', async () => {
    audit.record({ event: 'login.failed' })
    await audit.flush()
    nowMs = START + DAY_MS
    const stop = keepRetention({ db: store.db, audit, retentionMs: 1000, now, log })
    await until(async () => (await find({ event: 'audit.pruned' })).length === 1, 'the old event is deleted', 20_000)
    await stop()
    await store.db.schema.alterTable('audit').renameTo('audit_away').execute()
    await keepRetention({ db: store.db, audit, retentionMs: 1000, now, log })()
    await store.db.schema.alterTable('audit_away').renameTo('audit').execute()
  })
})
