// Migration 5: what a search of the audit log is answered from. Every search goes through the log in the order of `seq`, so in
// PostgreSQL each index carries it; in SQLite each index ends with it anyway, as it is the key of the rows.
import type { Migration } from 'kysely/migration'
import type { StoreDialect } from '../schema.ts'

export const auditSearch = (dialect: StoreDialect): Migration => ({
  async up({ schema }) {
    await schema.createIndex('audit_login_id').on('audit').columns(indexed(dialect, 'login_id')).execute()
    if (dialect === 'sqlite') return
    for (const column of ['user_name', 'session_id', 'resource', 'event']) {
      await schema.dropIndex(`audit_${column}`).execute()
      await schema.createIndex(`audit_${column}`).on('audit').columns(indexed(dialect, column)).execute()
    }
  },
})

const indexed = (dialect: StoreDialect, column: string): string[] => (dialect === 'sqlite' ? [column] : [column, 'seq'])
