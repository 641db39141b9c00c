// The core of one home, composed: profiles, renewals, login requests, gateways, the state of the app, and what each call of the
// contract does with them. Started by main.ts; tests start it in their own process with a clock of their own.
import { randomUUID } from 'node:crypto'
import type { Logger } from 'pino'
import { z } from 'zod'
import { Done } from '../shared/api.ts'
import { PosternError } from '../shared/errors.ts'
import { createAppCalls } from './app-calls.ts'
import { createHosts, type Host } from './control/hosts.ts'
import { serveControlSocket, type Calls } from './control/server.ts'
import { createReactions } from './control-stream/reactions.ts'
import { createControlStreams } from './control-stream/streams.ts'
import { CONTROL_TIMINGS, type ControlTimings } from './control-stream/timings.ts'
import { createCoreLife } from './core-life.ts'
import type { Gateway } from './gateways/gateway.ts'
import { readGatewayFile } from './gateways/gateway-file.ts'
import { Gateways } from './gateways/gateways.ts'
import { createOwnerSearch } from './gateways/connection-owner.ts'
import { createLocalUserCheck } from './gateways/local-user.ts'
import { listResources, openGateway } from './gateways/open-gateway.ts'
import { readEphemeralRange } from './gateways/ports.ts'
import { createGatewayReports } from './gateways/reports.ts'
import type { Home } from './home.ts'
import { createDesktopKeyProtection, type KeyStorePort } from './profiles/desktop-key-protection.ts'
import { createCertificateRenewal } from './profiles/certificate-renewal.ts'
import { plainKeyProtection } from './profiles/key-protection.ts'
import { askLoginWays, logIn } from './profiles/login.ts'
import type { Profile } from './profiles/profile.ts'
import { openProfiles } from './profiles/profiles.ts'
import { Attention } from './renewal/attention.ts'
import type { After } from './renewal/deadline.ts'
import { LoginRequests } from './renewal/login-requests.ts'
import { Renewal } from './renewal/renewal.ts'
import { createSessionCalls } from './sessions/session-calls.ts'
import { createSessionWatches } from './sessions/session-watches.ts'
import { SsoLogins } from './sso/sso-logins.ts'
import { logSteps } from './state-machine.ts'
import { createSettingsStore } from './settings-store.ts'
import type { Settings } from './settings.ts'
import { createCoreState } from './state/core-state.ts'
import { createMoments } from './state/moments.ts'
import { createNotices } from './state/notices.ts'

export type CoreOptions = {
  home: Home
  /** Where the control socket goes; see controlSocketOf in home.ts. */
  socketPath: string
  settings: Settings
  appVersion: string
  platform: NodeJS.Platform
  /** Whose home it is; undefined where the system has no such ids. */
  uid: number | undefined
  /** Where the system's key store is asked, if the desktop app started this core; without one, keys are stored as they are. */
  keyStore?: { port: KeyStorePort; deadlineMs?: number | undefined } | undefined
  /** Of the control streams, where they are others than the contract's. */
  controlTimings?: Partial<ControlTimings> | undefined
  /** Wall time of this machine, in ms. */
  now: () => number
  /** How the bounds of waiting for a login run out; the system's timers if not given. */
  after?: After | undefined
  /** For a client to say what it wants, in ms. */
  openingDeadlineMs?: number | undefined
  log: Logger
}

export type Core = {
  /** Resolves when the core has ended, on whatever way. */
  readonly ended: Promise<void>
  /** Ends it gracefully. Idempotent. */
  stop(): Promise<void>
}

const LOGOUT_DEADLINE_MS = 10_000
/** For a client to say what it wants, where its protocol makes it speak first; in ms. */
const OPENING_DEADLINE_MS = 10_000
/** Asking, beside a login that is asked for, whether there are other ways to log in now, in ms. */
const LOGIN_WAYS_DEADLINE_MS = 10_000

/** Starts the core: when this resolves, it listens and its gateways are restored. */
export async function startCore(options: CoreOptions): Promise<Core> {
  const { home, log, now } = options
  const hosts = createHosts()
  const lifetime = new AbortController()
  const attention = new Attention(now)
  /** Names of resources that the server told: diagnostics have to know them to leave them out. */
  const seenNames = new Set<string>()

  const core = {
    version: options.appVersion,
    pid: process.pid,
    home: home.dir,
    startedAt: new Date(now()).toISOString(),
    logFile: home.logFile,
    platform: options.platform,
  }
  const state = createCoreState(() => ({
    core: { ...core, keyProtection: keys.describe() },
    profiles,
    gateways,
    requests,
    notices,
    settings,
  }))
  const keys = options.keyStore
    ? createDesktopKeyProtection({
        ...options.keyStore,
        onChanged: () => state.touch('core'),
        signal: lifetime.signal,
      })
    : plainKeyProtection
  const notices = createNotices({
    hosts,
    now,
    randomId: randomUUID,
    onChanged: (id) => state.touch('notices', id),
    log,
  })
  const onProblem = (text: string, cause: unknown): void => {
    log.error({ err: cause }, text)
    notices.add({ level: 'error', text })
  }
  const settings = createSettingsStore(home.settingsFile, options.settings, options.platform, () => {
    state.touch('settings')
    for (const profile of profiles.list()) gateways.profileChanged(profile.name)
    life.look()
  })

  const renewals = new Map<string, Renewal>()
  const renewalOf = (profile: Profile): Renewal => {
    const known = renewals.get(profile.name)
    if (known) return known
    const renewal = new Renewal({
      profile,
      requests,
      openRoutes: () => gateways.routesOf(profile),
      isListening: ({ gatewayId }) => gateways.get(gatewayId)?.isListening ?? false,
      onPublished: () => onProfileChanged(profile),
      onReissued: ({ gatewayId }, error) => gateways.get(gatewayId)?.noteReissued(error),
      notice: (text, gateway) => notices.add({ level: 'warning', text, profile: profile.name, gateway }),
      random: Math.random,
      log: log.child({ profile: profile.name }),
    })
    renewals.set(profile.name, renewal)
    return renewal
  }
  const reports = createGatewayReports(hosts)
  const requests: LoginRequests = new LoginRequests({
    hosts,
    settings: () => settings.current(),
    attention,
    now,
    ...(options.after ? { after: options.after } : {}),
    randomId: randomUUID,
    onChanged: (profile) => {
      state.touch('logins')
      gateways.profileChanged(profile)
    },
    ssoProgress: (profile) => sso.progressOf(profile),
    onOpened: (name) => {
      const profile = profiles.find(name)
      if (!profile) return
      const before = profile.sso
      const signal = AbortSignal.any([lifetime.signal, AbortSignal.timeout(LOGIN_WAYS_DEADLINE_MS)])
      askLoginWays(profile, now, signal).then(
        () => profile.sso !== before && requests.refresh(name),
        // The login itself will say what is wrong.
        () => undefined,
      )
    },
    onClosed: (profile, outcome) => {
      // Who was too slow for those who waited may still finish: then everything else is fresh.
      if (outcome === 'cancelled' || outcome === 'failed') sso.cancel(profile)
    },
    onUnattended: (profile) =>
      notices.add({ level: 'warning', text: `connections to ${profile} wait for a login`, profile, isOnce: true }),
  })
  const owners = createOwnerSearch({ log })
  const checkLocalUser = createLocalUserCheck({ platform: options.platform, ownUid: options.uid, owners })
  /** A login has succeeded: everything that hangs on it is renewed, then everybody goes on (G5, G12). */
  const useLogin = async (profile: Profile, release: () => void): Promise<void> => {
    try {
      // From here on the login counts, even if the host goes away.
      await renewalOf(profile).reissueAll(lifetime.signal)
    } finally {
      release()
    }
    log.info({ profile: profile.name, user: profile.user }, 'logged in')
    for (const { gatewayId } of gateways.routesOf(profile)) attention.forget(gatewayId)
    requests.succeeded(profile.name)
    sso.loggedIn(profile.name)
  }
  const sso: SsoLogins = new SsoLogins({
    now,
    checkLocalUser,
    hold: (profile, requestId) => requests.submitting(profile, requestId),
    onLoggedIn: useLogin,
    onChanged: () => state.touch('logins'),
    log,
  })
  const onGatewayChanged = (gateway: Gateway): void => {
    reports.changed(gateway)
    state.touchGateway(gateway.id)
    life.look()
  }
  const gateways = new Gateways({
    file: home.gatewaysFile,
    stored: await readGatewayFile(home.gatewaysFile, now(), onProblem),
    ephemeral: await readEphemeralRange(),
    requests,
    loginHardLimitMs: () => settings.current().loginHardLimit,
    writeStallMs: () => settings.current().writeStallTimeout,
    portRange: () => {
      const { portRange } = settings.current()
      return portRange ? { first: portRange.from, last: portRange.to } : undefined
    },
    checkLocalUser,
    openingDeadlineMs: options.openingDeadlineMs ?? OPENING_DEADLINE_MS,
    platform: options.platform,
    uid: options.uid,
    isPasswordDefault: () => settings.view().gatewayPassword === 'on',
    renewalOf,
    now,
    onChanged: onGatewayChanged,
    notice: (text, profile, gateway) => notices.add({ level: 'warning', text, profile, gateway }),
    noteStep: (gateway) => logSteps(log.child({ gateway })),
    log,
  })
  const watches = createSessionWatches({ now, signal: lifetime.signal, log })
  const reactions = createReactions({
    ...{ gateways, notices, renewalOf, signal: lifetime.signal, log },
    onSessions: (profile) => watches.changed(profile),
  })
  const streams = createControlStreams({
    timings: { ...CONTROL_TIMINGS, ...options.controlTimings },
    now,
    random: Math.random,
    onEvent: (profile, event, certificate) => reactions.onEvent(profile, event, certificate),
    onMissed: (profile) => reactions.lookAtAccess(profile),
    log,
  })
  /** Certificates of a login that is over are void, and so is everything that runs on them. */
  const dropLogin = async (profile: Profile, text: string): Promise<void> => {
    requests.dismiss(profile.name, text)
    sso.cancel(profile.name)
    renewalOf(profile).certificates.clear()
    await gateways.endConnectionsOf(profile, new PosternError('login_cancelled', text))
  }
  const onProfileChanged = (profile: Profile): void => {
    state.touch('profiles', profile.name)
    state.touch('currentProfile')
    gateways.profileChanged(profile.name)
    streams.look(profile)
    watches.profileChanged(profile)
    moments.reckon()
  }
  const profiles = await openProfiles({
    dir: home.profilesDir,
    keys,
    now,
    onProblem,
    onCaChanged: (profile) => dropLogin(profile, `${profile.name} has another CA now`),
    onCertificateAged: createCertificateRenewal({ now, signal: lifetime.signal, log }),
    onChanged: onProfileChanged,
    noteStep: (profile) => logSteps(log.child({ profile })),
  })
  const lookAtEverything = (): void => {
    state.touch('profiles')
    for (const profile of profiles.list()) {
      gateways.profileChanged(profile.name)
      streams.look(profile)
      renewalOf(profile).renewEarly(lifetime.signal)
    }
  }
  const moments = createMoments({
    ahead: () => [
      ...profiles.list().flatMap((profile) => [...profile.momentsAheadMs(), ...renewalOf(profile).momentsAheadMs()]),
      ...gateways.list().flatMap((gateway) => gateway.momentsAheadMs()),
    ],
    look: lookAtEverything,
  })

  const life = createCoreLife({
    idleExitMs: () => settings.current().idleExit,
    isUsed: () => hosts.list().length > 0 || gateways.hasDetached || settings.current().backgroundMode,
    onIdle: () => void stop('nobody uses it'),
  })

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
      state,
      profiles,
      gateways,
      requests,
      attention,
      notices,
      settings,
      renewalOf,
      logOut,
      forget: (profile) => {
        renewals.delete(profile.name)
        streams.forget(profile)
      },
      lookAtEverything: () => {
        lookAtEverything()
        streams.wake()
      },
      diagnostics: {
        home,
        appVersion: options.appVersion,
        platform: options.platform,
        now,
        stateNow: () => state.now(),
        seenNames,
      },
      log,
    }),
  }

  await gateways.restore((name) => profiles.find(name))
  for (const profile of profiles.list()) streams.look(profile)
  const server = await serveControlSocket({
    path: options.socketPath,
    home: home.dir,
    appVersion: options.appVersion,
    calls,
    hosts,
    log,
    onAttached: (host) => {
      life.look()
      notices.tellEarly(host)
      requests.hostCame(host.id)
    },
    onDetached: (host) => {
      state.unsubscribe(host.id)
      watches.hostLeft(host.id)
      requests.hostLeft(host.id)
      sso.hostLeft(host.id, (profile) => requests.isOpen(profile))
      if (attention.hostLeft(host.id)) requests.presenceReturned()
      void gateways.closeOwnedBy(host.id).catch((error: unknown) => log.error({ err: error }, 'closing failed'))
      life.look()
    },
  })
  life.look()
  moments.reckon()

  const { promise: ended, resolve: hasEnded } = Promise.withResolvers<undefined>()
  let stopping: Promise<void> | undefined
  const stop = (why: string): Promise<void> => {
    stopping ??= (async () => {
      log.info({ why }, 'core ends')
      life.close()
      moments.close()
      lifetime.abort(new PosternError('core_unreachable', 'the Postern core ended'))
      requests.close()
      streams.close()
      await sso.close()
      await gateways.shutDown()
      // Hosts must hear that their gateways were closed on purpose, else they would start a core again.
      reports.close()
      state.close()
      await server.close()
      owners.close()
      hasEnded(undefined)
    })()
    return stopping
  }
  return { ended, stop: () => stop('it was told to') }
}
