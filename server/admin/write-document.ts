// Writes one admin document (a resource, role, person or grant) in the transaction of apply.ts, which calls it, and says whether
// anything became other. Secrets that a document leaves out stay as they are.
import { isDeepStrictEqual } from 'node:util'
import {
  RoleSpec,
  type AdminDocument,
  type GrantSpec,
  type ResourceSpec,
  type UserSpec,
} from '../../shared/admin-api.ts'
import { PosternError } from '../../shared/errors.ts'
import { accountContext } from '../access/credentials.ts'
import { readResources, storedResource } from '../access/records.ts'
import { totpContext } from '../accounts/proof.ts'
import type { MasterKey } from '../secrets/master-key.ts'
import { Secret } from '../secrets/secret.ts'
import type { Db } from '../store/store.ts'

export type Change = 'created' | 'updated' | 'unchanged'

export type WriteContext = {
  /** The transaction. */
  db: Db
  masterKey: MasterKey
  now: Date
  /** Person → hash of the password in their document: the stored one if it is of that password. */
  passwordHashes: ReadonlyMap<string, string>
}

export const nameOf = (document: AdminDocument): string =>
  document.kind === 'grant' ? `${document.user}/${document.role}` : document.name

/** @throws PosternError `bad_request` that names the document: an account twice, a grant of an unknown person or role */
export function writeDocument(context: WriteContext, document: AdminDocument): Promise<Change> {
  switch (document.kind) {
    case 'resource':
      return writeResource(context, document)
    case 'role':
      return writeRole(context, document)
    case 'user':
      return writeUser(context, document)
    case 'grant':
      return writeGrant(context, document)
  }
}

async function writeResource({ db, masterKey }: WriteContext, spec: ResourceSpec): Promise<Change> {
  const repeated = spec.accounts.find(
    ({ name }, index) => spec.accounts.findIndex((other) => other.name === name) < index,
  )
  if (repeated)
    throw new PosternError('bad_request', `resource ${spec.name}: the account ${repeated.name} is there twice`)
  const [before] = await readResources(db, spec.name)
  const sealed = await readSealedPasswords(db, spec.name)
  const accounts = spec.accounts.map(({ name, password }, position) => {
    const stored = sealed.get(name) ?? null
    const context = accountContext(spec.name, name)
    const isSame = password === undefined || (stored !== null && masterKey.open(stored, context).reveal() === password)
    return {
      resource: spec.name,
      position,
      name,
      password_sealed: isSame ? stored : masterKey.seal(new Secret(password), context),
      isSame,
    }
  })
  const isSameSpec = before !== undefined && isDeepStrictEqual(withoutPasswords(before), withoutPasswords(spec))
  if (isSameSpec && accounts.every(({ isSame }) => isSame)) return 'unchanged'

  const row = { name: spec.name, protocol: spec.protocol, spec: storedResource(spec) }
  await db
    .insertInto('resources')
    .values(row)
    .onConflict((conflict) => conflict.column('name').doUpdateSet({ protocol: row.protocol, spec: row.spec }))
    .execute()
  await db.deleteFrom('resource_accounts').where('resource', '=', spec.name).execute()
  await db
    .insertInto('resource_accounts')
    .values(
      accounts.map(({ resource, position, name, password_sealed }) => ({ resource, position, name, password_sealed })),
    )
    .execute()
  return before === undefined ? 'created' : 'updated'
}

async function readSealedPasswords(db: Db, resource: string): Promise<Map<string, string | null>> {
  const rows = await db
    .selectFrom('resource_accounts')
    .select(['name', 'password_sealed'])
    .where('resource', '=', resource)
    .execute()
  return new Map(rows.map((row) => [row.name, row.password_sealed]))
}

const withoutPasswords = (spec: ResourceSpec) => ({ ...spec, accounts: spec.accounts.map(({ name }) => name) })

async function writeRole({ db }: WriteContext, role: RoleSpec): Promise<Change> {
  const before = await db.selectFrom('roles').select('spec').where('name', '=', role.name).executeTakeFirst()
  if (before && isDeepStrictEqual(RoleSpec.parse(JSON.parse(before.spec)), role)) return 'unchanged'
  const spec = JSON.stringify(role)
  await db
    .insertInto('roles')
    .values({ name: role.name, spec })
    .onConflict((conflict) => conflict.column('name').doUpdateSet({ spec }))
    .execute()
  return before ? 'updated' : 'created'
}

async function writeUser({ db, masterKey, now, passwordHashes }: WriteContext, spec: UserSpec): Promise<Change> {
  const before = await db.selectFrom('users').selectAll().where('name', '=', spec.name).executeTakeFirst()
  const context = totpContext(spec.name)
  const storedSeed = before?.totp_sealed ?? null
  const isSameSeed =
    spec.totpSecret === undefined ||
    (spec.totpSecret === null
      ? storedSeed === null
      : storedSeed !== null && masterKey.open(storedSeed, context).reveal() === spec.totpSecret)
  const passwordHash = passwordHashes.get(spec.name)
  const isSame =
    before !== undefined &&
    before.email === spec.email &&
    before.level === spec.level &&
    (before.disabled !== 0) === spec.disabled &&
    // Looked at again: since it was hashed, somebody else may have set another one.
    (passwordHash === undefined || passwordHash === before.password_hash) &&
    isSameSeed
  if (isSame) return 'unchanged'

  const values = {
    email: spec.email,
    level: spec.level,
    disabled: spec.disabled ? 1 : 0,
    ...(passwordHash === undefined ? {} : { password_hash: passwordHash }),
    ...(isSameSeed
      ? {}
      : {
          totp_sealed: spec.totpSecret == null ? null : masterKey.seal(new Secret(spec.totpSecret), context),
          totp_pending_sealed: null,
          totp_last_step: 0,
        }),
  }
  if (before) {
    await db.updateTable('users').set(values).where('name', '=', spec.name).execute()
    return 'updated'
  }
  await db
    .insertInto('users')
    .values({
      name: spec.name,
      password_hash: null,
      totp_sealed: null,
      totp_pending_sealed: null,
      totp_last_step: 0,
      created_at: now.toISOString(),
      ...values,
    })
    .execute()
  return 'created'
}

async function writeGrant({ db, now }: WriteContext, grant: GrantSpec): Promise<Change> {
  const user = await db.selectFrom('users').select('name').where('name', '=', grant.user).executeTakeFirst()
  const role = await db.selectFrom('roles').select('name').where('name', '=', grant.role).executeTakeFirst()
  const missing = !user ? `person ${grant.user}` : !role ? `role ${grant.role}` : undefined
  if (missing !== undefined)
    throw new PosternError('bad_request', `grant ${nameOf(grant)}: there is no ${missing}; declare it first`)
  const until = grant.until === null ? null : new Date(grant.until).toISOString()
  const before = await db
    .selectFrom('grants')
    .select('until')
    .where('user_name', '=', grant.user)
    .where('role', '=', grant.role)
    .executeTakeFirst()
  if (before?.until === until) return 'unchanged'
  await db
    .insertInto('grants')
    .values({ user_name: grant.user, role: grant.role, until, created_at: now.toISOString() })
    .onConflict((conflict) => conflict.columns(['user_name', 'role']).doUpdateSet({ until }))
    .execute()
  return before ? 'updated' : 'created'
}
