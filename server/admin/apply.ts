// Applies admin documents: people, roles, resources and grants, all or none in one transaction. Called by the web API,
// which has checked the caller's level. Secrets that a document leaves out stay as they are.
import { isDeepStrictEqual } from 'node:util'
import {
  type AdminDocument,
  type GrantSpec,
  type ResourceSpec,
  RoleSpec,
  type UserSpec,
} from '../../shared/admin-api.ts'
import { PosternError } from '../../shared/errors.ts'
import { accountContext } from '../access/credentials.ts'
import { readHolders, readResources, storedResource } from '../access/records.ts'
import { endLogins } from '../accounts/logins.ts'
import { hashPassword, isPassword } from '../accounts/password.ts'
import { totpContext } from '../accounts/proof.ts'
import type { MasterKey } from '../secrets/master-key.ts'
import { Secret } from '../secrets/secret.ts'
import type { Db } from '../store/store.ts'
import { inTurn } from './in-turn.ts'
import { requireAnAdministrator } from './last-administrator.ts'

export type Change = 'created' | 'updated' | 'unchanged'
export type Applied = { kind: AdminDocument['kind']; name: string; change: Change }

export type ApplyOutcome = {
  /** In the order of the documents. */
  applied: Applied[]
  /** Logins that ended because their person was disabled: the caller ends their sessions after the commit (S8). */
  endedLogins: { user: string; loginId: string }[]
  /** Whose access may be another one now. */
  concerned: ReadonlySet<string> | 'all'
}

/** What other documents may refer to comes first, whatever the order in the file. */
const ORDER: Record<AdminDocument['kind'], number> = { resource: 0, role: 1, user: 2, grant: 3 }

type Context = { db: Db; masterKey: MasterKey; now: Date; passwordHashes: ReadonlyMap<string, string> }

/**
 * @throws PosternError `bad_request` that names the document: two of the same name, a grant of an unknown person or role;
 * `conflict` if no enabled administrator would be left. Nothing is changed then.
 */
export async function applyDocuments(
  options: { db: Db; masterKey: MasterKey; now: Date },
  documents: readonly AdminDocument[],
): Promise<ApplyOutcome> {
  refuseDuplicates(documents)
  // Before the transaction: hashing takes long, and SQLite has one writer.
  const passwordHashes = await hashNewPasswords(options.db, documents)
  const ordered = documents
    .map((document, index) => ({ document, index }))
    .sort((a, b) => ORDER[a.document.kind] - ORDER[b.document.kind])

  return inTurn(options.db, async (db) => {
    const context = { ...options, db, passwordHashes }
    const endedLogins: ApplyOutcome['endedLogins'] = []
    const applied: (Applied & { index: number })[] = []
    const changed: AdminDocument[] = []
    for (const { document, index } of ordered) {
      const change = await applyOne(context, document)
      if (change !== 'unchanged') changed.push(document)
      applied.push({ kind: document.kind, name: nameOf(document), change, index })
      if (document.kind === 'user' && document.disabled) {
        const ids = await endLogins(db, { user: document.name }, 'disabled', options.now)
        endedLogins.push(...ids.map((loginId) => ({ user: document.name, loginId })))
      }
    }
    await requireAnAdministrator(db)
    return {
      applied: applied.sort((a, b) => a.index - b.index).map(({ kind, name, change }) => ({ kind, name, change })),
      endedLogins,
      concerned: await readConcerned(db, changed),
    }
  })
}

/** A resource may concern anybody; a role those who hold it; a person or a grant that one person. */
async function readConcerned(db: Db, changed: readonly AdminDocument[]): Promise<ApplyOutcome['concerned']> {
  if (changed.some(({ kind }) => kind === 'resource')) return 'all'
  const people = await Promise.all(
    changed.map(async (document) => {
      if (document.kind === 'role') return readHolders(db, document.name)
      return document.kind === 'grant' ? [document.user] : [document.name]
    }),
  )
  return new Set(people.flat())
}

export const nameOf = (document: AdminDocument): string =>
  document.kind === 'grant' ? `${document.user}/${document.role}` : document.name

function applyOne(context: Context, document: AdminDocument): Promise<Change> {
  switch (document.kind) {
    case 'resource':
      return applyResource(context, document)
    case 'role':
      return applyRole(context, document)
    case 'user':
      return applyUser(context, document)
    case 'grant':
      return applyGrant(context, document)
  }
}

function refuseDuplicates(documents: readonly AdminDocument[]): void {
  const seen = new Map<string, number>()
  for (const [index, document] of documents.entries()) {
    const key = `${document.kind} ${nameOf(document)}`
    const first = seen.get(key)
    if (first !== undefined)
      throw new PosternError('bad_request', `documents.${index}: ${key} is there twice (also documents.${first})`)
    seen.set(key, index)
  }
}

/** Person → hash of the password in their document: the stored one if it is of that password. */
async function hashNewPasswords(db: Db, documents: readonly AdminDocument[]): Promise<Map<string, string>> {
  const hashes = new Map<string, string>()
  const rows = await db.selectFrom('users').select(['name', 'password_hash']).execute()
  const stored = new Map(rows.map((row) => [row.name, row.password_hash]))
  await Promise.all(
    documents.map(async (document) => {
      if (document.kind !== 'user' || document.password === undefined) return
      const known = stored.get(document.name) ?? null
      const isKnown = known !== null && (await isPassword(document.password, known))
      hashes.set(document.name, isKnown ? known : await hashPassword(document.password))
    }),
  )
  return hashes
}

async function applyResource({ db, masterKey }: Context, spec: ResourceSpec): Promise<Change> {
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

async function applyRole({ db }: Context, role: RoleSpec): Promise<Change> {
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

async function applyUser({ db, masterKey, now, passwordHashes }: Context, spec: UserSpec): Promise<Change> {
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

async function applyGrant({ db, now }: Context, grant: GrantSpec): Promise<Change> {
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
