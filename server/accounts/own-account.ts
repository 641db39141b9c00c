// What people change about their own account: password and TOTP. Called by the web API, after the login; both ask for the
// password once more, so that an unlocked machine is not enough.
import { PosternError } from '../../shared/errors.ts'
import type { MasterKey } from '../secrets/master-key.ts'
import type { AuditEntry, Clock, TransactionalAuditLog } from '../seams.ts'
import type { Db } from '../store/store.ts'
import type { Peer } from './peer.ts'
import { hashPassword } from './password.ts'
import { pendingTotpContext, provePassword, requireTotpStep, totpContext } from './proof.ts'
import type { RateLimit } from './rate-limit.ts'
import { newTotpSeed, totpUri } from './totp.ts'

export type OwnAccountOptions = {
  db: Db
  /** Whoever takes over an account begins with a change of it: none is there without its record. */
  audit: Pick<TransactionalAuditLog, 'transaction'>
  masterKey: MasterKey
  rateLimit: RateLimit
  cluster: string
  now: Clock
}

/** Who changes their own account, by which of their logins. */
export type Owner = { user: string; loginId: string }

export interface OwnAccount {
  /** @throws PosternError `rate_limited`, `bad_credentials` */
  changePassword(owner: Owner, current: string, next: string, peer: Peer): Promise<void>
  /** A new seed, which counts once a code of it came back. @throws PosternError `rate_limited`, `bad_credentials` */
  startTotp(user: string, password: string, peer: Peer): Promise<{ secret: string; uri: string }>
  /** @throws PosternError `rate_limited`, `totp_invalid`, `conflict` if no enrolment is under way */
  confirmTotp(owner: Owner, code: string, peer: Peer): Promise<void>
}

export function createOwnAccount({ db, audit, masterKey, rateLimit, cluster, now }: OwnAccountOptions): OwnAccount {
  return {
    async changePassword(owner, current, next, peer) {
      const { user } = owner
      await rateLimit.attempt(user, peer.host, () => provePassword(db, user, current))
      const password_hash = await hashPassword(next)
      await audit.transaction(
        (trx) => trx.updateTable('users').set({ password_hash }).where('name', '=', user).execute(),
        () => [changeOf(owner, peer, 'password')],
      )
    },

    async startTotp(user, password, peer) {
      await rateLimit.attempt(user, peer.host, () => provePassword(db, user, password))
      const seed = newTotpSeed()
      await db
        .updateTable('users')
        .set({ totp_pending_sealed: masterKey.seal(seed, pendingTotpContext(user)) })
        .where('name', '=', user)
        .execute()
      return { secret: seed.reveal(), uri: totpUri(seed, cluster, user) }
    },

    async confirmTotp(owner, code, peer) {
      const { user } = owner
      await rateLimit.attempt(user, peer.host, async () => {
        const row = await db
          .selectFrom('users')
          .select('totp_pending_sealed')
          .where('name', '=', user)
          .executeTakeFirst()
        const pending = row?.totp_pending_sealed ?? null
        if (pending === null)
          throw new PosternError('conflict', 'no TOTP enrolment is under way; begin with `postern account totp`')
        const seed = masterKey.open(pending, pendingTotpContext(user))
        const step = requireTotpStep(seed, code, now())
        await audit.transaction(
          (trx) =>
            trx
              .updateTable('users')
              .set({
                totp_sealed: masterKey.seal(seed, totpContext(user)),
                totp_pending_sealed: null,
                // The code that confirmed it is used up, too.
                totp_last_step: step,
              })
              .where('name', '=', user)
              // Of two enrolments at once only the one that was confirmed counts.
              .where('totp_pending_sealed', '=', pending)
              .execute(),
          () => [changeOf(owner, peer, 'totp')],
        )
      })
    },
  }
}

const changeOf = ({ user, loginId }: Owner, { address }: Peer, change: 'password' | 'totp'): AuditEntry => ({
  event: 'account.change',
  user,
  login: loginId,
  address,
  detail: { change },
})
