// Applies admin documents: people, roles, resources and grants, all or none in one transaction with their records. Called by the web
// API, which has checked the caller's level. write-document.ts writes each.
import type { AdminDocument } from '../../shared/admin-api.ts'
import { PosternError } from '../../shared/errors.ts'
import { readHolders } from '../access/records.ts'
import { endLogins } from '../accounts/logins.ts'
import { hashPassword, isPassword } from '../accounts/password.ts'
import type { MasterKey } from '../secrets/master-key.ts'
import type { AuditEntry, TransactionalAuditLog } from '../seams.ts'
import type { Db } from '../store/store.ts'
import { takeTurn } from './take-turn.ts'
import { requireAnAdministrator } from './last-administrator.ts'
import { nameOf, writeDocument, type Change } from './write-document.ts'

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

/**
 * @throws PosternError `bad_request` that names the document: two of the same name, a grant of an unknown person or role;
 * `conflict` if no enabled administrator would be left. Nothing is changed then.
 * @param recordsOf what the audit log says of it, in the same transaction
 */
export async function applyDocuments(
  options: { db: Db; audit: Pick<TransactionalAuditLog, 'transaction'>; masterKey: MasterKey; now: Date },
  documents: readonly AdminDocument[],
  recordsOf: (outcome: ApplyOutcome) => readonly AuditEntry[],
): Promise<ApplyOutcome> {
  refuseDuplicates(documents)
  // Before the transaction: hashing takes long, and SQLite has one writer.
  const passwordHashes = await hashNewPasswords(options.db, documents)
  const ordered = documents
    .map((document, index) => ({ document, index }))
    .sort((a, b) => ORDER[a.document.kind] - ORDER[b.document.kind])

  return options.audit.transaction(async (db) => {
    await takeTurn(db)
    const context = { ...options, db, passwordHashes }
    const endedLogins: ApplyOutcome['endedLogins'] = []
    const applied: (Applied & { index: number })[] = []
    const changed: AdminDocument[] = []
    for (const { document, index } of ordered) {
      const change = await writeDocument(context, document)
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
  }, recordsOf)
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
