// The resources of each profile as the cluster told them last: loaded when somebody looks and the profile can answer,
// again when it becomes ready (a login may change what one sees) or the core says that something changed, and on demand. Nothing is
// polled.
import { useEffect } from 'react'
import type { ResourceView } from '../../shared/resource-api.ts'
import { client } from '../transport/connection.ts'
import { asPosternError } from './call.ts'
import { useMirror, type ResourceListing } from './store.ts'

const EMPTY: readonly ResourceView[] = []
/** Questions under way, with the version of the resources at which each was asked. */
const loading = new Map<string, { version: number; question: Promise<void> }>()

const versionOf = (profile: string): number => useMirror.getState().app?.profiles[profile]?.resourcesVersion ?? 0

function setListing(profile: string, listing: ResourceListing): void {
  useMirror.setState((mirror) => ({ resources: { ...mirror.resources, [profile]: listing } }))
}

/**
 * Asks the cluster again; several callers share one question, unless something changed since it was asked: then it is asked once
 * more after it. The outcome is in the store.
 */
export function loadResources(profile: string): Promise<void> {
  const running = loading.get(profile)
  const version = versionOf(profile)
  if (running?.version === version) return running.question
  if (running) return running.question.then(() => loadResources(profile))
  const before = useMirror.getState().resources[profile]?.resources ?? EMPTY
  setListing(profile, { status: 'loading', resources: before })
  const question = client
    .call('resource.list', { profile })
    .then(
      ({ resources, leftOut }) => setListing(profile, { status: 'ready', resources, leftOut }),
      (failure: unknown) =>
        setListing(profile, { status: 'failed', resources: before, error: asPosternError(failure) }),
    )
    .finally(() => loading.delete(profile))
  loading.set(profile, { version, question })
  return question
}

/** The listing of `profile`, loaded as soon as its login is good; undefined before that. */
export function useResources(profile: string | null): ResourceListing | undefined {
  const listing = useMirror((mirror) => (profile === null ? undefined : mirror.resources[profile]))
  const isLive = useMirror((mirror) => mirror.link === 'live')
  const login = useMirror((mirror) => {
    const view = profile === null ? undefined : mirror.app?.profiles[profile]
    return view && (view.state === 'ready' || view.state === 'expiring') ? view.expiresAt : null
  })
  const version = useMirror((mirror) => (profile === null ? 0 : mirror.app?.profiles[profile]?.resourcesVersion))
  useEffect(() => {
    if (profile !== null && login !== null && isLive) void loadResources(profile)
  }, [profile, login, isLive, version])
  return listing
}
