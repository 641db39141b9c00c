// The passwords of database users on targets, sealed in the store. Engines read them; admin apply writes them.
import type { MasterKey } from '../secrets/master-key.ts'
import type { CredentialStore } from '../seams.ts'
import type { Db } from '../store/store.ts'

/** Where an account's password is sealed to. JSON, because an account's name may have any character in it. */
export const accountContext = (resource: string, account: string): string =>
  `resource_accounts:password_sealed:${JSON.stringify([resource, account])}`

export function createCredentialStore(db: Db, masterKey: MasterKey): CredentialStore {
  return {
    async fetchPassword(resource, account) {
      const row = await db
        .selectFrom('resource_accounts')
        .select('password_sealed')
        .where('resource', '=', resource)
        .where('name', '=', account)
        .executeTakeFirst()
      const sealed = row?.password_sealed ?? null
      return sealed === null ? undefined : masterKey.open(sealed, accountContext(resource, account)).reveal()
    },
  }
}
