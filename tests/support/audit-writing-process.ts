// A process that writes an audit log as fast as it can until it is killed: prints the number of the last entry that was
// acknowledged after each flush. Its argument is the file of a SQLite store.
import pino from 'pino'
import { createAuditLog } from '../../server/audit/audit-log.ts'
import { createSqliteRowWriter } from '../../server/audit/sqlite-row-writer.ts'
import { openStore } from '../../server/store/store.ts'

const [, , file = ''] = process.argv
const { db } = await openStore({ kind: 'sqlite', file })
const audit = createAuditLog({
  db,
  writer: createSqliteRowWriter(file),
  now: () => new Date(),
  log: pino({ level: 'silent' }),
})
for (let n = 0; ; n++) {
  audit.record({ event: 'statement.query', detail: { n } })
  // Batches of all sizes, and entries that nobody waits for in between.
  if (n % 137 !== 0) continue
  await audit.flush()
  process.stdout.write(`${n}\n`)
}
