// All that the store knows of a route, read at once: whose it is, whether that login is good, what it leads to, and by which roles.
// One query, because it is asked for every connection (C4), and because what one query says was true at one moment. Called by
// access-check.ts, which judges it.
import { sql } from 'kysely'
import type { ResourceSpec } from '../../shared/admin-api.ts'
import { isResourceProtocol } from '../../shared/names.ts'
import type { Route } from '../seams.ts'
import type { Db } from '../store/store.ts'
import { BETWEEN_NAMES, heldRoles, parseResource, type LoginRecord } from './records.ts'
import type { HeldRole } from './roles.ts'

export type RouteRecord = {
  route: Route
  login: LoginRecord
  /** Undefined: there is none of this name now. */
  resource: ResourceSpec | undefined
  /** Those whose grant has not run out. */
  roles: HeldRole[]
}

/**
 * Makes the reader; it asks the store at each call. Undefined: no such route, or one whose protocol this version does not know (a
 * newer one may have used the store).
 */
export function createRouteReader(db: Db): (routeId: string, now: Date) => Promise<RouteRecord | undefined> {
  // Compiled once: to build it costs several times as much as to run it. A row for each role that is held, one if none is.
  const query = db
    .selectFrom('routes')
    .innerJoin('logins', 'logins.id', 'routes.login_id')
    .innerJoin('users', 'users.name', 'logins.user_name')
    .leftJoin('resources', 'resources.name', 'routes.resource')
    .leftJoin('grants', 'grants.user_name', 'logins.user_name')
    .leftJoin('roles', 'roles.name', 'grants.role')
    .select(['routes.login_id', 'routes.resource', 'routes.protocol', 'routes.account'])
    .select(['logins.user_name', 'logins.expires_at', 'logins.ended_at', 'users.disabled'])
    .select(['resources.protocol as resource_protocol', 'resources.spec as resource_spec'])
    .select((select) =>
      select
        .selectFrom('resource_accounts')
        .whereRef('resource_accounts.resource', '=', 'routes.resource')
        .select(sql<string | null>`string_agg(name, ${sql.lit(BETWEEN_NAMES)} order by position)`.as('names'))
        .as('account_names'),
    )
    .select(['roles.spec as role_spec', 'grants.until'])
    .where('routes.id', '=', '')
    .orderBy('grants.role')
    .compile()

  const queryFor = (routeId: string): typeof query => ({ ...query, parameters: [routeId] })

  return async (routeId, now) => {
    const { rows } = await db.executeQuery(queryFor(routeId))
    const [row] = rows
    if (!row || !isResourceProtocol(row.protocol)) return undefined
    const names = row.account_names?.split(BETWEEN_NAMES) ?? []
    return {
      route: {
        routeId,
        loginId: row.login_id,
        user: row.user_name,
        resource: row.resource,
        protocol: row.protocol,
        account: row.account,
      },
      login: row,
      resource:
        row.resource_spec !== null && isResourceProtocol(row.resource_protocol ?? '')
          ? parseResource(row.resource_spec, names)
          : undefined,
      roles: heldRoles(rows, now),
    }
  }
}
