// The core of one home, composed: profiles, renewals, login requests, gateways, and what each call of the contract does with
// them. Started by main.ts; tests start it in their own process with a clock of their own.
import { randomUUID } from 'node:crypto'
import type { Logger } from 'pino'
import { z } from 'zod'
import { Done } from '../shared/api.ts'
import { PosternError } from '../shared/errors.ts'
import type { EventPayload } from '../shared/rpc.ts'
import { createHosts, type Host } from './control/hosts.ts'
import { serveControlSocket, type Calls } from './control/server.ts'
import { createCoreLife } from './core-life.ts'
import type { Gateway } from './gateways/gateway.ts'
import { readGatewayFile } from './gateways/gateway-file.ts'
import { Gateways } from './gateways/gateways.ts'
import { createLocalUserCheck } from './gateways/local-user.ts'
import { listResources, openGateway } from './gateways/open-gateway.ts'
import { readEphemeralRange } from './gateways/ports.ts'
import { createGatewayReports } from './gateways/reports.ts'
import type { Home } from './home.ts'
import { logIn } from './profiles/login.ts'
import type { Profile } from './profiles/profile.ts'
import { openProfiles } from './profiles/profiles.ts'
import { LoginRequests } from './renewal/login-requests.ts'
import { Renewal } from './renewal/renewal.ts'
import type { Settings } from './settings.ts'

export type CoreOptions = {
  home: Home
  /** Where the control socket goes; see controlSocketOf in home.ts. */
  socketPath: string
  settings: Settings
  appVersion: string
  platform: NodeJS.Platform
  /** Whose home it is; undefined where the system has no such ids. */
  uid: number | undefined
  /** Wall time of this machine, in ms. */
  now: () => number
  log: Logger
}

export type Core = {
  /** Resolves when the core has ended, on whatever way. */
  readonly ended: Promise<void>
  /** Ends it gracefully. Idempotent. */
  stop(): Promise<void>
}

/** Notices kept for the first host that comes. */
const EARLY_NOTICES_MAX = 20
const LOGOUT_DEADLINE_MS = 10_000

/** Starts the core: when this resolves, it listens and its gateways are restored. */
export async function startCore(options: CoreOptions): Promise<Core> {
  const { home, settings, log, now } = options
  const hosts = createHosts()
  const earlyNotices: EventPayload<'notice'>[] = []
  const lifetime = new AbortController()

  const notice = (level: 'info' | 'warning' | 'error', text: string, profile: string | null = null): void => {
    log.warn({ notice: text, profile }, 'notice')
    const payload = { level, text, profile }
    if (hosts.list().length > 0) hosts.broadcast('notice', payload)
    else if (earlyNotices.length < EARLY_NOTICES_MAX) earlyNotices.push(payload)
  }
  const onProblem = (text: string, cause: unknown): void => {
    log.error({ err: cause }, text)
    notice('error', text)
  }

  const renewals = new Map<string, Renewal>()
  const renewalOf = (profile: Profile): Renewal => {
    const known = renewals.get(profile.name)
    if (known) return known
    const renewal = new Renewal({
      profile,
      requests,
      openRoutes: () => gateways.routesOf(profile),
      notice: (text) => notice('warning', text, profile.name),
      log: log.child({ profile: profile.name }),
    })
    renewals.set(profile.name, renewal)
    return renewal
  }
  const reports = createGatewayReports(hosts)
  const requests = new LoginRequests({
    hosts,
    settings,
    randomId: randomUUID,
    onChanged: (profile) => gateways.profileChanged(profile),
  })
  const onGatewayChanged = (gateway: Gateway): void => {
    reports.changed(gateway)
    life.look()
  }
  const gateways = new Gateways({
    file: home.gatewaysFile,
    stored: await readGatewayFile(home.gatewaysFile, now(), onProblem),
    ephemeral: await readEphemeralRange(),
    requests,
    loginHardLimitMs: settings.loginHardLimit,
    checkLocalUser: createLocalUserCheck({ platform: options.platform, ownUid: options.uid }),
    renewalOf,
    onChanged: onGatewayChanged,
    notice: (text, profile) => notice('warning', text, profile),
    log,
  })
  /** Certificates of a login that is over are void, and so is everything that runs on them. */
  const dropLogin = async (profile: Profile, text: string): Promise<void> => {
    requests.dismiss(profile.name, text)
    renewalOf(profile).certificates.clear()
    await gateways.endConnectionsOf(profile, new PosternError('login_cancelled', text))
  }
  const profiles = await openProfiles({
    dir: home.profilesDir,
    now,
    onProblem,
    onCaChanged: (profile) => dropLogin(profile, `${profile.name} has another CA now`),
  })

  const life = createCoreLife({
    idleExitMs: settings.idleExit,
    isUsed: () => hosts.list().length > 0 || gateways.hasDetached,
    onIdle: () => void stop('nobody uses it'),
  })

  const usedBy = (asking: Host): string | undefined => {
    const others = hosts.list().filter((host) => host !== asking).length
    const open = gateways.list().length
    if (others === 0 && open === 0) return undefined
    return `it is in use (${others} other windows or terminals, ${open} open gateways)`
  }

  const calls: Calls = {
    'core.retire': (_params, host) => {
      const use = usedBy(host)
      if (use !== undefined) return Promise.resolve({ retired: false, text: use })
      setImmediate(() => void stop('a newer version takes its place'))
      return Promise.resolve({ retired: true, text: 'nothing used it' })
    },
    'core.stop': () => {
      setImmediate(() => void stop('a host asked for it'))
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
        // From here on the login counts, even if the host goes away.
        await renewalOf(profile).reissueAll(lifetime.signal)
      } finally {
        answered()
      }
      log.info({ profile: profile.name, user: profile.user }, 'logged in')
      gateways.loggedIn(profile)
      requests.succeeded(profile.name)
      reports.lookAgainAt(profile.name, profile.remainingMs, () => gateways.profileChanged(profile.name))
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
      const { everywhere } = params
      await dropLogin(profile, 'you logged out')
      const call = { method: 'POST' as const, path: '/v1/logout', body: { everywhere } }
      try {
        await profile.callToEnd(call, Done, AbortSignal.timeout(LOGOUT_DEADLINE_MS))
      } catch (error) {
        const why = error instanceof PosternError ? error.message : 'no answer in time'
        log.warn({ err: error, profile: profile.name }, 'server was not told of the logout')
        notice('warning', `you are logged out here, but ${profile.name} could not be told: ${why}`, profile.name)
      }
      await profile.signOut()
      gateways.profileChanged(profile.name)
      return { profile: profile.name }
    },
    'resource.list': async (params, _host, signal) => {
      const profile = profiles.resolve(params.profile)
      const { resources } = await listResources(profile, signal)
      return { profile: profile.name, resources }
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
  }

  await gateways.restore((name) => profiles.find(name))
  const server = await serveControlSocket({
    path: options.socketPath,
    home: home.dir,
    appVersion: options.appVersion,
    calls,
    hosts,
    log,
    onAttached: (host) => {
      life.look()
      for (const early of earlyNotices.splice(0)) host.send('notice', early)
      requests.hostCame(host.id)
    },
    onDetached: (host) => {
      requests.hostLeft(host.id)
      void gateways.closeOwnedBy(host.id).catch((error: unknown) => log.error({ err: error }, 'closing failed'))
      life.look()
    },
  })
  life.look()
  for (const profile of profiles.list()) {
    reports.lookAgainAt(profile.name, profile.remainingMs, () => gateways.profileChanged(profile.name))
  }

  const { promise: ended, resolve: hasEnded } = Promise.withResolvers<undefined>()
  let stopping: Promise<void> | undefined
  const stop = (why: string): Promise<void> => {
    stopping ??= (async () => {
      log.info({ why }, 'core ends')
      life.close()
      lifetime.abort(new PosternError('core_unreachable', 'the Postern core ended'))
      requests.close()
      await gateways.shutDown()
      // Hosts must hear that their gateways were closed on purpose, else they would start a core again.
      reports.close()
      await server.close()
      hasEnded(undefined)
    })()
    return stopping
  }
  return { ended, stop: () => stop('it was told to') }
}
