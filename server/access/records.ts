// Reads resources, held roles and logins out of the store, checked against their schemas. Called by access-check.ts, the web API
// and admin/. Passwords of accounts stay where they are (credentials.ts).
import { ResourceSpec, RoleSpec } from '../../shared/admin-api.ts'
import { RESOURCE_PROTOCOLS } from '../../shared/names.ts'
import type { Db } from '../store/store.ts'
import { parsedOnce } from './parsed-once.ts'
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
    parseResource(
      rowsOfOne[0]?.spec ?? '{}',
      rowsOfOne.map(({ account }) => account),
    ),
  )
}

/** No character of a name (shared/names.ts), nor of JSON as JSON.stringify writes it. */
export const BETWEEN_NAMES = '\n'

/** @param accounts their names in the resource's own order */
export const parseResource = (spec: string, accounts: readonly string[]): ResourceSpec =>
  resourceOf([spec, ...accounts].join(BETWEEN_NAMES))

const resourceOf = parsedOnce((text) => {
  const [spec = '', ...accounts] = text.split(BETWEEN_NAMES)
  return ResourceSpec.parse({ ...(JSON.parse(spec) as object), accounts: accounts.map((name) => ({ name })) })
})

const roleOf = parsedOnce((text) => RoleSpec.parse(JSON.parse(text)))

/** The person's roles whose grant has not run out. */
export async function readHeldRoles(db: Db, user: string, now: Date): Promise<HeldRole[]> {
  const rows = await db
    .selectFrom('grants')
    .innerJoin('roles', 'roles.name', 'grants.role')
    .select(['roles.spec as role_spec', 'grants.until'])
    .where('grants.user_name', '=', user)
    .orderBy('grants.role')
    .execute()
  return heldRoles(rows, now)
}

/** Of rows with a grant each; one without a role is none. */
export function heldRoles(rows: readonly { role_spec: string | null; until: string | null }[], now: Date): HeldRole[] {
  const held: HeldRole[] = []
  for (const { role_spec: spec, until: end } of rows) {
    const until = end === null ? null : new Date(end)
    if (spec === null || (until !== null && until <= now)) continue
    held.push({ role: roleOf(spec), until })
  }
  return held
}

/** What of a login and its person says whether it is good. */
export type LoginRecord = { user_name: string; expires_at: string; ended_at: string | null; disabled: number }

/** Undefined: there is none (its person may have been removed). */
export const readLogin = (db: Db, loginId: string): Promise<LoginRecord | undefined> =>
  db
    .selectFrom('logins')
    .innerJoin('users', 'users.name', 'logins.user_name')
    .select(['logins.user_name', 'logins.expires_at', 'logins.ended_at', 'users.disabled'])
    .where('logins.id', '=', loginId)
    .executeTakeFirst()

/** The people who have a grant of the role, run out or not. */
export async function readHolders(db: Db, role: string): Promise<string[]> {
  const rows = await db.selectFrom('grants').select('user_name').where('role', '=', role).execute()
  return rows.map((row) => row.user_name)
}
