// One login in the browser: its link, what it is bound to, and how far it is. Made and driven by sso-logins.ts, looked up by
// door.ts. Pure but for the randomness that it is given.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { LoginView } from '../../shared/app-state.ts'
import type { PosternError } from '../../shared/errors.ts'
import type { Profile } from '../profiles/profile.ts'

export type SsoProgress = NonNullable<LoginView['ssoProgress']>

/**
 * `starting`: the server is asked for it; `browser`: the link works; `returned`: the answer is being redeemed; the others are ends.
 * `over`: given up (cancelled, begun anew), or somebody logged in otherwise.
 */
export type SsoStep = 'starting' | 'browser' | 'returned' | 'succeeded' | 'failed' | 'over'

/** What the server said of it. */
export type Begun = { ssoId: string; authorizationUrl: string; state: string }

export type SsoAttempt = {
  readonly profile: Profile
  /** The host whose person clicked. */
  readonly hostId: number
  readonly ttlSeconds: number | undefined
  /** Only this core has it: without it nobody can finish the login at the server (PKCE, RFC 7636). */
  readonly verifier: string
  /** In the path of the link that starts it. */
  readonly token: string
  /** In the path of the page that the browser ends on, so that no code stays in its address bar or history. */
  readonly doneToken: string
  /** What binds the browser (W7): the one that opened the link has it, and has to bring it back. */
  readonly cookie: { name: string; value: string }
  readonly sinceMs: number
  /** Aborts when it is given up. */
  readonly abort: AbortController
  step: SsoStep
  begun: Begun | undefined
  /** When the link ends, in ms since the epoch by this machine's clock. */
  expiresAtMs: number
  error: PosternError | undefined
}

const token = (): string => randomBytes(32).toString('base64url')

export function newAttempt(
  options: Pick<SsoAttempt, 'profile' | 'hostId' | 'ttlSeconds' | 'sinceMs' | 'expiresAtMs'>,
): SsoAttempt {
  return {
    ...options,
    verifier: token(),
    token: token(),
    doneToken: token(),
    // A name of its own each: cookies of 127.0.0.1 do not separate ports, and two logins must not overwrite each other's.
    cookie: { name: `postern-sso-${randomBytes(8).toString('hex')}`, value: token() },
    abort: new AbortController(),
    step: 'starting',
    begun: undefined,
    error: undefined,
  }
}

/** The S256 challenge of a verifier. */
export const challengeOf = (verifier: string): string => createHash('sha256').update(verifier).digest('base64url')

/** Whether two secrets are the same, in a time that does not tell where they differ. */
export const isSameSecret = (one: string, other: string): boolean =>
  timingSafeEqual(createHash('sha256').update(one).digest(), createHash('sha256').update(other).digest())

export const isUnderWay = ({ step }: SsoAttempt): boolean =>
  step === 'starting' || step === 'browser' || step === 'returned'

/** What hosts are shown; undefined before there is a link, and after the end. */
export function progressOf(attempt: SsoAttempt, url: string): SsoProgress | undefined {
  const { step } = attempt
  if (step !== 'browser' && step !== 'returned' && step !== 'failed') return undefined
  return {
    step,
    text: attempt.error?.message ?? null,
    url,
    since: new Date(attempt.sinceMs).toISOString(),
    expiresAt: new Date(attempt.expiresAtMs).toISOString(),
  }
}
