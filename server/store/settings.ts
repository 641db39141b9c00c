// The server's own few values that are data, not configuration: one text per key. Called by init, ca/ and accounts/.
import type { Db } from './store.ts'

export type SettingKey =
  /** Name of the cluster that this store was initialised for. */
  | 'cluster'
  /** SHA-256 of the one-time setup code, hexadecimal; gone once it was used. */
  | 'setup_code'
  /** JSON of ca/server-tls.ts. */
  | 'server_tls'
  /** When the audit log had the disk take what was committed; only the change of it counts (audit/sqlite-row-writer-thread.ts). */
  | 'audit_synced_at'

export async function readSetting(db: Db, key: SettingKey): Promise<string | undefined> {
  return (await db.selectFrom('settings').select('value').where('key', '=', key).executeTakeFirst())?.value
}

/** Sets or replaces. */
export async function writeSetting(db: Db, key: SettingKey, value: string): Promise<void> {
  await db
    .insertInto('settings')
    .values({ key, value })
    .onConflict((conflict) => conflict.column('key').doUpdateSet({ value }))
    .execute()
}
