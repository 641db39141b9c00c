// Lists people, roles and grants for administrators, without any secret. Called by the web API; resources come from
// access/records.ts.
import { type AdminUser, type GrantSpec, RoleSpec } from '../../shared/admin-api.ts'
import type { z } from 'zod'
import type { Db } from '../store/store.ts'

export async function listUsers(db: Db): Promise<z.output<typeof AdminUser>[]> {
  const rows = await db
    .selectFrom('users')
    .select(['name', 'email', 'level', 'disabled', 'totp_sealed', 'created_at'])
    .orderBy('name')
    .execute()
  return rows.map((row) => ({
    name: row.name,
    email: row.email,
    level: row.level,
    disabled: row.disabled !== 0,
    totp: row.totp_sealed !== null,
    createdAt: row.created_at,
  }))
}

export async function listRoles(db: Db): Promise<RoleSpec[]> {
  const rows = await db.selectFrom('roles').select('spec').orderBy('name').execute()
  return rows.map((row) => RoleSpec.parse(JSON.parse(row.spec)))
}

/** All grants, those that have run out too; or those of one person. */
export async function listGrants(db: Db, user?: string): Promise<GrantSpec[]> {
  let query = db.selectFrom('grants').selectAll().orderBy('user_name').orderBy('role')
  if (user !== undefined) query = query.where('user_name', '=', user)
  return (await query.execute()).map((row) => ({
    kind: 'grant',
    user: row.user_name,
    role: row.role,
    until: row.until,
  }))
}
