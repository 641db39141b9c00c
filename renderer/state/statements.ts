// What a session ran, newest first: the first page at once, earlier ones when they are asked for, new ones while the session lives
// (whenever its count of statements grows). A search is the server's. Used by the page of a session.
import { useCallback, useEffect, useState } from 'react'
import type { AuditEvent } from '../../shared/audit-api.ts'
import type { PosternError } from '../../shared/errors.ts'
import { asPosternError, call } from './call.ts'
import { useIsLive } from './selectors.ts'

export type StatementListing = {
  status: 'loading' | 'ready' | 'failed'
  /** Newest first. */
  events: readonly AuditEvent[]
  /** There may be earlier ones. */
  next: number | null
  error: PosternError | null
}

const LOADING: StatementListing = { status: 'loading', events: [], next: null, error: null }
const PAGE = 100

/**
 * @param version grows when there is something new
 * @returns with `loadMore` for the page before the ones that are there, and `isLoadingMore`
 */
export function useStatements(
  profile: string,
  session: string,
  search: string,
  version: number,
): StatementListing & { loadMore: () => void; isLoadingMore: boolean } {
  const key = JSON.stringify([profile, session, search])
  const [state, setState] = useState({ key, listing: LOADING })
  const [isLoadingMore, setLoadingMore] = useState(false)
  const listing = state.key === key ? state.listing : LOADING
  const isLive = useIsLive()

  const ask = useCallback(
    (after?: number) =>
      call('sessions.statements', {
        profile,
        session,
        limit: PAGE,
        ...(search === '' ? {} : { search }),
        ...(after === undefined ? {} : { after }),
      }),
    [profile, session, search],
  )

  useEffect(() => {
    if (!isLive) return
    let isOver = false
    const put = (update: (before: StatementListing) => StatementListing): void => {
      if (!isOver) setState((before) => ({ key, listing: update(before.key === key ? before.listing : LOADING) }))
    }
    ask().then(
      (answer) => put((before) => withNewest(before, answer.events, answer.next ?? null)),
      (failure: unknown) => put((before) => ({ ...before, status: 'failed', error: asPosternError(failure) })),
    )
    return () => {
      isOver = true
    }
  }, [ask, key, version, isLive])

  const { next } = listing
  const loadMore = useCallback(() => {
    if (next === null || isLoadingMore) return
    setLoadingMore(true)
    ask(next)
      .then(
        ({ events, next: further }) =>
          setState((before) =>
            before.key === key
              ? {
                  key,
                  listing: {
                    ...before.listing,
                    status: 'ready' as const,
                    events: [...before.listing.events, ...events],
                    next: further ?? null,
                    error: null,
                  },
                }
              : before,
          ),
        (failure: unknown) =>
          setState((before) =>
            before.key === key
              ? { key, listing: { ...before.listing, status: 'failed' as const, error: asPosternError(failure) } }
              : before,
          ),
      )
      .finally(() => setLoadingMore(false))
  }, [ask, key, next, isLoadingMore])

  return { ...listing, loadMore, isLoadingMore }
}

/** The newest page over what is there; where the two do not meet, what is there is too old to stay. */
export function withNewest(
  before: StatementListing,
  newest: readonly AuditEvent[],
  next: number | null,
): StatementListing {
  const oldest = newest.at(-1)?.seq
  const first = before.events[0]?.seq
  if (oldest === undefined || first === undefined || first < oldest)
    return { status: 'ready', events: newest, next, error: null }
  const kept = before.events.filter((event) => event.seq < oldest)
  return {
    status: 'ready',
    events: [...newest, ...kept],
    next: kept.length > 0 ? before.next : next,
    error: null,
  }
}
