// Logging in with the identity provider: begins a login, and finds out who came back from it. Called by the web API (begin) and
// by accounts/logins.ts (which opens the login of the person found). Promises: each begun login can be finished once, only by
// whoever has its verifier, only with the state that went out; nobody is made a person by the provider's word.
import { createHash, timingSafeEqual } from 'node:crypto'
import type { SsoFinishRequest, SsoStartRequest, SsoStartResponse } from '../../shared/login-api.ts'
import { PosternError } from '../../shared/errors.ts'
import type { Peer } from '../accounts/peer.ts'
import type { UserRow } from '../accounts/proof.ts'
import type { RateLimit } from '../accounts/rate-limit.ts'
import type { MasterKey } from '../secrets/master-key.ts'
import type { Clock } from '../seams.ts'
import type { Db } from '../store/store.ts'
import type { Provider, VouchedPerson } from './provider.ts'
import { addSsoRequest, takeSsoRequest } from './sso-requests.ts'

export type SsoLoginsOptions = { db: Db; masterKey: MasterKey; rateLimit: RateLimit; provider: Provider; now: Clock }

export interface SsoLogins {
  /** What people call the provider. */
  readonly name: string
  /** @throws PosternError `rate_limited`, `sso_unreachable`, `misconfigured` */
  begin(request: SsoStartRequest, peer: Peer): Promise<Omit<SsoStartResponse, 'serverTime'>>
  /**
   * The person of this cluster who logged in at the provider.
   * @throws PosternError `sso_failed`, `sso_denied` (detail `{person}`: what the provider called them), `user_disabled`,
   * `sso_unreachable`, `misconfigured`
   */
  finish(request: SsoFinishRequest): Promise<UserRow>
}

export function createSsoLogins({ db, masterKey, rateLimit, provider, now }: SsoLoginsOptions): SsoLogins {
  return {
    name: provider.name,

    async begin({ redirectUri, challenge }, peer) {
      rateLimit.count(peer.host)
      const { authorizationUrl, journey } = await provider.begin(redirectUri)
      const { id, expiresAt } = await addSsoRequest(
        db,
        masterKey,
        { redirectUri, challenge, journey, address: peer.address },
        now(),
      )
      return { ssoId: id, authorizationUrl, state: journey.state, expiresAt: expiresAt.toISOString() }
    },

    async finish({ ssoId, verifier, code, state, iss }) {
      // Taken first: whatever is wrong with this attempt, there is no second one.
      const begun = await takeSsoRequest(db, masterKey, ssoId, now())
      if (!begun) throw failed('this login was finished already, or is not known to the server')
      if (begun.isExpired) throw failed('this login took longer than 10 minutes')
      const isOwner = isSame(createHash('sha256').update(verifier).digest('base64url'), begun.challenge)
      if (!isOwner || !isSame(state, begun.journey.state))
        throw failed('this answer does not belong to the login that was begun')
      const person = await provider.redeem({ redirectUri: begun.redirectUri, code, iss, ...begun.journey })
      return findPerson(db, person, provider.name)
    },
  }
}

const failed = (why: string): PosternError => new PosternError('sso_failed', `${why}; log in again`)

const isSame = (one: string, other: string): boolean => {
  const [a, b] = [one, other].map((text) => createHash('sha256').update(text).digest())
  return a !== undefined && b !== undefined && timingSafeEqual(a, b)
}

/** The one person here whom the provider means. Several would be a guess, so they are nobody. */
async function findPerson(db: Db, { claim, value }: VouchedPerson, provider: string): Promise<UserRow> {
  const people = db.selectFrom('users').selectAll()
  const found =
    claim === 'preferred_username'
      ? await people.where('name', '=', value).execute()
      : await people
          // Domains have no case, and no provider of note tells mailboxes apart by it.
          .where((where) => where(where.fn<string>('lower', ['email']), '=', value.toLowerCase()))
          .limit(2)
          .execute()
  const [user, another] = found
  const detail = { person: value }
  if (!user)
    throw new PosternError(
      'sso_denied',
      `${provider} knows you as ${value}, but nobody of that ${claim === 'email' ? 'email' : 'name'} is known here; ask an administrator of the cluster`,
      { detail },
    )
  if (another)
    throw new PosternError(
      'sso_denied',
      `${provider} knows you as ${value}, and several people here have that email; ask an administrator of the cluster`,
      { detail },
    )
  if (user.disabled !== 0)
    throw new PosternError(
      'user_disabled',
      `the account ${user.name} is disabled; ask an administrator of the cluster`,
      {
        detail,
      },
    )
  return user
}
