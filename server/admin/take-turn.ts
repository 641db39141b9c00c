// Changes of people, roles, resources and grants come one after the other, also on PostgreSQL, where transactions run side by side:
// two that each see the other's administrator would leave none, and one that keeps a password could bring back the one before it.
// Called by apply.ts and remove.ts.
import type { Db } from '../store/store.ts'

/** The first thing in the transaction of a change: it begins to read when the one before it is committed or undone. */
export async function takeTurn(trx: Db): Promise<void> {
  // Who writes this row waits for whoever has written it (in SQLite: for the store's one writer). What it says stays.
  await trx
    .updateTable('settings')
    .set((row) => ({ value: row.ref('value') }))
    .where('key', '=', 'cluster')
    .execute()
}
