// Logins at the identity provider that are under way: one row each in the store, so that they outlive a restart of the server.
// Single use, ten minutes, bounded in number (W7). State, nonce and PKCE verifier lie sealed under the master key (C1).
// Called by sso-logins.ts.
import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import { PosternError } from '../../shared/errors.ts'
import type { MasterKey } from '../secrets/master-key.ts'
import { Secret } from '../secrets/secret.ts'
import type { Db } from '../store/store.ts'
import type { Journey } from './provider.ts'

/** Time to log in at the provider, in ms (W7). */
export const SSO_LIFE_MS = 10 * 60_000
/** Rows kept at a time; starts are limited per address as well, so this is far from what people do. */
const PENDING_MAX = 5000

const StoredJourney = z.strictObject({ state: z.string(), nonce: z.string(), codeVerifier: z.string() })
const contextOf = (id: string): string => `sso_requests:journey_sealed:${id}`

export type SsoRequest = { redirectUri: string; challenge: string; journey: Journey; isExpired: boolean }

/**
 * Keeps a login that has begun.
 * @throws PosternError `rate_limited` if too many are under way
 */
export async function addSsoRequest(
  db: Db,
  masterKey: MasterKey,
  request: { redirectUri: string; challenge: string; journey: Journey; address: string },
  now: Date,
): Promise<{ id: string; expiresAt: Date }> {
  const id = randomUUID()
  const expiresAt = new Date(now.getTime() + SSO_LIFE_MS)
  await db.deleteFrom('sso_requests').where('expires_at', '<=', now.toISOString()).execute()
  const { pending } = await db
    .selectFrom('sso_requests')
    .select((row) => row.fn.countAll<number>().as('pending'))
    .executeTakeFirstOrThrow()
  if (pending >= PENDING_MAX)
    throw new PosternError('rate_limited', 'too many logins are under way at this server; try again in some minutes')
  await db
    .insertInto('sso_requests')
    .values({
      id,
      redirect_uri: request.redirectUri,
      challenge: request.challenge,
      journey_sealed: masterKey.seal(new Secret(JSON.stringify(request.journey)), contextOf(id)),
      address: request.address,
      created_at: now.toISOString(),
      expires_at: expiresAt.toISOString(),
    })
    .execute()
  return { id, expiresAt }
}

/** Takes a login out: of two that ask for the same one, whatever races, only one gets it. Undefined if there is none (any more). */
export async function takeSsoRequest(
  db: Db,
  masterKey: MasterKey,
  id: string,
  now: Date,
): Promise<SsoRequest | undefined> {
  const row = await db.deleteFrom('sso_requests').where('id', '=', id).returningAll().executeTakeFirst()
  if (!row) return undefined
  const opened = masterKey.open(row.journey_sealed, contextOf(id)).reveal()
  return {
    redirectUri: row.redirect_uri,
    challenge: row.challenge,
    journey: StoredJourney.parse(JSON.parse(opened)),
    isExpired: new Date(row.expires_at) <= now,
  }
}
