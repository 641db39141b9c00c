// Migration 1: the tables of server/store/schema.ts for SQLite and PostgreSQL alike.
import { type SchemaModule, sql } from 'kysely'
import type { Migration } from 'kysely/migration'
import type { StoreDialect } from '../schema.ts'

export const firstTables = (dialect: StoreDialect): Migration => ({
  async up(db) {
    await createPeople(db.schema)
    await createAccess(db.schema)
    await createSessions(db.schema)
    await createAudit(db.schema, dialect)
  },
})

/** Settings, CAs, people and their logins. */
async function createPeople(schema: SchemaModule): Promise<void> {
  await schema
    .createTable('settings')
    .addColumn('key', 'text', (column) => column.primaryKey())
    .addColumn('value', 'text', (column) => column.notNull())
    .execute()
  await schema
    .createTable('ca_keys')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('kind', 'text', (column) => column.notNull().check(sql`kind in ('user', 'server')`))
    .addColumn('certificate_pem', 'text', (column) => column.notNull())
    .addColumn('key_sealed', 'text', (column) => column.notNull())
    .addColumn('created_at', 'text', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull().check(sql`state in ('active', 'trusted')`))
    .execute()
  // One CA of a kind signs; any number of older ones may still be trusted (C7).
  await schema
    .createIndex('ca_keys_one_active')
    .unique()
    .on('ca_keys')
    .column('kind')
    .where(sql.ref('state'), '=', sql.lit('active'))
    .execute()
  await schema
    .createTable('users')
    .addColumn('name', 'text', (column) => column.primaryKey())
    .addColumn('email', 'text')
    .addColumn('level', 'text', (column) => column.notNull().check(sql`level in ('none', 'viewer', 'editor', 'admin')`))
    .addColumn('disabled', 'integer', (column) => column.notNull().defaultTo(0))
    .addColumn('password_hash', 'text')
    .addColumn('totp_sealed', 'text')
    .addColumn('totp_pending_sealed', 'text')
    .addColumn('totp_last_step', 'integer', (column) => column.notNull().defaultTo(0))
    .addColumn('created_at', 'text', (column) => column.notNull())
    .execute()
  // A removed person's logins and routes go too, so that a new person of the same name never inherits a certificate.
  await schema
    .createTable('logins')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('user_name', 'text', (column) => column.notNull().references('users.name').onDelete('cascade'))
    .addColumn('address', 'text', (column) => column.notNull())
    .addColumn('created_at', 'text', (column) => column.notNull())
    .addColumn('expires_at', 'text', (column) => column.notNull())
    .addColumn('ended_at', 'text')
    .addColumn('ended_reason', 'text')
    .execute()
  await schema.createIndex('logins_user').on('logins').column('user_name').execute()
}

/** Roles, resources, grants, and the routes that logins have asked for. */
async function createAccess(schema: SchemaModule): Promise<void> {
  await schema
    .createTable('roles')
    .addColumn('name', 'text', (column) => column.primaryKey())
    .addColumn('spec', 'text', (column) => column.notNull())
    .execute()
  await schema
    .createTable('resources')
    .addColumn('name', 'text', (column) => column.primaryKey())
    .addColumn('protocol', 'text', (column) => column.notNull())
    .addColumn('spec', 'text', (column) => column.notNull())
    .execute()
  await schema
    .createTable('resource_accounts')
    .addColumn('resource', 'text', (column) => column.notNull().references('resources.name').onDelete('cascade'))
    .addColumn('position', 'integer', (column) => column.notNull())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('password_sealed', 'text')
    .addPrimaryKeyConstraint('resource_accounts_key', ['resource', 'name'])
    .execute()
  await schema
    .createTable('grants')
    .addColumn('user_name', 'text', (column) => column.notNull().references('users.name').onDelete('cascade'))
    .addColumn('role', 'text', (column) => column.notNull().references('roles.name').onDelete('cascade'))
    .addColumn('until', 'text')
    .addColumn('created_at', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('grants_key', ['user_name', 'role'])
    .execute()
  // A route names its resource without a foreign key: it outlives a resource that is removed and declared again.
  await schema
    .createTable('routes')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('login_id', 'text', (column) => column.notNull().references('logins.id').onDelete('cascade'))
    .addColumn('resource', 'text', (column) => column.notNull())
    .addColumn('protocol', 'text', (column) => column.notNull())
    .addColumn('account', 'text', (column) => column.notNull())
    .addColumn('created_at', 'text', (column) => column.notNull())
    .addUniqueConstraint('routes_one_each', ['login_id', 'resource', 'protocol', 'account'])
    .execute()
}

/** Sessions are history: they reference nothing, so that removing a person or resource keeps them. */
async function createSessions(schema: SchemaModule): Promise<void> {
  await schema
    .createTable('sessions')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('route_id', 'text', (column) => column.notNull())
    .addColumn('login_id', 'text', (column) => column.notNull())
    .addColumn('user_name', 'text', (column) => column.notNull())
    .addColumn('resource', 'text', (column) => column.notNull())
    .addColumn('protocol', 'text', (column) => column.notNull())
    .addColumn('account', 'text', (column) => column.notNull())
    .addColumn('address', 'text', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull().check(sql`state in ('starting', 'active', 'ended')`))
    .addColumn('started_at', 'text', (column) => column.notNull())
    .addColumn('active_at', 'text')
    .addColumn('ended_at', 'text')
    .addColumn('end_reason', 'text')
    .execute()
  // One login using one route has one running session (S1), whatever races.
  await schema
    .createIndex('sessions_one_running_per_route')
    .unique()
    .on('sessions')
    .column('route_id')
    .where(sql.ref('state'), '<>', sql.lit('ended'))
    .execute()
  await schema.createIndex('sessions_login').on('sessions').column('login_id').execute()
  await schema.createIndex('sessions_user').on('sessions').column('user_name').execute()
}

async function createAudit(schema: SchemaModule, dialect: StoreDialect): Promise<void> {
  await schema
    .createTable('audit')
    .addColumn('seq', dialect === 'sqlite' ? 'integer' : 'bigint', (column) =>
      dialect === 'sqlite' ? column.primaryKey().autoIncrement() : column.primaryKey().generatedByDefaultAsIdentity(),
    )
    .addColumn('time', 'text', (column) => column.notNull())
    .addColumn('event', 'text', (column) => column.notNull())
    .addColumn('user_name', 'text')
    .addColumn('login_id', 'text')
    .addColumn('session_id', 'text')
    .addColumn('connection_id', 'text')
    .addColumn('resource', 'text')
    .addColumn('account', 'text')
    .addColumn('address', 'text')
    .addColumn('detail', 'text', (column) => column.notNull())
    .execute()
  for (const column of ['time', 'user_name', 'session_id', 'resource', 'event'])
    await schema.createIndex(`audit_${column}`).on('audit').column(column).execute()
}
