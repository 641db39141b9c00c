// Where the person is: one small route, kept in the address so that a reload or the back key loses nothing.
// Screens call `navigate`, the app composes by `useRoute`.
import { useMemo, useSyncExternalStore } from 'react'

export type Route =
  | { screen: 'resources' }
  | { screen: 'gateways'; gateway: string | null }
  | { screen: 'sessions'; session: string | null }
  | { screen: 'notices' | 'settings' | 'about' | 'first-run' }
  /** The small window of the browser host: nothing but logins. */
  | { screen: 'login' }
export type ScreenName = Route['screen']

const PLAIN_SCREENS = ['resources', 'notices', 'settings', 'about', 'first-run', 'login'] as const

/** `#/gateways/ID`, `#/sessions/ID`, `#/settings` …; null for an address that names none of ours. */
export function parseRoute(hash: string): Route | null {
  const [, screen, rest] = /^#\/([a-z-]+)(?:\/(.*))?$/.exec(hash) ?? []
  if (screen === 'gateways') return { screen, gateway: decode(rest) }
  if (screen === 'sessions') return { screen, session: decode(rest) }
  const plain = PLAIN_SCREENS.find((name) => name === screen)
  return plain ? { screen: plain } : null
}

export function formatRoute(route: Route): string {
  const part = route.screen === 'gateways' ? route.gateway : route.screen === 'sessions' ? route.session : null
  return part === null ? `#/${route.screen}` : `#/${route.screen}/${encodeURIComponent(part)}`
}

/** Goes there; `replace` leaves no step for the back key. */
export function navigate(route: Route, { replace = false } = {}): void {
  const hash = formatRoute(route)
  if (hash === location.hash) return
  if (replace) history.replaceState(null, '', hash)
  else history.pushState(null, '', hash)
  window.dispatchEvent(new PopStateEvent('popstate'))
}

/** The route in the address; null where it names none yet. */
export function useRoute(): Route | null {
  const hash = useSyncExternalStore(listen, () => location.hash)
  return useMemo(() => parseRoute(hash), [hash])
}

function listen(changed: () => void): () => void {
  window.addEventListener('popstate', changed)
  window.addEventListener('hashchange', changed)
  return () => {
    window.removeEventListener('popstate', changed)
    window.removeEventListener('hashchange', changed)
  }
}

function decode(part: string | undefined): string | null {
  if (!part) return null
  try {
    return decodeURIComponent(part)
  } catch {
    return null
  }
}
