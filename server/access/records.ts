// Reads resources and held roles out of the store, checked against their schemas. Called by access-check.ts, the web API
// and admin/. Passwords of accounts stay where they are (credentials.ts).
import { ResourceSpec, RoleSpec } from '../../shared/admin-api.ts'
import { RESOURCE_PROTOCOLS } from '../../shared/names.ts'
import type { Db } from '../store/store.ts'
import type { HeldRole } from './roles.ts'

/** The text of a resource's row: all but its accounts, which have rows of their own. */
export const storedResource = (spec: ResourceSpec): string => JSON.stringify({ ...spec, accounts: undefined })

/** All resources in the order of their names, or the one named. One statement: a change comes before it or after it, never in it. */
export async function readResources(db: Db, name?: string): Promise<ResourceSpec[]> {
  let accounts = db
    .selectFrom('resources')
    .innerJoin('resource_accounts', 'resource_accounts.resource', 'resources.name')
    .select(['resources.name', 'resources.spec', 'resource_accounts.name as account'])
    // Protocols that this version does not know may stand in a store that a newer one has used.
    .where('resources.protocol', 'in', [...RESOURCE_PROTOCOLS])
    .orderBy('resources.name')
    .orderBy('resource_accounts.position')
  if (name !== undefined) accounts = accounts.where('resources.name', '=', name)
  const rows = Map.groupBy(await accounts.execute(), (row) => row.name)
  return [...rows.values()].map((rowsOfOne) =>
    ResourceSpec.parse({
      ...(JSON.parse(rowsOfOne[0]?.spec ?? '{}') as object),
      accounts: rowsOfOne.map(({ account }) => ({ name: account })),
    }),
  )
}

/** The person's roles whose grant has not run out. */
export async function readHeldRoles(db: Db, user: string, now: Date): Promise<HeldRole[]> {
  const rows = await db
    .selectFrom('grants')
    .innerJoin('roles', 'roles.name', 'grants.role')
    .select(['roles.spec', 'grants.until'])
    .where('grants.user_name', '=', user)
    .orderBy('grants.role')
    .execute()
  return rows
    .map((row) => ({
      role: RoleSpec.parse(JSON.parse(row.spec)),
      until: row.until === null ? null : new Date(row.until),
    }))
    .filter(({ until }) => until === null || until > now)
}

/** The people who have a grant of the role, run out or not. */
export async function readHolders(db: Db, role: string): Promise<string[]> {
  const rows = await db.selectFrom('grants').select('user_name').where('role', '=', role).execute()
  return rows.map((row) => row.user_name)
}
