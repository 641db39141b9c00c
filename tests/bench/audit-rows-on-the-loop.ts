// How long the loop that copies bytes stands still for a batch of the audit log: processor time of the main thread for each batch and
// row, and the longest the loop was away, for batches of several sizes; into a real PostgreSQL by the store's own connections, and into
// SQLite by the thread. Run by hand: `node tests/bench/audit-rows-on-the-loop.ts [--rows 40000] [--sizes 100,250,500,1000]`; prints
// one JSON object. Judges nothing.
import { randomUUID } from 'node:crypto'
import { setImmediate as turn } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { createStoreRowWriter, type AuditRow, type RowWriter } from '../../server/audit/row-writer.ts'
import { createSqliteRowWriter } from '../../server/audit/sqlite-row-writer.ts'
import { openStore } from '../../server/store/store.ts'
import { startTestPostgres } from '../support/postgres.ts'
import { freshStore } from '../support/store.ts'
import { percentileOf } from './data-plane/statistics.ts'

const { values } = parseArgs({
  options: { rows: { type: 'string', default: '40000' }, sizes: { type: 'string', default: '100,250,500,1000' } },
})
const rows = Number(values.rows)
const sizes = values.sizes.split(',').map(Number)
/** Before anything is measured, so that the code is compiled. */
const WARM_UP_BATCHES = 20
const tidy = (value: number): number => Number(value.toPrecision(3))

const [session, connection] = [randomUUID(), randomUUID()]
/** As the PostgreSQL engine records a statement of `pgbench -S`. */
const statement = (at: number): AuditRow => ({
  time: new Date().toISOString(),
  event: 'statement.query',
  user_name: 'alice',
  login_id: null,
  session_id: session,
  connection_id: connection,
  resource: 'pgbench',
  account: 'pgbench',
  address: '127.0.0.1',
  detail: JSON.stringify({
    sql: `SELECT abalance FROM pgbench_accounts WHERE aid = ${at};`,
    outcomes: [{ outcome: 'completed', tag: 'SELECT 1', rows: 1 }],
    durationMs: 0.212,
  }),
})

/** Turns the loop while `act` runs. @returns the longest turn in ms */
async function longestTurn(act: () => Promise<void>): Promise<number> {
  const state = { isOver: false, longest: 0 }
  const acting = act().finally(() => (state.isOver = true))
  for (let last = performance.now(); !state.isOver;) {
    await turn()
    const now = performance.now()
    state.longest = Math.max(state.longest, now - last)
    last = now
  }
  await acting
  return state.longest
}

async function measure(writer: RowWriter, size: number): Promise<object> {
  const batch = Array.from({ length: size }, (_, at) => statement(at))
  for (let at = 0; at < WARM_UP_BATCHES; at++) await writer.write(batch)
  const batches = Math.max(1, Math.round(rows / size))
  // Without the turning, which would count as work.
  const before = process.threadCpuUsage()
  for (let at = 0; at < batches; at++) await writer.write(batch)
  const { user, system } = process.threadCpuUsage(before)
  const ms = (user + system) / 1000
  const turns = new Float64Array(batches)
  for (let at = 0; at < batches; at++) turns[at] = await longestTurn(() => writer.write(batch))
  return {
    msOfLoopABatch: tidy(ms / batches),
    usOfLoopARow: tidy((ms * 1000) / batches / size),
    longestTurnMs: { p50: tidy(percentileOf(turns, 0.5)), p99: tidy(percentileOf(turns, 0.99)) },
  }
}

async function measureSizes(writer: RowWriter): Promise<Record<string, object>> {
  const results: Record<string, object> = {}
  for (const size of sizes) results[`${size} rows`] = await measure(writer, size)
  return results
}

const postgres = await startTestPostgres()
const sqlite = await freshStore()
try {
  const { host, port, superuser, superuserPassword } = postgres
  const url = `postgres://${superuser}:${superuserPassword}@${host}:${port}/postgres`
  const store = await openStore({ kind: 'postgres', url })
  const thread = createSqliteRowWriter(sqlite.file)
  try {
    const results = {
      postgres: await measureSizes(createStoreRowWriter(store.db)),
      sqlite: await measureSizes(thread),
    }
    process.stdout.write(`${JSON.stringify(results, null, 2)}\n`)
  } finally {
    await thread.close()
    await store.close()
  }
} finally {
  await sqlite.close()
  await postgres.close()
}
