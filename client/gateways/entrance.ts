// Who may use a gateway, decided from what is known of whoever connected and whether the gateway has a password of its own
// (G18). Written as a table, so that every case is a decision that was made. Pure; called by connection.ts.
import type { PeerVerdict } from './local-user.ts'

export type Entrance =
  | 'open'
  /** Only with the gateway's password. */
  | 'by password'
  | 'refused'
  /** Nobody is there: closed without a word. */
  | 'nobody'

type Rule = { withPassword: Entrance; without: Entrance }

const RULES: Readonly<Record<PeerVerdict, Rule>> = {
  // The password is asked of its owner too: programs of the same person that should not get in, do not.
  owner: { withPassword: 'by password', without: 'open' },
  'another user': { withPassword: 'refused', without: 'refused' },
  gone: { withPassword: 'nobody', without: 'nobody' },
  // macOS and Windows: the password is the check. A gateway without one was made so by its owner (--no-password), or its
  // protocol has no password; both are said where it is opened.
  'not told': { withPassword: 'by password', without: 'open' },
  // Closed, not open: a check that fails must not be a way round itself.
  unreadable: { withPassword: 'refused', without: 'refused' },
}

/** What a connection has to bring. */
export const entranceFor = (verdict: PeerVerdict, hasPassword: boolean): Entrance =>
  hasPassword ? RULES[verdict].withPassword : RULES[verdict].without

/** What keeps other users of the machine out of a gateway's port; `nothing` is said wherever it is shown. */
export type Guard = 'local user' | 'password' | 'nothing'

export const guardOf = (canTellUsers: boolean, hasPassword: boolean): Guard =>
  hasPassword ? 'password' : canTellUsers ? 'local user' : 'nothing'
