// Proving who someone is: password, then TOTP where the account has it. Called by logins and by changes of one's account.
// Unknown people get the same answer after the same work as a wrong password.
import type { Selectable } from 'kysely'
import { PosternError } from '../../shared/errors.ts'
import type { MasterKey } from '../secrets/master-key.ts'
import type { Secret } from '../secrets/secret.ts'
import type { Tables } from '../store/schema.ts'
import type { Db } from '../store/store.ts'
import { isPassword } from './password.ts'
import { matchTotpStep } from './totp.ts'

export type UserRow = Selectable<Tables['users']>

/** Where a person's TOTP seed is sealed to; the pending one of an enrolment has its own place. */
export const totpContext = (user: string): string => `users:totp_sealed:${user}`
export const pendingTotpContext = (user: string): string => `users:totp_pending_sealed:${user}`

/** @throws PosternError `bad_credentials`, `user_disabled` (only told to who knows the password) */
export async function provePassword(db: Db, name: string, password: string): Promise<UserRow> {
  const user = await db.selectFrom('users').selectAll().where('name', '=', name).executeTakeFirst()
  if (!(await isPassword(password, user?.password_hash)) || user === undefined)
    throw new PosternError('bad_credentials', 'wrong user name or password')
  if (user.disabled !== 0)
    throw new PosternError('user_disabled', `the account ${name} is disabled; ask an administrator of the cluster`)
  return user
}

/**
 * Checks a person's second factor and uses its step up; nothing to do for accounts without one.
 * @throws PosternError `totp_required`, `totp_invalid` (wrong, or used before)
 */
export async function proveTotp(
  db: Db,
  masterKey: MasterKey,
  user: UserRow,
  code: string | undefined,
  now: Date,
): Promise<void> {
  if (user.totp_sealed === null) return
  if (code === undefined || code === '')
    throw new PosternError('totp_required', 'this account also needs a code from its authenticator app')
  await consumeTotpStep(
    db,
    user.name,
    requireTotpStep(masterKey.open(user.totp_sealed, totpContext(user.name)), code, now),
  )
}

/** The step of a code. @throws PosternError `totp_invalid` */
export function requireTotpStep(seed: Secret, code: string, now: Date): number {
  const step = matchTotpStep(seed, code, now)
  if (step === undefined)
    throw new PosternError(
      'totp_invalid',
      'wrong code from the authenticator app; check that the clock of the device that shows it is right',
    )
  return step
}

/** Only one request gets a step, whatever races; the used step and all older ones are refused. */
async function consumeTotpStep(db: Db, user: string, step: number): Promise<void> {
  const { numUpdatedRows } = await db
    .updateTable('users')
    .set({ totp_last_step: step })
    .where('name', '=', user)
    .where('totp_last_step', '<', step)
    .executeTakeFirst()
  if (numUpdatedRows !== 1n)
    throw new PosternError('totp_invalid', 'this code was used already; wait for the next one (at most 30 s)')
}
