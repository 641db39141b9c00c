// What screens ask the mirror: selectors that keep identity, and the arithmetic of time left by the server's clock.
import { useMemo } from 'react'
import type { AppState, GatewayDetail } from '../../shared/app-state.ts'
import type { ProfileView } from '../../shared/rpc.ts'
import { byName } from '../format.ts'
import { useMirror } from './store.ts'

const NO_GATEWAYS: Readonly<Record<string, GatewayDetail>> = {}
const NO_PROFILES: Readonly<Record<string, ProfileView>> = {}

/** A part of the core's state; `fallback` (keep it the same object) while there is none yet. */
export function useApp<T>(select: (app: AppState) => T, fallback: T): T {
  return useMirror((mirror) => (mirror.app ? select(mirror.app) : fallback))
}

export const useProfiles = (): Readonly<Record<string, ProfileView>> => useApp((app) => app.profiles, NO_PROFILES)
export const useGateways = (): Readonly<Record<string, GatewayDetail>> => useApp((app) => app.gateways, NO_GATEWAYS)
export const useProfile = (name: string | null): ProfileView | null =>
  useApp((app) => (name === null ? null : (app.profiles[name] ?? null)), null)
export const useCurrentProfile = (): ProfileView | null =>
  useApp((app) => (app.currentProfile === null ? null : (app.profiles[app.currentProfile] ?? null)), null)
export const useGateway = (id: string | null): GatewayDetail | null =>
  useApp((app) => (id === null ? null : (app.gateways[id] ?? null)), null)

/** Open gateways of a profile (null: of all), by resource and account. */
export function useGatewayList(profile: string | null): readonly GatewayDetail[] {
  const gateways = useGateways()
  return useMemo(
    () =>
      Object.values(gateways)
        .filter((gateway) => profile === null || gateway.profile === profile)
        .sort((a, b) => byName(a.resource, b.resource) || byName(a.account, b.account)),
    [gateways, profile],
  )
}

/** Whether anything can be asked of the core now. */
export const useIsLive = (): boolean => useMirror((mirror) => mirror.link === 'live')

/** Milliseconds from `now` (this machine's clock) to `at` (the server's), never negative; null if `at` is null. */
export function msUntil(at: string | null, now: number, clockOffsetMs: number): number | null {
  return at === null ? null : Math.max(0, Date.parse(at) - clockOffsetMs - now)
}
