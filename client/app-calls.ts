// What each call of the app does with the parts of the core: the mirrored state, profiles, logins ahead of time, changing and
// testing gateways, notices, settings, presence, diagnostics. Composed into the calls of core.ts.
import type { Logger } from 'pino'
import type { Method } from '../shared/rpc.ts'
import type { Calls } from './control/server.ts'
import { writeDiagnostics, type DiagnosticsSources } from './diagnostics/bundle.ts'
import { testConnection } from './gateways/connection-test.ts'
import type { Gateways } from './gateways/gateways.ts'
import type { Profile } from './profiles/profile.ts'
import type { Profiles } from './profiles/profiles.ts'
import type { Attention } from './renewal/attention.ts'
import type { LoginRequests } from './renewal/login-requests.ts'
import type { Renewal } from './renewal/renewal.ts'
import type { SettingsStore } from './settings-store.ts'
import type { CoreState } from './state/core-state.ts'
import type { Notices } from './state/notices.ts'

export type AppMethod = Extract<
  Method,
  | 'state.subscribe'
  | 'profile.select'
  | 'profile.remove'
  | 'login.ask'
  | 'gateway.update'
  | 'gateway.test'
  | 'notice.read'
  | 'notice.clear'
  | 'settings.update'
  | 'presence.set'
  | 'diagnostics.bundle'
>

export type AppParts = {
  state: CoreState
  profiles: Profiles
  gateways: Gateways
  requests: LoginRequests
  attention: Attention
  notices: Notices
  settings: SettingsStore
  renewalOf: (profile: Profile) => Renewal
  /** Ends the login here and tells the server; never rejects because the server could not be told. */
  logOut: (profile: Profile, everywhere: boolean) => Promise<void>
  /** Everything that is kept in memory of a profile that is forgotten. */
  forget: (profile: Profile) => void
  /** Somebody is there again, or the machine woke up: everything that runs out by the clock is looked at. */
  lookAtEverything: () => void
  diagnostics: DiagnosticsSources
  log: Logger
}

export function createAppCalls(parts: AppParts): Pick<Calls, AppMethod> {
  const { state, profiles, gateways, requests, attention, notices, settings, log } = parts
  return {
    'state.subscribe': (_params, host) => Promise.resolve(state.subscribe(host)),
    'profile.select': async ({ profile }) => {
      await profiles.resolve(profile).use()
      return {}
    },
    'profile.remove': async (params) => {
      const profile = profiles.resolve(params.profile)
      // Gateways first: with the login gone, the server could not be told that their sessions are over.
      await gateways.removeAllOf(profile)
      await parts.logOut(profile, false)
      await profiles.remove(profile)
      parts.forget(profile)
      log.info({ profile: profile.name }, 'profile removed')
      return {}
    },
    'login.ask': (params, host) => {
      const profile = profiles.resolve(params.profile)
      const { requestId } = params
      return Promise.resolve(
        requestId === undefined ? requests.ask(profile, host) : requests.move(profile.name, requestId, host),
      )
    },
    'gateway.update': ({ gateway, port, database }) => gateways.update(gateway, { port, database }),
    'gateway.test': (params, _host, signal) => {
      const gateway = gateways.byId(params.gateway)
      return testConnection(gateway, parts.renewalOf(gateway.profile), signal)
    },
    'notice.read': ({ ids }) => {
      notices.read(ids)
      return Promise.resolve({})
    },
    'notice.clear': () => {
      notices.clear()
      return Promise.resolve({})
    },
    'settings.update': async (changes) => {
      const view = await settings.update(changes)
      // A shell that closes its window next goes by the state: it has to know by then whether the app lives on.
      state.tellNow()
      return view
    },
    'presence.set': ({ presence }, host) => {
      log.info({ host: host.id, presence }, 'presence')
      const hasReturned = attention.setPresence(host.id, presence)
      if (presence === 'present') parts.lookAtEverything()
      if (hasReturned) requests.presenceReturned()
      return Promise.resolve({})
    },
    'diagnostics.bundle': () => writeDiagnostics(parts.diagnostics),
  }
}
