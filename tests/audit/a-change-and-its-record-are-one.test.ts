// R5: changes of the store whose record is in the same transaction (TransactionalAuditLog), on both stores: whole or not at all, in
// their place in the order, never passed by a follower, and on the disk once flushed.
import pino from 'pino'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createAuditLog, type OwnedAuditLog } from '../../server/audit/audit-log.ts'
import { writeInTransaction, type AuditRow } from '../../server/audit/row-writer.ts'
import { createSqliteRowWriter } from '../../server/audit/sqlite-row-writer.ts'
import { readSetting, writeSetting } from '../../server/store/settings.ts'
import { openStore, type Db } from '../../server/store/store.ts'
import { startPostgresStore, type PostgresStore } from '../server/support/postgres-store.ts'
import { auditEvents } from '../support/audit-events.ts'
import { freshStore } from '../support/store.ts'

const log = pino({ level: 'silent' })
let postgres: PostgresStore
let count = 0
beforeAll(async () => {
  postgres = await startPostgresStore()
})
afterAll(() => postgres.stop())

describe.each(['sqlite', 'postgres'] as const)('a change and its record on %s', (dialect) => {
  let db: Db
  let audit: OwnedAuditLog
  let close: () => Promise<void>
  beforeEach(async () => {
    const open = async () => {
      if (dialect === 'postgres')
        return { store: await openStore({ kind: 'postgres', url: await postgres.newDatabase(`audit_${++count}`) }) }
      const store = await freshStore()
      return { store, writer: createSqliteRowWriter(store.file) }
    }
    const { store, ...writer } = await open()
    db = store.db
    audit = createAuditLog({ db, now: () => new Date(), log, ...writer })
    close = () => store.close()
  })
  afterEach(async () => {
    await audit.close()
    await close()
  })

  const changeTo = (value: string) => (trx: Db) => writeSetting(trx, 'cluster', value).then(() => value)
  const recorded = (name: string) => [{ event: 'admin.change' as const, user: 'root', detail: { name } }]
  const names = async () => (await auditEvents(db, audit)).map(({ detail }) => detail['name'])

  it('R5: both are there, after what was recorded before and before what comes after', async () => {
    audit.record({ event: 'login.failed', detail: { name: 'before' } })
    expect(await audit.transaction(changeTo('one'), recorded)).toBe('one')
    audit.record({ event: 'login.failed', detail: { name: 'after' } })
    expect(await names()).toEqual(['before', 'one', 'after'])
    expect(await readSetting(db, 'cluster')).toBe('one')
  })

  it('R5: neither is there when the change fails, or its record', async () => {
    const fails = (trx: Db) => changeTo('two')(trx).then(() => Promise.reject(new Error('it fails')))
    await expect(audit.transaction(fails, recorded)).rejects.toThrow('it fails')
    await db.schema.alterTable('audit').renameTo('audit_away').execute()
    await expect(audit.transaction(changeTo('three'), recorded)).rejects.toThrow()
    await db.schema.alterTable('audit_away').renameTo('audit').execute()
    expect(await names()).toEqual([])
    expect(await readSetting(db, 'cluster')).toBeUndefined()
  })

  it('R5: what others write meanwhile comes behind it, so that no follower passes it by', async () => {
    const row: AuditRow = {
      ...{ time: new Date().toISOString(), event: 'admin.change', user_name: 'root', login_id: null, session_id: null },
      ...{ connection_id: null, resource: null, account: null, address: null, detail: '{"name":"in the transaction"}' },
    }
    const { promise: mayCommit, resolve: commit } = Promise.withResolvers<undefined>()
    const { promise: isWritten, resolve: written } = Promise.withResolvers<undefined>()
    const changed = db.transaction().execute(async (trx) => {
      await writeInTransaction(trx, [row])
      written(undefined)
      await mayCommit
    })
    await isWritten
    let isFlushed = false
    audit.record({ event: 'login.failed', detail: { name: 'meanwhile' } })
    const flushed = audit.flush().then(() => (isFlushed = true))
    // Long enough for a writer that does not wait: it takes some milliseconds.
    await new Promise((resolve) => setTimeout(resolve, 500))
    expect(isFlushed).toBe(false)
    commit(undefined)
    await Promise.all([changed, flushed])
    expect(await names()).toEqual(['in the transaction', 'meanwhile'])
  })

  it('R5: a follower hears of it, also if nobody flushes; a flush has the disk take it', async () => {
    let told = 0
    audit.onWritten(() => told++)
    await audit.transaction(changeTo('four'), recorded)
    await expect.poll(() => told, { timeout: 10_000 }).toBe(1)
    // SQLite's store commits without waiting for the disk: a commit of the log's own connection is what waits for both.
    const first = await readSetting(db, 'audit_synced_at')
    expect(first === undefined).toBe(dialect === 'postgres')
    await audit.transaction(changeTo('five'), recorded)
    await audit.flush()
    if (dialect === 'sqlite') expect(await readSetting(db, 'audit_synced_at')).not.toBe(first)
    expect(audit.state()).toMatchObject({ waiting: 0, written: 2, failures: 0 })
  })
})
