// The state of the app (shared/app-state.ts) as the parts of the core make it: where the mirror looks things up, and when the
// byte counters are looked at. Called by core.ts.
import type { AppState } from '../../shared/app-state.ts'
import type { ProfileView } from '../../shared/rpc.ts'
import type { Gateways } from '../gateways/gateways.ts'
import type { Profiles } from '../profiles/profiles.ts'
import type { LoginRequests } from '../renewal/login-requests.ts'
import type { SettingsStore } from '../settings-store.ts'
import { startStopwatch } from '../../shared/stopwatch.ts'
import { createStateMirror, type StateMirror } from './mirror.ts'
import type { Notices } from './notices.ts'

export type CoreParts = {
  core: AppState['core']
  profiles: Profiles
  gateways: Gateways
  requests: LoginRequests
  notices: Notices
  settings: SettingsStore
}

export type CoreState = StateMirror & {
  /** Something of a gateway may have changed. */
  touchGateway(id: string): void
}

/** How often byte counters are looked at, while somebody sees them and something may go through, in ms. */
const TRAFFIC_INTERVAL_MS = 1000
/** Connections listed for one gateway, at most, and over all gateways: the whole state has to fit into one message. */
const LISTED_PER_GATEWAY_MAX = 200
const LISTED_MAX = 5000
const LISTED_PER_GATEWAY_MIN = 20

/** @param parts asked for only when somebody has subscribed: notices come before all parts of the core are there */
export function createCoreState(parts: () => CoreParts): CoreState {
  const listed = (): number => {
    const share = Math.floor(LISTED_MAX / Math.max(1, parts().gateways.list().length))
    return Math.min(LISTED_PER_GATEWAY_MAX, Math.max(LISTED_PER_GATEWAY_MIN, share))
  }

  const mirror = createStateMirror({
    core: () => parts().core,
    currentProfile: () => parts().profiles.current()?.name ?? null,
    settings: () => parts().settings.view(),
    profiles: {
      keys: () =>
        parts()
          .profiles.list()
          .map((profile) => profile.name),
      view: (name) => parts().profiles.find(name)?.view(),
      essence: withoutTheClock,
    },
    gateways: {
      keys: () =>
        parts()
          .gateways.list()
          .map((gateway) => gateway.id),
      view: (id) => parts().gateways.get(id)?.detail(listed()),
    },
    logins: {
      keys: () => parts().requests.list().keys(),
      view: (id) => parts().requests.list().get(id),
    },
    notices: {
      keys: () => parts().notices.keys(),
      view: (id) => parts().notices.view(id),
    },
  })

  let ticking: { timer: NodeJS.Timeout; elapsed: () => number } | undefined
  const stopTicking = (): void => {
    clearInterval(ticking?.timer)
    ticking = undefined
  }
  const lookAtTraffic = (): void => {
    const elapsedMs = ticking?.elapsed()
    const lively = parts()
      .gateways.list()
      .filter(({ traffic }) => traffic.isLively)
    if (!ticking || !mirror.hasSubscribers || lively.length === 0) {
      stopTicking()
      return
    }
    ticking.elapsed = startStopwatch()
    for (const { id, traffic } of lively) {
      traffic.look(elapsedMs)
      mirror.touch('gateways', id)
    }
  }
  const tickIfLively = (): void => {
    if (ticking || !mirror.hasSubscribers) return
    const all = parts().gateways.list()
    if (!all.some(({ traffic }) => traffic.isLively)) return
    // What went through while nobody looked is no rate.
    for (const { traffic } of all) traffic.look(undefined)
    const timer = setInterval(lookAtTraffic, TRAFFIC_INTERVAL_MS)
    timer.unref()
    ticking = { timer, elapsed: startStopwatch() }
  }

  return {
    subscribe(host) {
      const snapshot = mirror.subscribe(host)
      tickIfLively()
      return snapshot
    },
    unsubscribe(hostId) {
      mirror.unsubscribe(hostId)
    },
    get hasSubscribers() {
      return mirror.hasSubscribers
    },
    now: () => mirror.now(),
    touch: mirror.touch,
    tellNow: () => mirror.tellNow(),
    touchGateway(id) {
      if (!mirror.hasSubscribers) return
      mirror.touch('gateways', id)
      tickIfLively()
    },
    close() {
      stopTicking()
      mirror.close()
    },
  }
}

/** Time left changes all the time, and the clock's offset by a few ms with every answer: neither is news. */
function withoutTheClock({ remainingMs, clockOffsetMs, ...rest }: ProfileView): unknown {
  return { ...rest, isRunning: remainingMs !== null, offsetSeconds: Math.round(clockOffsetMs / 1000) }
}
