// What the tray says: one word for everything, and the menu of what is open. A projection of the core's state (D3), made here so
// that it can be tested without a tray. Pure.
import type { AppState, GatewayDetail } from '../shared/app-state.ts'
import type { CoreState } from './core-supervisor.ts'

export type TrayView = {
  tooltip: string
  gateways: { id: string; label: string }[]
  /** Profiles that a login would help, the current one first. */
  logins: string[]
}

/** A menu longer than this is no menu; the window has the rest. */
const GATEWAYS_MAX = 20

export function trayView(core: CoreState['state'], state: AppState | undefined): TrayView {
  const gateways = Object.values(state?.gateways ?? {}).filter(({ state: now }) => now !== 'closed')
  return {
    tooltip: `Postern: ${overallText(core, state, gateways.length)}`,
    gateways: gateways.slice(0, GATEWAYS_MAX).map((gateway) => ({ id: gateway.id, label: labelOf(gateway) })),
    logins: state ? profilesToLogIn(state) : [],
  }
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
