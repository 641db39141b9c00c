// Migration 2: logins at the identity provider that are under way (server/sso/sso-requests.ts).
import type { Migration } from 'kysely/migration'

export const ssoRequests: Migration = {
  async up(db) {
    await db.schema
      .createTable('sso_requests')
      .addColumn('id', 'text', (column) => column.primaryKey())
      .addColumn('redirect_uri', 'text', (column) => column.notNull())
      .addColumn('challenge', 'text', (column) => column.notNull())
      .addColumn('journey_sealed', 'text', (column) => column.notNull())
      .addColumn('address', 'text', (column) => column.notNull())
      .addColumn('created_at', 'text', (column) => column.notNull())
      .addColumn('expires_at', 'text', (column) => column.notNull())
      .execute()
    await db.schema.createIndex('sso_requests_expires').on('sso_requests').column('expires_at').execute()
  },
}
