// What each call of the contract does with the parts of the core: its end, logins, logging out, gateways; those of the app and of
// sessions have files of their own. Composed by core.ts.
import type { Logger } from 'pino'
import { z } from 'zod'
import { Done } from '../shared/api.ts'
import { PosternError } from '../shared/errors.ts'
import { createAppCalls, type AppParts } from './app-calls.ts'
import type { Host, Hosts } from './control/hosts.ts'
import type { Calls } from './control/server.ts'
import type { ControlStreams } from './control-stream/streams.ts'
import { listResources, openGateway } from './gateways/open-gateway.ts'
import { logIn } from './profiles/login.ts'
import type { Profile } from './profiles/profile.ts'
import { createSessionCalls } from './sessions/session-calls.ts'
import type { SessionWatches } from './sessions/session-watches.ts'
import type { SsoLogins } from './sso/sso-logins.ts'

export type CoreParts = Omit<AppParts, 'logOut' | 'diagnostics' | 'log'> & {
  hosts: Hosts
  sso: SsoLogins
  streams: ControlStreams
  watches: SessionWatches
  /** A login has succeeded: everything that hangs on it is renewed, then `release` lets those go on who waited. */
  useLogin: (profile: Profile, release: () => void) => Promise<void>
  /** Ends everything that runs on the login of a profile, with that text. */
  dropLogin: (profile: Profile, text: string) => Promise<void>
  diagnostics: Omit<AppParts['diagnostics'], 'stateNow' | 'seenNames'>
  /** Wall time of this machine, in ms. */
  now: () => number
  /** Ends the core, for that reason. */
  stop: (why: string) => void
  log: Logger
}

const LOGOUT_DEADLINE_MS = 10_000

export function createCoreCalls(parts: CoreParts): Calls {
  const { hosts, profiles, gateways, requests, attention, notices, settings, state, sso, streams, watches } = parts
  const { renewalOf, useLogin, dropLogin, lookAtEverything, now, stop, log } = parts
  /** Names of resources that the server told: diagnostics have to know them to leave them out. */
  const seenNames = new Set<string>()

  const usedBy = (asking: Host): string | undefined => {
    const others = hosts.list().filter((host) => host !== asking).length
    const open = gateways.list().length
    if (others === 0 && open === 0) return undefined
    return `it is in use (${others} other windows or terminals, ${open} open gateways)`
  }

  /** Ends the login here and tells the server. */
  const logOut = async (profile: Profile, everywhere: boolean): Promise<void> => {
    streams.leave(profile)
    await dropLogin(profile, 'you logged out')
    const call = { method: 'POST' as const, path: '/v1/logout', body: { everywhere } }
    try {
      await profile.callToEnd(call, Done, AbortSignal.timeout(LOGOUT_DEADLINE_MS))
    } catch (error) {
      const why = error instanceof PosternError ? error.message : 'no answer in time'
      log.warn({ err: error, profile: profile.name }, 'server was not told of the logout')
      const text = `you are logged out here, but ${profile.name} could not be told: ${why}`
      notices.add({ level: 'warning', text, profile: profile.name })
    }
    await profile.signOut()
  }

  return {
    'core.retire': (_params, host) => {
      const use = usedBy(host)
      if (use !== undefined) return Promise.resolve({ retired: false, text: use })
      setImmediate(() => stop('a newer version takes its place'))
      return Promise.resolve({ retired: true, text: 'nothing used it' })
    },
    'core.stop': () => {
      setImmediate(() => stop('a host asked for it'))
      return Promise.resolve({})
    },
    'profile.list': () =>
      Promise.resolve({
        profiles: profiles.list().map((profile) => profile.view()),
        current: profiles.current()?.name ?? null,
      }),
    'profile.add': async (params, _host, signal) => (await profiles.add(params, signal)).view(),
    'login.submit': async (params, _host, signal) => {
      const requested = params.requestId === undefined ? undefined : requests.profileOf(params.requestId)
      const profile = profiles.resolve(params.profile ?? requested)
      const answered = requests.submitting(profile.name, params.requestId)
      try {
        await logIn(profile, params, now, signal)
      } catch (error) {
        answered()
        throw error
      }
      await useLogin(profile, answered)
      return profile.view()
    },
    'login.sso': async ({ requestId, ttlSeconds, ...params }, host, signal) => {
      const requested = requestId === undefined ? undefined : requests.profileOf(requestId)
      const profile = profiles.resolve(params.profile ?? requested)
      const begun = await sso.begin(profile, { hostId: host.id, requestId, ttlSeconds }, signal)
      return { url: begun.url, expiresAt: new Date(begun.expiresAtMs).toISOString() }
    },
    'login.ssoWait': async (params, _host, signal) => {
      const profile = profiles.resolve(params.profile)
      await sso.ended(profile.name, signal)
      return profile.view()
    },
    'login.touch': (params) => {
      requests.touch(params.requestId)
      return Promise.resolve({})
    },
    'login.cancel': (params) => {
      requests.cancel(params.requestId, params.outcome)
      return Promise.resolve({})
    },
    logout: async (params) => {
      const profile = profiles.resolve(params.profile)
      await logOut(profile, params.everywhere)
      return { profile: profile.name }
    },
    'resource.list': async (params, _host, signal) => {
      const profile = profiles.resolve(params.profile)
      const { resources, leftOut } = await listResources(profile, signal)
      for (const { name } of resources) seenNames.add(name)
      return { profile: profile.name, resources, leftOut }
    },
    'gateway.open': (params, host, signal) =>
      openGateway({ gateways, requests, renewalOf }, profiles.resolve(params.profile), params, host, signal),
    'gateway.list': () => Promise.resolve({ gateways: gateways.list().map((gateway) => gateway.view()) }),
    'gateway.close': async (params) => ({ closed: await gateways.close(params.gateway) }),
    'api.call': async (params, _host, signal) => {
      const profile = profiles.resolve(params.profile)
      const { method, path, body } = params
      return { body: await profile.callSignedIn({ method, path, body }, z.unknown(), signal) }
    },
    ...createSessionCalls({ profiles, watches }),
    ...createAppCalls({
      ...{ state, profiles, gateways, requests, attention, notices, settings, renewalOf, logOut, log },
      forget: (profile) => {
        parts.forget(profile)
        streams.forget(profile)
      },
      lookAtEverything: () => {
        lookAtEverything()
        streams.wake()
      },
      diagnostics: { ...parts.diagnostics, stateNow: () => state.now(), seenNames },
    }),
  }
}
