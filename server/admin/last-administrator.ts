// A cluster always keeps somebody who can administrate it. Called at the end of every transaction that changes people.
import { PosternError } from '../../shared/errors.ts'
import type { Db } from '../store/store.ts'

/** @throws PosternError `conflict`, which undoes the transaction */
export async function requireAnAdministrator(db: Db): Promise<void> {
  const admin = await db
    .selectFrom('users')
    .select('name')
    .where('level', '=', 'admin')
    .where('disabled', '=', 0)
    .executeTakeFirst()
  if (!admin)
    throw new PosternError('conflict', 'this would leave the cluster without an administrator; make another one first')
}
