// The page's read-only mirror of the core's state (shared/app-state.ts), plus what only this page knows: whether it is
// connected, the resources of each profile, and the last minute of traffic. Written by mirror.ts and resources.ts only.
import { create } from 'zustand'
import { applyChanges, type AppState, type StateChange } from '../../shared/app-state.ts'
import type { ResourceView } from '../../shared/resource-api.ts'
import type { PosternError } from '../../shared/errors.ts'
import { recordTraffic, type TrafficSample } from './traffic.ts'

/** `connecting`: nothing was ever received. `away`: what is shown may be old. */
export type LinkState = 'connecting' | 'live' | 'away'
export type CoreState = { state: 'connected' | 'restarting' | 'failed'; text: string | null }
export type ResourceListing =
  | { status: 'loading'; resources: readonly ResourceView[] }
  /** `leftOut`: so many more are there that this version does not understand. */
  | { status: 'ready'; resources: readonly ResourceView[]; leftOut: number }
  | { status: 'failed'; resources: readonly ResourceView[]; error: PosternError }

export type Mirror = {
  app: AppState | null
  link: LinkState
  core: CoreState
  /** profile → what `resource.list` said last. */
  resources: Readonly<Record<string, ResourceListing>>
  /** gateway → its traffic of the last minute, oldest first. */
  traffic: Readonly<Record<string, readonly TrafficSample[]>>
}

export const useMirror = create<Mirror>(() => ({
  app: null,
  link: 'connecting',
  core: { state: 'connected', text: null },
  resources: {},
  traffic: {},
}))

/** A whole new state: at the start and after every gap. */
export function replaceState(app: AppState, now: number): void {
  useMirror.setState((mirror) => ({
    app,
    link: 'live',
    core: { state: 'connected', text: null },
    traffic: recordTraffic(mirror.traffic, app.gateways, Object.keys(app.gateways), now),
  }))
}

/** The changes of one patch, all at once: one render whatever their number. */
export function patchState(changes: readonly StateChange[], now: number): void {
  useMirror.setState((mirror) => {
    if (!mirror.app) return {}
    const app = applyChanges(mirror.app, changes)
    if (app.gateways === mirror.app.gateways) return { app }
    const touched = changes.flatMap(({ path: [part, key] }) => (part === 'gateways' && key !== undefined ? [key] : []))
    return { app, traffic: recordTraffic(mirror.traffic, app.gateways, touched, now) }
  })
}
