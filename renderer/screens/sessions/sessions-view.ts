// Which sessions the screen shows: whose, in which state, matching which words. Kept while the window lives, so that going away and
// coming back shows the same; set from elsewhere (a gateway's page, the palette) by `showSessions`.
import { create } from 'zustand'
import { hasAccounts, type ResourceProtocol } from '../../../shared/names.ts'
import type { SessionView } from '../../../shared/session-api.ts'
import { navigate } from '../../navigation.ts'
import { texts } from '../../texts.ts'
import { stateOf } from './session-words.ts'

export type SessionsFilter = {
  scope: 'mine' | 'all'
  state: 'live' | 'ended' | 'any'
  words: string
  /** Those of one gateway. */
  only: { resource: string; account: string; protocol: string } | null
  /** How many are asked for. */
  limit: number
}

const START: SessionsFilter = { scope: 'mine', state: 'live', words: '', only: null, limit: 200 }

export const useSessionsFilter = create<SessionsFilter>(() => START)
export const setFilter = (change: Partial<SessionsFilter>): void => useSessionsFilter.setState(change)

/** Goes to the screen, with this filter and no other. */
export function showSessions(filter: Partial<SessionsFilter>): void {
  useSessionsFilter.setState({ ...START, ...filter })
  navigate({ screen: 'sessions', session: null })
}

/** The account that people know; tcp resources have none. */
export const accountOf = ({ protocol, account }: { protocol: string; account: string }): string | null =>
  isKnown(protocol) && !hasAccounts(protocol) ? null : account

/** As people say it, also for a kind that this version does not know. */
export const protocolOf = (protocol: string): string => (isKnown(protocol) ? texts.protocol[protocol] : protocol)

const isKnown = (protocol: string): protocol is ResourceProtocol => Object.hasOwn(texts.protocol, protocol)

/** Every word has to occur somewhere in what one sees of a session, or begin its id. */
export function filterSessions(
  sessions: readonly SessionView[],
  { words, only }: Pick<SessionsFilter, 'words' | 'only'>,
): readonly SessionView[] {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean)
  if (wanted.length === 0 && only === null) return sessions
  return sessions.filter((session) => {
    if (only && (session.resource !== only.resource || session.account !== only.account)) return false
    const why = session.endReason === null ? '' : (texts.sessions.endedShort[session.endReason] ?? session.endReason)
    const text = [
      ...[session.resource, session.account, session.user, session.address, protocolOf(session.protocol)],
      ...[texts.sessionState[stateOf(session)], why, session.endedBy ?? ''],
    ]
      .join('\n')
      .toLowerCase()
    return wanted.every((word) => text.includes(word) || session.id.startsWith(word))
  })
}
