// Migration 4: what is kept of a session when it is over (server/sessions/session-records.ts), and the order in which sessions are
// listed.
import type { SchemaModule } from 'kysely'
import type { Migration } from 'kysely/migration'

export const sessionEnds: Migration = {
  async up(db) {
    const { schema } = db
    await addColumn(schema, 'ended_by', 'text')
    await addColumn(schema, 'connections_total', 'bigint')
    await addColumn(schema, 'bytes_from_client', 'bigint')
    await addColumn(schema, 'bytes_to_client', 'bigint')
    await addColumn(schema, 'statements', 'bigint')
    await addColumn(schema, 'last_activity_at', 'text')
    await addColumn(schema, 'last_statement_at', 'text')
    await schema.createIndex('sessions_started').on('sessions').column('started_at').execute()
  },
}

/** SQLite adds one column a statement. */
const addColumn = (schema: SchemaModule, column: string, type: 'text' | 'bigint'): Promise<void> =>
  schema.alterTable('sessions').addColumn(column, type).execute()
