// The state machine of a profile (D3), as data: which facts make which state, and which event may lead from which to which.
// Window, tray, notification and CLI are projections of it. Pure; run by profile.ts, drawn in docs/states.md.
import type { ProfileView } from '../../shared/rpc.ts'
import type { Machine } from '../state-machine.ts'

export type ProfileState = ProfileView['state']

export type ProfileFacts = {
  /** A password is on its way to the server. */
  isLoggingIn: boolean
  /** The server refused this person (disabled, unknown certificate), not just this password. */
  isRefused: boolean
  isOffline: boolean
  /** What is left of the login by the server's clock; `ended`: the server said so, whatever the certificate says. */
  login: 'none' | 'long' | 'short' | 'over' | 'ended'
}

/** A login is `expiring` in the last tenth of its life, at most this long, in ms. */
const EXPIRING_MAX_MS = 10 * 60_000

/** How long before its end a login of this life is `expiring`, in ms. */
export const expiringWithinMs = (lifeMs: number): number => Math.min(lifeMs / 10, EXPIRING_MAX_MS)

/** @param remainingMs until the end of the login, not above zero after it; @param lifeMs all of its life */
export function timeLeft(remainingMs: number, lifeMs: number): 'long' | 'short' | 'over' {
  if (remainingMs <= 0) return 'over'
  return remainingMs < expiringWithinMs(lifeMs) ? 'short' : 'long'
}

type ProfileEvent =
  | 'a login begins'
  | 'the login is answered'
  | 'logged out'
  | 'the server ends the login'
  | 'the server refuses the person'
  | 'the person is allowed again'
  | 'the server is out of reach'
  | 'the server answers'
  | 'time runs short'
  | 'time is up'
  | 'the clock is set right'

/** A login that has been answered leads to whatever is true then. */
const ANSWERED = ['the login is answered'] as const
const LOGIN_BEGINS = ['a login begins'] as const
const LOGGED_OUT = ['logged out'] as const
const REFUSED = ['the server refuses the person'] as const
const ALLOWED = ['the person is allowed again'] as const
const AWAY = ['the server is out of reach'] as const
const BACK = ['the server answers'] as const
const OVER = ['time is up', 'the server ends the login'] as const
const SHORT = ['time runs short'] as const
const CLOCK = ['the clock is set right'] as const

export const PROFILE_MACHINE: Machine<ProfileState, ProfileFacts, ProfileEvent> = {
  name: 'profile',
  // Never looks connected when expired: expiry comes before everything but a login and a refusal.
  rules: [
    { state: 'logging in', when: (facts) => facts.isLoggingIn },
    { state: 'refused', when: (facts) => facts.isRefused },
    { state: 'signed out', when: (facts) => facts.login === 'none' },
    { state: 'expired', when: (facts) => facts.login === 'ended' || facts.login === 'over' },
    { state: 'offline', when: (facts) => facts.isOffline },
    { state: 'expiring', when: (facts) => facts.login === 'short' },
    { state: 'ready', when: () => true },
  ],
  events: {
    'a login begins': (before, after) => !before.isLoggingIn && after.isLoggingIn,
    'the login is answered': (before, after) => before.isLoggingIn && !after.isLoggingIn,
    'logged out': (before, after) => before.login !== 'none' && after.login === 'none',
    'the server ends the login': (before, after) => before.login !== 'ended' && after.login === 'ended',
    'the server refuses the person': (before, after) => !before.isRefused && after.isRefused,
    'the person is allowed again': (before, after) => before.isRefused && !after.isRefused,
    'the server is out of reach': (before, after) => !before.isOffline && after.isOffline,
    'the server answers': (before, after) => before.isOffline && !after.isOffline,
    'time runs short': (before, after) => before.login === 'long' && after.login === 'short',
    'time is up': (before, after) => isRunning(before) && after.login === 'over',
    'the clock is set right': (before, after) =>
      (before.login === 'over' && isRunning(after)) || (before.login === 'short' && after.login === 'long'),
  },
  transitions: {
    'signed out': { 'logging in': LOGIN_BEGINS },
    'logging in': {
      ready: ANSWERED,
      expiring: ANSWERED,
      expired: ANSWERED,
      refused: ANSWERED,
      offline: ANSWERED,
      'signed out': ANSWERED,
    },
    ready: {
      expiring: SHORT,
      expired: OVER,
      offline: AWAY,
      refused: REFUSED,
      'logging in': LOGIN_BEGINS,
      'signed out': LOGGED_OUT,
    },
    expiring: {
      ready: CLOCK,
      expired: OVER,
      offline: AWAY,
      refused: REFUSED,
      'logging in': LOGIN_BEGINS,
      'signed out': LOGGED_OUT,
    },
    expired: {
      ready: CLOCK,
      expiring: CLOCK,
      offline: CLOCK,
      refused: REFUSED,
      'logging in': LOGIN_BEGINS,
      'signed out': LOGGED_OUT,
    },
    offline: {
      ready: BACK,
      expiring: BACK,
      expired: OVER,
      refused: REFUSED,
      'logging in': LOGIN_BEGINS,
      'signed out': LOGGED_OUT,
    },
    refused: {
      ready: ALLOWED,
      expiring: ALLOWED,
      expired: ALLOWED,
      'logging in': LOGIN_BEGINS,
      'signed out': LOGGED_OUT,
    },
  },
}

const isRunning = ({ login }: ProfileFacts): boolean => login === 'long' || login === 'short'
