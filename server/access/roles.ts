// What roles allow, as pure functions: which resources, accounts and databases a set of roles opens, and until when.
// Called by access-check.ts and the web API.
import type { PostgresResource, ResourceSpec, RoleSpec } from '../../shared/admin-api.ts'
import type { ResourceView } from '../../shared/resource-api.ts'

/** A role that a person holds now; `until` is the end of the grant, null for none. */
export type HeldRole = { role: RoleSpec; until: Date | null }

/** What may be done with one account of one resource, by which roles. `*` in databases means any. */
export type Allowance = { databases: string[]; until: Date | null; roles: readonly RoleSpec[] }

type Rule = RoleSpec['allow'][number]
const ANY = '*'

/** What the roles allow with this account, or undefined if nothing. Accounts that the resource lacks are not allowed. */
export function allowanceFor(
  resource: ResourceSpec,
  account: string,
  roles: readonly HeldRole[],
): Allowance | undefined {
  if (!resource.accounts.some(({ name }) => name === account)) return undefined
  const matching = roles.flatMap(({ role, until }) =>
    role.allow
      .filter((rule) => matches(rule, resource) && includes(rule.accounts, account))
      .map((rule) => ({ role, rule, until })),
  )
  if (matching.length === 0) return undefined
  const databases = [...new Set(matching.flatMap(({ rule }) => rule.databases))]
  return {
    databases: databases.includes(ANY) ? [ANY] : databases,
    until: latest(matching.map(({ until }) => until)),
    roles: [...new Set(matching.map(({ role }) => role))],
  }
}

/** The accounts that the roles allow, in the resource's own order. */
export const allowedAccounts = (resource: ResourceSpec, roles: readonly HeldRole[]): string[] =>
  resource.accounts.map(({ name }) => name).filter((name) => allowanceFor(resource, name, roles) !== undefined)

/** The resource as the holder of these roles may see it; undefined if they allow nothing on it. */
export function viewOf(resource: ResourceSpec, roles: readonly HeldRole[]): ResourceView | undefined {
  const accounts = allowedAccounts(resource, roles)
  const [defaultAccount] = accounts
  if (defaultAccount === undefined) return undefined
  const databasesOf = (account: string) => allowanceFor(resource, account, roles)?.databases ?? []
  const all = resource.protocol === 'tcp' ? [] : [...new Set(accounts.flatMap(databasesOf))]
  return {
    name: resource.name,
    protocol: resource.protocol,
    description: resource.description,
    labels: resource.labels,
    accounts,
    defaultAccount,
    databases: all.includes(ANY) ? [ANY] : all,
    defaultDatabase: resource.protocol === 'tcp' ? '' : defaultDatabase(resource, databasesOf(defaultAccount)),
  }
}

/** The resource's default if it is allowed, else the first that is. */
const defaultDatabase = (resource: PostgresResource, allowed: readonly string[]): string =>
  includes(allowed, resource.defaultDatabase) ? resource.defaultDatabase : (allowed[0] ?? resource.defaultDatabase)

/** By name, or by all of the rule's labels. No labels at all match nothing: an empty list must not open everything. */
function matches(rule: Rule, resource: ResourceSpec): boolean {
  if (rule.resources !== undefined && includes(rule.resources, resource.name)) return true
  const wanted = Object.entries(rule.labels ?? {})
  return wanted.length > 0 && wanted.every(([label, value]) => resource.labels[label] === value)
}

const includes = (list: readonly string[], name: string): boolean => list.includes(ANY) || list.includes(name)

/** The latest end; null (no end) beats all. */
function latest(ends: readonly (Date | null)[]): Date | null {
  return ends.reduce((later, end) => (later === null || end === null ? null : later > end ? later : end))
}
