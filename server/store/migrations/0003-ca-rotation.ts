// Migration 3: what a rotation of the CAs needs (C7). Which CA a login's and a route's certificate rest on, the certificates
// by which a new server CA is vouched for by the one before it, and the CAs that were dropped, without their keys.
import { type SchemaModule, sql } from 'kysely'
import type { Migration } from 'kysely/migration'

export const caRotation: Migration = {
  async up(db) {
    const { schema } = db
    await addColumn(schema, 'ca_keys', 'cross_pem')
    await addColumn(schema, 'logins', 'ca_id')
    await addColumn(schema, 'routes', 'ca_id')
    await addColumn(schema, 'routes', 'certificate_ends_at')
    await schema
      .createTable('dropped_cas')
      .addColumn('id', 'text', (column) => column.primaryKey())
      .addColumn('kind', 'text', (column) => column.notNull().check(sql`kind in ('user', 'server')`))
      .addColumn('certificate_pem', 'text', (column) => column.notNull())
      .addColumn('created_at', 'text', (column) => column.notNull())
      .addColumn('dropped_at', 'text', (column) => column.notNull())
      .execute()
    // Until now there was one user CA: everything rests on it.
    await sql`update logins set ca_id = (select id from ca_keys where kind = 'user' and state = 'active')`.execute(db)
    await sql`update routes set ca_id = (select id from ca_keys where kind = 'user' and state = 'active')`.execute(db)
  },
}

/** SQLite adds one column a statement. */
const addColumn = (schema: SchemaModule, table: string, column: string): Promise<void> =>
  schema.alterTable(table).addColumn(column, 'text').execute()
