// The state machine of a profile (D3), as data: which facts make which state, and which state may follow which. Window, tray
// and CLI are projections of it. Pure; called by profile.ts.
import type { ProfileView } from '../../shared/rpc.ts'

export type ProfileState = ProfileView['state']

export type ProfileFacts = {
  hasCertificate: boolean
  /** A password is on its way to the server. */
  isLoggingIn: boolean
  /** The server refused this person (disabled, unknown certificate), not just this password. */
  isRefused: boolean
  /** The server said that the login has ended, whatever the certificate says. */
  isEnded: boolean
  isOffline: boolean
  /** Milliseconds of the user certificate's life: left, and all of it. */
  remainingMs: number
  lifeMs: number
}

/** A login is `expiring` in the last tenth of its life, at most this long, in ms. */
const EXPIRING_MAX_MS = 10 * 60_000

/** How long before its end a login of this life is `expiring`, in ms. */
export const expiringWithinMs = (lifeMs: number): number => Math.min(lifeMs / 10, EXPIRING_MAX_MS)

/** The first rule that holds gives the state. Never looks connected when expired: expiry comes before everything but a login. */
const RULES: readonly { state: ProfileState; when: (facts: ProfileFacts) => boolean }[] = [
  { state: 'logging in', when: (facts) => facts.isLoggingIn },
  { state: 'refused', when: (facts) => facts.isRefused },
  { state: 'signed out', when: (facts) => !facts.hasCertificate },
  { state: 'expired', when: (facts) => facts.isEnded || facts.remainingMs <= 0 },
  { state: 'offline', when: (facts) => facts.isOffline },
  { state: 'expiring', when: (facts) => facts.remainingMs < expiringWithinMs(facts.lifeMs) },
  { state: 'ready', when: () => true },
]

/** Which state may follow which; a test walks the rules against it. */
export const PROFILE_TRANSITIONS: Readonly<Record<ProfileState, readonly ProfileState[]>> = {
  'signed out': ['logging in', 'refused'],
  ready: ['expiring', 'expired', 'offline', 'logging in', 'refused', 'signed out'],
  expiring: ['ready', 'expired', 'offline', 'logging in', 'refused', 'signed out'],
  expired: ['logging in', 'refused', 'signed out'],
  'logging in': ['ready', 'expiring', 'expired', 'offline', 'refused', 'signed out'],
  refused: ['logging in', 'signed out'],
  offline: ['ready', 'expiring', 'expired', 'logging in', 'refused', 'signed out'],
}

export const profileStateOf = (facts: ProfileFacts): ProfileState =>
  RULES.find((rule) => rule.when(facts))?.state ?? 'signed out'
