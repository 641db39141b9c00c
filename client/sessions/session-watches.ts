// Who looks at which sessions: one loop for each watch of a host, which asks the server every 2 s, and at once when the control stream
// says that something changed, and tells the host what became other. Nobody looks: nobody asks. Called by session-calls.ts and core.ts.
import type { Logger } from 'pino'
import { PosternError } from '../../shared/errors.ts'
import type { EventPayload, ParsedParams } from '../../shared/rpc.ts'
import { SessionAnswer, SessionList, type SessionView } from '../../shared/session-api.ts'
import type { Host } from '../control/hosts.ts'
import type { Profile } from '../profiles/profile.ts'

export type WatchParams = ParsedParams<'sessions.watch'>

export type SessionWatches = {
  /** Begins to tell the host; a watch of the same name takes the place of the one before. */
  watch(host: Host, profile: Profile, params: WatchParams): void
  unwatch(hostId: number, watch: string): void
  hostLeft(hostId: number): void
  /** Sessions of this profile may have changed: whoever looks at them asks soon. */
  changed(profile: Profile): void
  /** The profile's login or reach may be another: what failed is tried again, if it is. */
  profileChanged(profile: Profile): void
  /** How many loops run. */
  readonly size: number
}

type Options = {
  /** Wall time of this machine, in ms. */
  now: () => number
  /** Ends with the core. */
  signal: AbortSignal
  log: Logger
}

/** Between two questions, in ms; after failures in a row it is doubled up to the longest. */
export const LOOK_EVERY_MS = 2000
const LOOK_LONGEST_MS = 10_000
/** What changed is asked for so long after the news, so that many news are one question; in ms. */
const LOOK_SOON_MS = 100
/** How long an ended session stays in a live list, in ms: long enough to see why. */
const ENDED_KEPT_MS = 120_000
/** For one question, in ms. */
const LOOK_DEADLINE_MS = 15_000

type Update = EventPayload<'sessions.updated'>
type Watch = {
  host: Host
  profile: Profile
  params: WatchParams
  end: AbortController
  /** id → what the host was told; undefined: nothing yet. */
  told: Map<string, SessionView> | undefined
  asOf: string | null
  failures: number
  /** What was said of the last failure, and the profile's state then. */
  failure: { said: string; state: string } | undefined
  /** Looks before the pause is over. */
  hurry: () => void
}

export function createSessionWatches({ now, signal, log }: Options): SessionWatches {
  const watches = new Set<Watch>()

  const stop = (matches: (watch: Watch) => boolean): void => {
    for (const watch of watches) {
      if (!matches(watch)) continue
      watches.delete(watch)
      watch.end.abort()
    }
  }

  async function look(watch: Watch): Promise<void> {
    const { host, params, profile, end } = watch
    try {
      const { sessions, hasMore } = await ask(profile, params, now, AbortSignal.any([end.signal, signal]))
      if (end.signal.aborted) return
      watch.failures = 0
      const isNews = watch.failure !== undefined || watch.told === undefined
      watch.failure = undefined
      watch.asOf = new Date(now()).toISOString()
      const { changed, removed, told } = differenceOf(watch.told, sessions)
      const isWhole = watch.told === undefined
      watch.told = told
      if (isNews || changed.length > 0 || removed.length > 0)
        tell(watch, { status: 'ready', error: null, isWhole, sessions: changed, removed, hasMore })
    } catch (error) {
      if (end.signal.aborted || signal.aborted) return
      watch.failures += 1
      const { code, message } = errorOf(error)
      const said = `${code} ${message}`
      const isNews = watch.failure?.said !== said
      watch.failure = { said, state: profile.state }
      if (!isNews) return
      log.info({ err: error, profile: profile.name, host: host.id }, 'sessions could not be asked for')
      tell(watch, {
        status: 'failed',
        error: { code, text: message },
        isWhole: false,
        sessions: [],
        removed: [],
        hasMore: false,
      })
    }
  }

  const tell = (watch: Watch, update: Omit<Update, 'watch' | 'profile' | 'asOf'>): void =>
    watch.host.send('sessions.updated', {
      watch: watch.params.watch,
      profile: watch.profile.name,
      asOf: watch.asOf,
      ...update,
    })

  async function run(watch: Watch): Promise<void> {
    // A function, since the compiler believes that `aborted` cannot change while we wait.
    const isOver = (): boolean => watch.end.signal.aborted || signal.aborted
    while (!isOver()) {
      await look(watch)
      if (!isOver()) await pause(watch, signal)
    }
    watches.delete(watch)
  }

  return {
    watch(host, profile, params) {
      stop((one) => one.host.id === host.id && one.params.watch === params.watch)
      const watch: Watch = {
        ...{ host, profile, params, end: new AbortController(), told: undefined, asOf: null },
        ...{ failures: 0, failure: undefined, hurry: () => undefined },
      }
      watches.add(watch)
      run(watch).catch((error: unknown) => log.error({ err: error }, 'a watch of sessions broke'))
    },
    unwatch: (hostId, name) => stop((one) => one.host.id === hostId && one.params.watch === name),
    hostLeft: (hostId) => stop((one) => one.host.id === hostId),
    changed(profile) {
      for (const watch of watches) if (watch.profile === profile) watch.hurry()
    },
    profileChanged(profile) {
      // Only if its state is another one than at the failure: a failure changes the profile, too.
      for (const watch of watches)
        if (watch.profile === profile && watch.failure && watch.failure.state !== profile.state) watch.hurry()
    },
    get size() {
      return watches.size
    },
  }
}

/** Until the next look: the usual time, sooner when there is news, at once when the watch or the core ends. */
function pause(watch: Watch, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const over = AbortSignal.any([watch.end.signal, signal])
    const settle = (): void => {
      clearTimeout(timer)
      over.removeEventListener('abort', settle)
      watch.hurry = () => undefined
      resolve()
    }
    let timer = setTimeout(settle, Math.min(LOOK_EVERY_MS * 2 ** Math.min(watch.failures, 10), LOOK_LONGEST_MS))
    timer.unref()
    watch.hurry = () => {
      watch.hurry = () => undefined
      clearTimeout(timer)
      timer = setTimeout(settle, LOOK_SOON_MS)
      timer.unref()
    }
    over.addEventListener('abort', settle, { once: true })
  })
}

async function ask(
  profile: Profile,
  params: WatchParams,
  now: () => number,
  over: AbortSignal,
): Promise<{ sessions: SessionView[]; hasMore: boolean }> {
  const signal = AbortSignal.any([over, AbortSignal.timeout(LOOK_DEADLINE_MS)])
  if (params.session !== undefined) {
    const path = `/v1/sessions/${encodeURIComponent(params.session)}`
    const { session } = await profile.callSignedIn({ method: 'GET', path }, SessionAnswer, signal)
    return { sessions: [session], hasMore: false }
  }
  const { scope, state, user, resource, limit } = params
  const query = new URLSearchParams({ scope, state, limit: String(limit) })
  if (user !== undefined) query.set('user', user)
  if (resource !== undefined) query.set('resource', resource)
  const serverNow = now() + profile.view().clockOffsetMs
  if (state === 'live') query.set('endedSince', new Date(serverNow - ENDED_KEPT_MS).toISOString())
  const call = { method: 'GET' as const, path: `/v1/sessions?${query.toString()}` }
  const { sessions } = await profile.callSignedIn(call, SessionList, signal)
  return { sessions, hasMore: sessions.length === limit }
}

/** What is new or other than it was told, and what is gone. */
function differenceOf(
  before: ReadonlyMap<string, SessionView> | undefined,
  sessions: readonly SessionView[],
): { changed: SessionView[]; removed: string[]; told: Map<string, SessionView> } {
  const told = new Map<string, SessionView>()
  const changed: SessionView[] = []
  for (const session of sessions) {
    const known = before?.get(session.id)
    if (known && !isOther(known, session)) told.set(session.id, known)
    else {
      told.set(session.id, session)
      changed.push(session)
    }
  }
  return { changed, removed: [...(before?.keys() ?? [])].filter((id) => !told.has(id)), told }
}

/** These are reckoned from two clocks at each look, and differ by a few ms each time: that alone is no news. */
const RECKONED = ['lastActivityAt', 'endsAt', 'idleEndsAt'] as const
const RECKONED_WITHIN_MS = 1000

function isOther(one: SessionView, other: SessionView): boolean {
  const isMoved = RECKONED.some((key) => {
    const [before, after] = [one[key], other[key]]
    if (before === null || after === null) return before !== after
    return Math.abs(Date.parse(before) - Date.parse(after)) >= RECKONED_WITHIN_MS
  })
  const rest = (session: SessionView): string =>
    JSON.stringify({ ...session, ...Object.fromEntries(RECKONED.map((key) => [key, null])) })
  return isMoved || rest(one) !== rest(other)
}

function errorOf(error: unknown): PosternError {
  if (error instanceof PosternError) return error
  if (error instanceof Error && error.name === 'TimeoutError')
    return new PosternError('server_unreachable', 'the access server did not say in time which sessions there are')
  return new PosternError('internal', 'something went wrong inside the Postern core; see core.log')
}
