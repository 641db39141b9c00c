// A login that is being opened and the removal or disabling of its person do not pass each other: whichever holds the person's row
// first is seen by the other. Called in transactions by logins.ts and admin/remove.ts; admin/apply.ts writes the row anyway.
import type { Db } from '../store/store.ts'

/**
 * Waits until no other transaction changes this person, and keeps them as they are until this one ends.
 * @returns the person as they are now; undefined if there is none
 */
export const holdPerson = (
  trx: Db,
  name: string,
): Promise<{ level: 'none' | 'viewer' | 'editor' | 'admin'; disabled: number } | undefined> =>
  trx
    .updateTable('users')
    // `select … for update`, in words that SQLite has too.
    .set((row) => ({ disabled: row.ref('disabled') }))
    .where('name', '=', name)
    .returning(['level', 'disabled'])
    .executeTakeFirst()
