// What the tray says: one word for everything, and the menu of what is open. A projection of the core's state (D3), made here so
// that it can be tested without a tray. Pure.
import type { AppState, GatewayDetail } from '../shared/app-state.ts'
import type { CoreState } from './core-supervisor.ts'

export type TrayView = {
  /** The overall state; the tooltip adds how long the current login lasts. */
  title: string
  tooltip: string
  gateways: { id: string; label: string }[]
  /** A line for each cluster with a login, the current one first: how long it lasts. A click logs in ahead of time. */
  lives: { profile: string; label: string }[]
  /** Profiles that a login would help, the current one first. */
  logins: string[]
  /** When one of the lines above says something else, in ms from now; null: not before something happens. */
  changesInMs: number | null
}

/** A menu longer than this is no menu; the window has the rest. */
const GATEWAYS_MAX = 20

/** @param nowMs this machine's clock, in ms since the epoch */
export function trayView(core: CoreState['state'], state: AppState | undefined, nowMs: number): TrayView {
  const lives = core === 'connected' && state ? livesOf(state, nowMs) : []
  const gateways = Object.values(state?.gateways ?? {}).filter(({ state: now }) => now !== 'closed')
  const title = `Postern: ${overallText(core, state, gateways.length)}`
  return {
    title,
    tooltip: [title, ...lives.slice(0, 1).map(lifeText)].join(' · '),
    gateways: gateways.slice(0, GATEWAYS_MAX).map((gateway) => ({ id: gateway.id, label: labelOf(gateway) })),
    lives: lives.map((life) => ({ profile: life.profile, label: `${lifeText(life)}, log in again…` })),
    logins: state ? profilesToLogIn(state) : [],
    changesInMs: lives.length === 0 ? null : Math.min(...lives.map(({ leftMs }) => (leftMs % MINUTE_MS) + 1)),
  }
}

const MINUTE_MS = 60_000

/** Logins that are good, and how long by the server's clock; the current profile's first. */
function livesOf(state: AppState, nowMs: number): { profile: string; leftMs: number }[] {
  return Object.values(state.profiles)
    .flatMap(({ profile, state: now, expiresAt, clockOffsetMs }) => {
      const leftMs = expiresAt === null ? 0 : Date.parse(expiresAt) - clockOffsetMs - nowMs
      return (now === 'ready' || now === 'expiring') && leftMs > 0 ? [{ profile, leftMs }] : []
    })
    .sort((a, b) => Number(b.profile === state.currentProfile) - Number(a.profile === state.currentProfile))
}

const lifeText = ({ profile, leftMs }: { profile: string; leftMs: number }): string =>
  `${profile}: ${formatLeft(leftMs)} left`

/** In whole minutes, since it is looked at again once a minute. */
function formatLeft(ms: number): string {
  const minutes = Math.floor(ms / MINUTE_MS)
  if (minutes === 0) return 'less than a minute'
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

/** The most urgent first; never "connected" when it is not. */
function overallText(core: CoreState['state'], state: AppState | undefined, open: number): string {
  if (core === 'failed') return 'not running'
  if (core === 'restarting' || !state) return 'starting'
  const profiles = Object.values(state.profiles)
  const gateways = Object.values(state.gateways)
  if (Object.keys(state.logins).length > 0) return 'a login is asked for'
  if (gateways.some((gateway) => gateway.state === 'waiting for login')) return 'a connection waits for a login'
  const current = profiles.find(({ profile }) => profile === state.currentProfile)
  switch (current?.state) {
    case undefined:
      return profiles.length === 0 ? 'no cluster yet' : 'no cluster chosen'
    case 'expired':
      return 'login expired'
    case 'logging in':
      return 'logging in'
    case 'refused':
      return 'login refused'
    case 'offline':
      return 'offline'
    case 'signed out':
      return 'signed out'
    case 'expiring':
      return 'login ends soon'
    case 'ready':
      return open === 0 ? 'ready' : open === 1 ? 'ready, 1 gateway open' : `ready, ${open} gateways open`
  }
}

const labelOf = (gateway: GatewayDetail): string =>
  `${gateway.resource} as ${gateway.account}  ${gateway.host}:${gateway.port}${gateway.state === 'listening' ? '' : `  (${gateway.state})`}`

function profilesToLogIn(state: AppState): string[] {
  const names = Object.values(state.profiles)
    .filter((profile) => profile.state !== 'ready' && profile.state !== 'logging in')
    .map(({ profile }) => profile)
  return names.sort((a, b) => Number(b === state.currentProfile) - Number(a === state.currentProfile))
}
