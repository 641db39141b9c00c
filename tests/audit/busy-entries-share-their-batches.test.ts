// How entries of busy connections are batched: what is recorded while a batch is being written waits for company, as the first
// entry did, and who waits for a flush waits for what was recorded until then and not for what never ends to come.
import { expect, it } from 'vitest'
import pino from 'pino'
import { createAuditLog } from '../../server/audit/audit-log.ts'
import { freshStore } from '../support/store.ts'

/** A writer whose batches end when they are told to. */
function heldWriter() {
  const batches: { rows: number; end: () => void }[] = []
  let isOpen = false
  return {
    batches,
    open() {
      isOpen = true
      for (const { end } of batches) end()
    },
    write: (rows: readonly unknown[]) =>
      new Promise<void>((resolve) => {
        batches.push({ rows: rows.length, end: resolve })
        if (isOpen) resolve()
      }),
    close: () => Promise.resolve(),
  }
}

it('R5: entries that come while others are written share the next batch, and a flush ends with what it was asked for', async () => {
  await using store = await opened()
  const writer = heldWriter()
  const audit = createAuditLog({ db: store.db, writer, now: () => new Date(), log: pino({ level: 'silent' }) })
  audit.record({ event: 'statement.query' })
  const first = audit.flush()
  await expect.poll(() => writer.batches.length, { timeout: 20_000 }).toBe(1)
  for (let n = 0; n < 10; n++) audit.record({ event: 'statement.query' })
  writer.batches[0]?.end()
  await first
  expect(audit.state()).toMatchObject({ written: 1, waiting: 10 })
  expect(writer.batches).toHaveLength(1)
  await expect.poll(() => writer.batches.map(({ rows }) => rows), { timeout: 20_000 }).toEqual([1, 10])
  // Asked for while one is on its way, a flush also brings what that one does not.
  audit.record({ event: 'statement.query' })
  const rest = audit.flush()
  writer.open()
  await rest
  expect(audit.state()).toMatchObject({ written: 12, waiting: 0 })
  await audit.close()
})

async function opened() {
  const store = await freshStore()
  return { ...store, [Symbol.asyncDispose]: () => store.close() }
}
