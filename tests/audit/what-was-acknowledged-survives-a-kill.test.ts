// kill -9 in the middle of writing: every entry whose flush was answered is in the store, in order, none twice, and the next
// process writes on.
import { afterEach, describe, expect, it } from 'vitest'
import pino from 'pino'
import { createAuditLog } from '../../server/audit/audit-log.ts'
import { createSqliteRowWriter } from '../../server/audit/sqlite-row-writer.ts'
import { openStore } from '../../server/store/store.ts'
import { Kept } from '../support/run.ts'
import { freshStore } from '../support/store.ts'

const WRITER = new URL('../support/audit-writing-process.ts', import.meta.url).pathname
const log = pino({ level: 'silent' })
const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

describe('a killed process', () => {
  it('R5: loses nothing that was acknowledged, round after round on the same store', async () => {
    const fresh = await freshStore()
    cleanups.push(() => fresh.close())
    let before = 0
    for (let round = 0; round < 4; round++) {
      const child = new Kept(process.execPath, [WRITER, fresh.file])
      cleanups.push(() => child.stop())
      await child.waitFor(new RegExp(`^${137 * (1 + round * 3)}$`, 'm'))
      await child.stop('SIGKILL')
      const acknowledged = Number(child.stdout.split('\n').at(-2))
      const rows = await fresh.db
        .selectFrom('audit')
        .select('detail')
        .where('seq', '>', before)
        .orderBy('seq')
        .execute()
      // Further ones may be there: they were on their way.
      expect(rows.length).toBeGreaterThan(acknowledged)
      expect(rows.map(({ detail }) => (JSON.parse(detail) as { n: number }).n)).toEqual(rows.map((_, n) => n))
      before += rows.length
    }
  })

  it('R5: a writer that cannot open its file says so, and the log goes on once it can', async () => {
    const fresh = await freshStore()
    cleanups.push(() => fresh.close())
    const other = `${fresh.file}.later`
    const audit = createAuditLog({ db: fresh.db, writer: createSqliteRowWriter(other), now: () => new Date(), log })
    cleanups.push(() => audit.close())
    audit.record({ event: 'server.start' })
    // An empty database has no such table: the thread ends with that.
    await expect(audit.flush()).rejects.toThrow('audit')
    const store = await openStore({ kind: 'sqlite', file: other })
    cleanups.push(() => store.close())
    await audit.flush()
    expect(await store.db.selectFrom('audit').select('event').execute()).toEqual([{ event: 'server.start' }])
  })

  it('R5: what waits is written when the log is closed, and nothing after it', async () => {
    const fresh = await freshStore()
    cleanups.push(() => fresh.close())
    const writer = createSqliteRowWriter(fresh.file)
    const audit = createAuditLog({ db: fresh.db, writer, now: () => new Date(), log })
    for (let n = 0; n < 3000; n++) audit.record({ event: 'statement.query', detail: { n } })
    await audit.close()
    const { count } = await fresh.db
      .selectFrom('audit')
      .select((of) => of.fn.countAll<number>().as('count'))
      .executeTakeFirstOrThrow()
    expect(count).toBe(3000)
    await expect(writer.write([])).rejects.toThrow('closed')
    await writer.close()
  })
})
