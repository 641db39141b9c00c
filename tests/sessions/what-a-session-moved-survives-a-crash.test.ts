// What live sessions have moved is kept in their rows now and then, on both stores: after a crash the record of a session has what was
// kept last, and an end writes its own.
import type { Kysely } from 'kysely'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Sessions } from '../../server/sessions/sessions.ts'
import type { Tables } from '../../server/store/schema.ts'
import { openStore } from '../../server/store/store.ts'
import { startPostgresStore, type PostgresStore } from '../server/support/postgres-store.ts'
import { limited, newSessionOwner } from '../support/session-owner.ts'
import { freshStore } from '../support/store.ts'

const MANY = 250
let postgres: PostgresStore
beforeAll(async () => {
  postgres = await startPostgresStore()
})
afterAll(() => postgres.stop())

const open = {
  sqlite: freshStore,
  postgres: async () => openStore({ kind: 'postgres', url: await postgres.newDatabase('kept') }),
}
const audit = { record: () => undefined, flush: () => Promise.resolve() }
const rowOf = (db: Kysely<Tables>, id: string) =>
  db
    .selectFrom('sessions')
    .select(['state', 'end_reason', 'connections_total', 'bytes_from_client', 'bytes_to_client', 'statements'])
    .select(['last_activity_at', 'last_statement_at'])
    .where('id', '=', id)
    .executeTakeFirstOrThrow()

async function begin(sessions: Sessions, route: string) {
  const lease = await sessions.open(limited({ routeId: route }), '127.0.0.1:1')
  await lease.session.markActive()
  return lease
}

describe.each(['sqlite', 'postgres'] as const)('on %s', (kind) => {
  it('S9, I1: a crash loses what moved since it was kept last, and nothing else', async () => {
    const store = await open[kind]()
    const { db } = store
    const sessions = newSessionOwner({ db, audit })
    const leases = []
    for (let at = 0; at < MANY; at++) leases.push(await begin(sessions, `r-${at}`))
    const [used, ended] = leases
    if (!used || !ended) throw new Error('no session')
    for (const [at, { progress, activity }] of leases.entries()) {
      progress.forward = 1000 + at
      progress.backward = 5_000_000_000 + at
      activity.statements = at
    }
    used.activity.lastStatementAtMs = Date.parse('2026-11-22T10:00:00.000Z')
    await sessions.keepCounts()
    expect(await rowOf(db, used.session.id)).toMatchObject({ state: 'active', connections_total: 1, statements: 0 })
    used.progress.forward = 7777
    ended.progress.forward = 8888
    await Promise.all([sessions.end(ended.session.id, 'cancelled'), sessions.keepCounts()])
    // Nobody keeps this any more.
    used.progress.forward = 9999

    const next = newSessionOwner({ db, audit })
    expect(await next.recover()).toBe(MANY - 1)
    const row = await rowOf(db, used.session.id)
    expect(row).toMatchObject({ state: 'ended', end_reason: 'restart', last_statement_at: '2026-11-22T10:00:00.000Z' })
    expect([row.bytes_from_client, row.bytes_to_client].map(Number)).toEqual([7777, 5_000_000_000])
    expect(Date.parse(row.last_activity_at ?? '')).toBeGreaterThan(Date.now() - 60_000)
    const cancelled = await rowOf(db, ended.session.id)
    expect([cancelled.end_reason, Number(cancelled.bytes_from_client)]).toEqual(['cancelled', 8888])
    const last = await rowOf(db, leases.at(-1)?.session.id ?? '')
    expect([Number(last.bytes_from_client), Number(last.statements)]).toEqual([1000 + MANY - 1, MANY - 1])
    await store.close()
  })
})
