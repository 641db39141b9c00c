// Sessions, live: a list of any length (one's own, or everyone's for who may see them) beside the page of the selected one. What is
// shown stays when the server cannot be asked, and says how old it is.
import { Activity, SearchX } from 'lucide-react'
import { useDeferredValue, useEffect, useMemo, useState } from 'react'
import { PosternError } from '../../../shared/errors.ts'
import type { ProfileView } from '../../../shared/rpc.ts'
import type { SessionView } from '../../../shared/session-api.ts'
import { Button } from '../../components/button.tsx'
import { Callout } from '../../components/callout.tsx'
import { EmptyState, ErrorState } from '../../components/empty-state.tsx'
import { Spinner } from '../../components/spinner.tsx'
import { VirtualList } from '../../components/virtual-list.tsx'
import { asSentence } from '../../dialogs/as-sentence.ts'
import { formatTime } from '../../format.ts'
import { navigate } from '../../navigation.ts'
import { askLogin } from '../../state/call.ts'
import { useCurrentProfile, useIsLive } from '../../state/selectors.ts'
import { useSessions, type SessionListing } from '../../state/sessions.ts'
import { texts } from '../../texts.ts'
import { maySeeEveryone } from './rights.ts'
import { SessionPage } from './session-page.tsx'
import { SessionRow } from './session-row.tsx'
import { SessionsBar } from './sessions-bar.tsx'
import { filterSessions, setFilter, useSessionsFilter, type SessionsFilter } from './sessions-view.ts'
import styles from './sessions.module.css'

const words = texts.sessions
const ROW_HEIGHT = 56
/** The most that a page of the server has. */
const LIMIT_MAX = 2000

export function Sessions({ selected }: { selected: string | null }) {
  const profile = useCurrentProfile()
  if (!profile) return <EmptyState title={texts.resources.noProfileTitle} text={texts.resources.noProfileText} />
  // Another person's sessions are none of this one's.
  return <ProfileSessions key={`${profile.profile} ${profile.user ?? ''}`} profile={profile} selected={selected} />
}

function ProfileSessions({ profile, selected }: { profile: ProfileView; selected: string | null }) {
  const filter = useSessionsFilter()
  const mayAll = maySeeEveryone(profile.level)
  const scope = mayAll ? filter.scope : 'mine'
  const { state, limit } = filter
  const hasLogin = profile.state !== 'signed out' && profile.user !== null
  const listing = useSessions(hasLogin ? { profile: profile.profile, scope, state, limit } : null)
  const settled = useDeferredValue(filter)
  const shown = useMemo(() => filterSessions(listing.sessions, settled), [listing.sessions, settled])
  const current = useSelected(profile, selected, listing, hasLogin)

  // The first one is shown on arrival, and stays when others come before it.
  const first = shown[0]?.id ?? null
  useEffect(() => {
    if (selected === null && first !== null) navigate({ screen: 'sessions', session: first }, { replace: true })
  }, [selected, first])

  return (
    <div className={styles.screen}>
      <section className={styles.list} aria-labelledby="sessions-title">
        <SessionsBar
          filter={{ ...filter, scope }}
          mayAll={mayAll}
          shown={shown.length}
          all={listing.sessions.length}
          isKnown={listing.status === 'ready' || listing.sessions.length > 0}
        />
        <List
          profile={profile}
          listing={listing}
          shown={shown}
          selected={current?.id ?? selected}
          filter={{ ...filter, scope }}
          hasLogin={hasLogin}
        />
      </section>
      <section
        className={styles.page}
        id="session-page"
        tabIndex={-1}
        aria-label={current ? words.named(current.resource, current.account) : words.pickTitle}
      >
        {current ? (
          <SessionPage key={current.id} session={current} profile={profile} />
        ) : (
          listing.sessions.length > 0 && (
            <EmptyState icon={<Activity />} title={words.pickTitle} text={words.pickText} />
          )
        )}
      </section>
    </div>
  )
}

/** The selected session: as the list has it, else watched on its own; what was seen of it last, until there is more. */
function useSelected(
  profile: ProfileView,
  selected: string | null,
  listing: SessionListing,
  hasLogin: boolean,
): SessionView | null {
  const listed = listing.sessions.find(({ id }) => id === selected)
  const isAlone = hasLogin && selected !== null && listed === undefined && listing.status !== 'loading'
  const alone = useSessions(isAlone ? { profile: profile.profile, session: selected } : null)
  const known = listed ?? alone.sessions[0]
  const [seen, setSeen] = useState<SessionView | null>(null)
  if (known !== undefined && known !== seen) setSeen(known)
  return known ?? (seen?.id === selected && hasLogin ? seen : null)
}

type ListProps = {
  profile: ProfileView
  listing: SessionListing
  shown: readonly SessionView[]
  selected: string | null
  filter: SessionsFilter
  hasLogin: boolean
}

function List({ profile, listing, shown, selected, filter, hasLogin }: ListProps) {
  const canAsk = useIsLive()
  const isLoggedIn = profile.state === 'ready' || profile.state === 'expiring'
  const logIn = (
    <Button kind="primary" disabled={!canAsk} onClick={() => askLogin(profile.profile)}>
      {texts.common.logIn}
    </Button>
  )
  if (listing.sessions.length === 0) {
    if (!hasLogin || (!isLoggedIn && profile.state !== 'offline'))
      return (
        <EmptyState
          icon={<Activity />}
          title={words.loginTitle}
          text={words.loginText(profile.profile)}
          action={logIn}
        />
      )
    if (listing.status === 'failed' && listing.error)
      return <ErrorState title={words.failedTitle} error={toldOf(listing.error, listing.isTriedAgain)} />
    if (listing.status !== 'ready') return <EmptyState icon={<Spinner />} title={texts.common.loading} text="" />
    return <Nothing state={filter.state} />
  }
  return (
    <>
      {listing.status === 'failed' && listing.error && (
        <div className={styles.stale} role="status">
          <Callout tone="warn" aside={isLoggedIn || profile.state === 'offline' ? undefined : logIn}>
            {asSentence(listing.error.message)}{' '}
            {listing.asOf !== null && words.stale(formatTime(listing.asOf, Date.parse(listing.asOf)))}
          </Callout>
        </div>
      )}
      {shown.length === 0 ? (
        <EmptyState
          icon={<SearchX />}
          title={words.noMatchTitle}
          text={words.noMatchText}
          action={<Button onClick={() => setFilter({ words: '', only: null })}>{words.clearFilter}</Button>}
        />
      ) : (
        <VirtualList
          label={words.list}
          items={shown}
          rowHeight={ROW_HEIGHT}
          getKey={idOf}
          selectedKey={selected}
          onSelect={(session) => navigate({ screen: 'sessions', session: session.id }, { replace: true })}
          onActivate={(session) => {
            navigate({ screen: 'sessions', session: session.id }, { replace: true })
            document.getElementById('session-page')?.focus()
          }}
          renderRow={(session) => (
            <SessionRow session={session} isUserShown={filter.scope === 'all'} offsetMs={profile.clockOffsetMs} />
          )}
        />
      )}
      {listing.hasMore && filter.limit < LIMIT_MAX && (
        <p className={styles.more}>
          {words.more}{' '}
          <Button size="small" onClick={() => setFilter({ limit: Math.min(LIMIT_MAX, filter.limit * 4) })}>
            {words.showMore}
          </Button>
        </p>
      )}
    </>
  )
}

const toldOf = (error: PosternError, isTriedAgain: boolean): PosternError =>
  isTriedAgain ? new PosternError(error.code, `${asSentence(error.message)} ${words.tryingAgain}`, error) : error

const idOf = (session: SessionView): string => session.id

function Nothing({ state }: { state: SessionsFilter['state'] }) {
  switch (state) {
    case 'live':
      return (
        <EmptyState
          icon={<Activity />}
          title={words.emptyLive}
          text={words.emptyLiveText}
          action={<Button onClick={() => setFilter({ state: 'ended' })}>{words.showEnded}</Button>}
        />
      )
    case 'ended':
      return <EmptyState icon={<Activity />} title={words.emptyEnded} text={words.emptyEndedText} />
    case 'any':
      return <EmptyState icon={<Activity />} title={words.emptyAny} text={words.emptyLiveText} />
  }
}
