// The audit log on a real store: order, batches, search, live followers, and a store that refuses for a while. Through the
// connection that everybody uses, and by the thread that writes for a SQLite store.
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import pino from 'pino'
import { createAuditLog, type OwnedAuditLog } from '../../server/audit/audit-log.ts'
import { createAuditReader } from '../../server/audit/audit-reader.ts'
import { createSqliteRowWriter } from '../../server/audit/sqlite-row-writer.ts'
import type { AuditReader } from '../../server/seams.ts'
import { freshStore } from '../support/store.ts'

const log = pino({ level: 'silent' })
const never = new AbortController().signal
let store: Awaited<ReturnType<typeof freshStore>>
let audit: OwnedAuditLog
let reader: AuditReader

describe.each(['through the store', 'by a thread'] as const)('audit log, written %s', (how) => {
  beforeEach(async () => {
    store = await freshStore()
    const writer = how === 'by a thread' ? { writer: createSqliteRowWriter(store.file) } : {}
    audit = createAuditLog({ db: store.db, now: () => new Date(), log, ...writer })
    reader = createAuditReader({ db: store.db, audit })
  })
  afterEach(async () => {
    await audit.close().catch(() => undefined)
    await store.close()
  })

  it('R5: keeps the order of thousands of entries over many batches', async () => {
    for (let n = 0; n < 2500; n++) audit.record({ event: 'statement.query', detail: { n } })
    const { events } = await reader.query({ limit: 1000, after: 0, waitSeconds: 0 }, never)
    expect(events.map((event) => event.detail['n'])).toEqual(Array.from({ length: 1000 }, (_, n) => n))
    const last = await reader.query({ limit: 3, waitSeconds: 0 }, never)
    expect(last.events.map((event) => event.detail['n'])).toEqual([2497, 2498, 2499])
  })

  it('R5: is searched by person, session, resource, time, and by event or its family', async () => {
    audit.record({ event: 'login.succeeded', user: 'alice' })
    audit.record({ event: 'statement.query', user: 'alice', session: 's-1', resource: 'orders' })
    audit.record({ event: 'statement.execute', user: 'bob', session: 's-2', resource: 'analytics' })
    const names = async (filter: object) =>
      (await reader.query({ limit: 100, waitSeconds: 0, ...filter }, never)).events.map((event) => event.event)
    expect(await names({ user: 'alice' })).toEqual(['login.succeeded', 'statement.query'])
    expect(await names({ session: 's-2' })).toEqual(['statement.execute'])
    expect(await names({ resource: 'orders' })).toEqual(['statement.query'])
    expect(await names({ event: 'statement' })).toEqual(['statement.query', 'statement.execute'])
    expect(await names({ event: 'statement.query' })).toEqual(['statement.query'])
    expect(await names({ event: '%' })).toEqual([])
    expect(await names({ since: new Date(Date.now() + 60_000).toISOString() })).toEqual([])
  })

  it('R5: a follower gets the next event when it happens, and nothing when it leaves', async () => {
    const waiting = reader.query({ limit: 10, after: 0, waitSeconds: 20, event: 'login' }, never)
    audit.record({ event: 'server.start' })
    await audit.flush()
    audit.record({ event: 'login.failed', user: 'mallory' })
    expect(await waiting).toMatchObject({ events: [{ event: 'login.failed', user: 'mallory' }], upTo: 2, more: false })
    const leave = new AbortController()
    const left = reader.query({ limit: 10, after: 2, waitSeconds: 20 }, leave.signal)
    leave.abort()
    expect((await left).events).toEqual([])
  })

  it('R1: a store that refuses loses nothing: entries wait and are written once it takes them again', async () => {
    await store.db.schema.alterTable('audit').renameTo('audit_away').execute()
    audit.record({ event: 'login.succeeded', user: 'alice' })
    await expect(audit.flush()).rejects.toThrow()
    audit.record({ event: 'login.succeeded', user: 'bob' })
    await store.db.schema.alterTable('audit_away').renameTo('audit').execute()
    await audit.flush()
    expect((await reader.query({ limit: 10, waitSeconds: 0 }, never)).events.map((event) => event.user)).toEqual([
      'alice',
      'bob',
    ])
  })

  it('R5: says when it cannot keep up, and when it can again', async () => {
    expect(audit.room()).toBeUndefined()
    for (let n = 0; n < 20_000; n++) audit.record({ event: 'statement.query', detail: { n } })
    const room = audit.room()
    expect(room).toBeInstanceOf(Promise)
    await room
    expect(audit.room()).toBeUndefined()
    const { events } = await reader.query({ limit: 1, waitSeconds: 0 }, never)
    const [last] = events
    expect(last).toMatchObject({ seq: 20_000, detail: { n: 19_999 } })
  })

  it('R5: transactions of the store that read before they write are not refused because of entries in between', async () => {
    await store.db.insertInto('settings').values({ key: 'counter', value: '0' }).execute()
    const written: Promise<void>[] = []
    for (let n = 0; n < 20; n++) {
      await store.db.transaction().execute(async (trx) => {
        const { value } = await trx.selectFrom('settings').select('value').executeTakeFirstOrThrow()
        audit.record({ event: 'login.succeeded', detail: { n } })
        written.push(audit.flush())
        // Lets the thread try.
        await new Promise((resolve) => setImmediate(resolve))
        await trx
          .updateTable('settings')
          .set({ value: String(Number(value) + 1) })
          .execute()
      })
    }
    await Promise.all(written)
    const { events } = await reader.query({ limit: 100, waitSeconds: 0 }, never)
    expect(events.map(({ detail }) => detail['n'])).toEqual(Array.from({ length: 20 }, (_, n) => n))
    expect(await store.db.selectFrom('settings').select('value').executeTakeFirst()).toEqual({ value: '20' })
  })
})
