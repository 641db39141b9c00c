// The thread that writes the audit log's rows into a SQLite store: a connection of its own on the same file, one transaction a
// batch. Started by sqlite-row-writer.ts; does nothing else.
import { DatabaseSync } from 'node:sqlite'
import { parentPort, workerData } from 'node:worker_threads'
import { AUDIT_COLUMNS, type FromThread, type RowValues, type ToThread } from './sqlite-row-writer.ts'

/** How long it waits for others who write to the file, in ms. */
const BUSY_TIMEOUT_MS = 5000
/**
 * Rows of one statement where there are so many; measured: 4.0 µs of processor time a row, 6.2 one by one. A row that is refused
 * undoes the whole batch (`or rollback`), so SQLite need not be able to undo a statement by itself, which costs 0.9 µs a row.
 */
const SOME_ROWS = 100

const { file } = workerData as { file: string }
const database = new DatabaseSync(file, { timeout: BUSY_TIMEOUT_MS })
// FULL: a batch that was answered is on the disk, so that neither a kill nor a power cut loses what was acknowledged (R5).
// WAL is a property of the file, which the store has set.
database.exec('PRAGMA synchronous = FULL')
const ONE_ROW = `(${AUDIT_COLUMNS.map(() => '?').join(', ')})`
const insertOf = (rows: number) =>
  database.prepare(
    `insert or rollback into audit (${AUDIT_COLUMNS.join(', ')}) values ${Array<string>(rows).fill(ONE_ROW).join(', ')}`,
  )
const insertSome = insertOf(SOME_ROWS)
const insertOne = insertOf(1)

// A commit syncs all that came before it, also of other connections, if it changes anything at all: hence the time.
const mark = database.prepare(
  `insert into settings (key, value) values ('audit_synced_at', ?) on conflict (key) do update set value = excluded.value`,
)

function insert(batch: readonly RowValues[]): void {
  let at = 0
  for (; at + SOME_ROWS <= batch.length; at += SOME_ROWS) insertSome.run(...batch.slice(at, at + SOME_ROWS).flat())
  for (const row of batch.slice(at)) insertOne.run(...row)
}

function write(message: Exclude<ToThread, 'close'>): void {
  database.exec('begin immediate')
  try {
    if (message === 'sync') mark.run(new Date().toISOString())
    else insert(message.batch)
    database.exec('commit')
  } catch (error) {
    // A failed commit may have ended the transaction by itself.
    if (database.isTransaction) database.exec('rollback')
    throw error
  }
}

parentPort?.on('message', (message: ToThread) => {
  if (message === 'close') {
    database.close()
    parentPort?.close()
    return
  }
  let answer: FromThread
  try {
    write(message)
    answer = { error: undefined }
  } catch (error) {
    answer = { error: error instanceof Error ? error : new Error(String(error)) }
  }
  parentPort?.postMessage(answer)
})
