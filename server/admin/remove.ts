// Removes people, roles, resources and grants. Called by the web API, which ends the sessions concerned after the commit.
// What hangs on a removed thing goes with it (grants of a person or role, accounts of a resource, logins of a person);
// sessions and the audit log stay as history.
import type { AdminDocument } from '../../shared/admin-api.ts'
import { PosternError } from '../../shared/errors.ts'
import { readHolders } from '../access/records.ts'
import { holdPerson } from '../accounts/hold-person.ts'
import { endLogins } from '../accounts/logins.ts'
import type { Db } from '../store/store.ts'
import { takeTurn } from './take-turn.ts'
import { requireAnAdministrator } from './last-administrator.ts'

export type Removal =
  { kind: Exclude<AdminDocument['kind'], 'grant'>; name: string } | { kind: 'grant'; user: string; role: string }

export type RemovalOutcome = {
  /** Logins that ended with their person. */
  endedLogins: string[]
  /** Whose access may be another one now. */
  concerned: ReadonlySet<string> | 'all'
}

/**
 * @param trx a transaction, which the error undoes
 * @throws PosternError `not_found`, `conflict` if no enabled administrator would be left
 */
export async function remove(trx: Db, removal: Removal, now: Date): Promise<RemovalOutcome> {
  await takeTurn(trx)
  if (removal.kind === 'user') await holdPerson(trx, removal.name)
  const endedLogins = removal.kind === 'user' ? await endLogins(trx, { user: removal.name }, 'revoked', now) : []
  const concerned = await readConcerned(trx, removal)
  const removed = await removeRow(trx, removal)
  if (removed === 0n) throw new PosternError('not_found', `there is no ${describeRemoval(removal)}`)
  if (removal.kind === 'user') await requireAnAdministrator(trx)
  return { endedLogins, concerned }
}

export const describeRemoval = (removal: Removal): string =>
  removal.kind === 'grant' ? `grant ${removal.user}/${removal.role}` : `${removal.kind} ${removal.name}`

/** Asked before the removal, which takes the grants of a role with it. */
async function readConcerned(db: Db, removal: Removal): Promise<ReadonlySet<string> | 'all'> {
  switch (removal.kind) {
    case 'user':
      return new Set()
    case 'grant':
      return new Set([removal.user])
    case 'role':
      return new Set(await readHolders(db, removal.name))
    case 'resource':
      return 'all'
  }
}

async function removeRow(db: Db, removal: Removal): Promise<bigint> {
  switch (removal.kind) {
    case 'user':
      return (await db.deleteFrom('users').where('name', '=', removal.name).executeTakeFirst()).numDeletedRows
    case 'role':
      return (await db.deleteFrom('roles').where('name', '=', removal.name).executeTakeFirst()).numDeletedRows
    case 'resource':
      return (await db.deleteFrom('resources').where('name', '=', removal.name).executeTakeFirst()).numDeletedRows
    case 'grant':
      return (
        await db
          .deleteFrom('grants')
          .where('user_name', '=', removal.user)
          .where('role', '=', removal.role)
          .executeTakeFirst()
      ).numDeletedRows
  }
}
