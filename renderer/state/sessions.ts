// Sessions as the cluster has them, for whoever looks: watched while the page is visible and connected, never otherwise. The core
// asks the server and tells what changed (`sessions.updated`); here it becomes one list, newest first.
import { useEffect, useRef, useState, useSyncExternalStore } from 'react'
import { isErrorCode, PosternError } from '../../shared/errors.ts'
import type { SessionView } from '../../shared/session-api.ts'
import { client } from '../transport/connection.ts'
import type { CallParams, PageEventPayload } from '../transport/rpc-client.ts'
import { asPosternError } from './call.ts'
import { useIsLive } from './selectors.ts'

export type SessionWatch = Omit<CallParams<'sessions.watch'>, 'watch'>
export type SessionListing = {
  /** `failed`: what is listed is how it was at `asOf`. */
  status: 'loading' | 'ready' | 'failed'
  sessions: readonly SessionView[]
  error: PosternError | null
  /** The core asks again by itself. */
  isTriedAgain: boolean
  hasMore: boolean
  /** By this machine's clock. */
  asOf: string | null
}

const LOADING: SessionListing = {
  ...{ status: 'loading', sessions: [], error: null, hasMore: false, asOf: null },
  isTriedAgain: false,
}

/** The listing after one update. Sessions that did not change stay the same objects. */
export function applyUpdate(before: SessionListing, update: PageEventPayload<'sessions.updated'>): SessionListing {
  const { status, error, isWhole, sessions, removed, hasMore, asOf } = update
  if (status === 'failed') {
    const code = error !== null && isErrorCode(error.code) ? error.code : 'internal'
    return {
      ...{ ...before, status, error: new PosternError(code, error?.text ?? ''), asOf: asOf ?? before.asOf },
      isTriedAgain: true,
    }
  }
  const byId = new Map(isWhole ? [] : before.sessions.map((session) => [session.id, session]))
  for (const id of removed) byId.delete(id)
  for (const session of sessions) byId.set(session.id, session)
  const newestFirst = [...byId.values()].sort(
    (a, b) => b.startedAt.localeCompare(a.startedAt) || b.id.localeCompare(a.id),
  )
  return { status, sessions: newestFirst, error: null, hasMore, asOf, isTriedAgain: false }
}

let watches = 0
const newWatchId = (): string => {
  watches += 1
  return `page-${Math.random().toString(36).slice(2)}-${watches}`
}

/** What is watched now; keep `watch` out of the way with null. Another watch begins with an empty list. */
export function useSessions(watch: SessionWatch | null): SessionListing {
  const key = watch === null ? null : JSON.stringify(watch)
  const [state, setState] = useState<{ key: string | null; listing: SessionListing }>({ key, listing: LOADING })
  const latest = useRef(watch)
  useEffect(() => {
    latest.current = watch
  })
  const isLive = useIsLive()
  const isVisible = useSyncExternalStore(onVisibility, () => document.visibilityState === 'visible')
  const isWatching = key !== null && isLive && isVisible
  useEffect(() => {
    const wanted = latest.current
    if (!isWatching || wanted === null) return
    const id = newWatchId()
    const change = (update: (before: SessionListing) => SessionListing): void =>
      setState((before) => ({ key, listing: update(before.key === key ? before.listing : LOADING) }))
    const stop = client.on('sessions.updated', (payload) => {
      if (payload.watch === id) change((before) => applyUpdate(before, payload))
    })
    client.call('sessions.watch', { ...wanted, watch: id }).catch((failure: unknown) => {
      change((before) => ({ ...before, status: 'failed', error: asPosternError(failure), isTriedAgain: false }))
    })
    return () => {
      stop()
      // A connection that is gone watches nothing any more.
      client.call('sessions.unwatch', { watch: id }).catch(() => undefined)
    }
  }, [key, isWatching])
  return state.key === key ? state.listing : LOADING
}

function onVisibility(changed: () => void): () => void {
  document.addEventListener('visibilitychange', changed)
  return () => document.removeEventListener('visibilitychange', changed)
}
