// The state of the app as hosts have been told it: sent whole at `state.subscribe`, as `state.patch` afterwards. Parts of the
// core touch what may have changed; the mirror looks at it later, compares, and sends what really did. With nobody subscribed
// it does nothing. Called by core-state.ts.
import type { AppState, StateChange } from '../../shared/app-state.ts'
import type { Host } from '../control/hosts.ts'

/** Parts that are replaced whole. */
export type WholePart = 'core' | 'currentProfile' | 'settings'
/** Parts with an entry a key. */
export type KeyedPart = 'profiles' | 'gateways' | 'logins' | 'notices'

export type KeyedSource<V> = {
  keys(): Iterable<string>
  /** undefined: there is none (any more). */
  view(key: string): V | undefined
  /** What counts as a change; the whole view where it is not given. */
  essence?(view: V): unknown
}

/** Where the mirror looks things up. */
export type StateSources = { [P in WholePart]: () => AppState[P] } & {
  [P in KeyedPart]: KeyedSource<AppState[P][string]>
}

export type Touch = {
  (part: WholePart): void
  (part: KeyedPart, key?: string): void
}

export type StateMirror = {
  /** From now on this host gets patches; what came before them is in `state`. */
  subscribe(host: Host): { seq: number; state: AppState }
  unsubscribe(hostId: number): void
  readonly hasSubscribers: boolean
  /** The state as it is this moment, whoever has subscribed. */
  now(): AppState
  /** Something of this part may have changed; without a key, any of it. */
  touch: Touch
  /** Tells what was touched without waiting: whoever is answered next has seen it. */
  tellNow(): void
  close(): void
}

/** At most one patch per host in this time, in ms. */
export const PATCH_INTERVAL_MS = 50
/** Changes beyond this go into a further event, so that no line comes near the longest one allowed; characters of JSON. */
const PATCH_MAX_CHARS = 1_000_000

const WHOLE_PARTS = ['core', 'currentProfile', 'settings'] as const satisfies readonly WholePart[]
const KEYED_PARTS = ['profiles', 'gateways', 'logins', 'notices'] as const satisfies readonly KeyedPart[]

/** What was sent of one path, and the JSON by which a change is known. */
type Sent = { essence: string; value: unknown }

export function createStateMirror(sources: StateSources): StateMirror {
  const subscribers = new Map<number, Host>()
  const whole = new Map<WholePart, Sent>()
  const keyed = new Map<KeyedPart, Map<string, Sent>>()
  const touchedWhole = new Set<WholePart>()
  const touchedKeys = new Map<KeyedPart, Set<string> | 'all'>()
  let seq = 0
  let timer: NodeJS.Timeout | undefined

  /** Looks at one entry; tells the change, if there is one. */
  const lookAt = (part: KeyedPart, key: string): StateChange | undefined => {
    const source: KeyedSource<unknown> = sources[part]
    const entries = keyed.get(part) ?? new Map<string, Sent>()
    keyed.set(part, entries)
    const view = source.view(key)
    if (view === undefined) return entries.delete(key) ? { path: [part, key] } : undefined
    const essence = JSON.stringify(source.essence ? source.essence(view) : view)
    if (entries.get(key)?.essence === essence) return undefined
    entries.set(key, { essence, value: view })
    return { path: [part, key], value: view }
  }

  const lookAtWhole = (part: WholePart): StateChange | undefined => {
    const value = sources[part]()
    const essence = JSON.stringify(value)
    if (whole.get(part)?.essence === essence) return undefined
    whole.set(part, { essence, value })
    return { path: [part], value }
  }

  const takeChanges = (): StateChange[] => {
    const changes: (StateChange | undefined)[] = [...touchedWhole].map(lookAtWhole)
    for (const [part, keys] of touchedKeys) {
      const all = keys === 'all' ? new Set([...(keyed.get(part)?.keys() ?? []), ...sources[part].keys()]) : keys
      for (const key of all) changes.push(lookAt(part, key))
    }
    touchedWhole.clear()
    touchedKeys.clear()
    return changes.filter((change) => change !== undefined)
  }

  const flush = (): void => {
    timer = undefined
    for (const changes of inEvents(takeChanges())) {
      seq += 1
      for (const host of subscribers.values()) host.send('state.patch', { seq, changes })
    }
  }

  const schedule = (): void => {
    timer ??= setTimeout(flush, PATCH_INTERVAL_MS)
    timer.unref()
  }

  const snapshot = (): AppState => {
    const entries = <P extends KeyedPart>(part: P): AppState[P] =>
      Object.fromEntries([...(keyed.get(part) ?? [])].map(([key, sent]) => [key, sent.value])) as AppState[P]
    const value = <P extends WholePart>(part: P): AppState[P] => whole.get(part)?.value as AppState[P]
    return {
      core: value('core'),
      profiles: entries('profiles'),
      currentProfile: value('currentProfile'),
      gateways: entries('gateways'),
      logins: entries('logins'),
      notices: entries('notices'),
      settings: value('settings'),
    }
  }

  const entriesNow = (part: KeyedPart): Record<string, never> => {
    const source: KeyedSource<unknown> = sources[part]
    return Object.fromEntries([...source.keys()].map((key) => [key, source.view(key)])) as Record<string, never>
  }

  return {
    now: () => ({
      core: sources.core(),
      profiles: entriesNow('profiles'),
      currentProfile: sources.currentProfile(),
      gateways: entriesNow('gateways'),
      logins: entriesNow('logins'),
      notices: entriesNow('notices'),
      settings: sources.settings(),
    }),
    subscribe(host) {
      // With the first one everything is looked at; whoever comes later gets what the others have been told.
      if (subscribers.size === 0) {
        for (const part of WHOLE_PARTS) touchedWhole.add(part)
        for (const part of KEYED_PARTS) touchedKeys.set(part, 'all')
        takeChanges()
      }
      subscribers.set(host.id, host)
      return { seq, state: snapshot() }
    },
    unsubscribe(hostId) {
      if (!subscribers.delete(hostId) || subscribers.size > 0) return
      clearTimeout(timer)
      timer = undefined
      touchedWhole.clear()
      touchedKeys.clear()
    },
    get hasSubscribers() {
      return subscribers.size > 0
    },
    touch(part: WholePart | KeyedPart, key?: string) {
      if (subscribers.size === 0) return
      if (isWhole(part)) {
        touchedWhole.add(part)
      } else {
        const keys = touchedKeys.get(part) ?? new Set<string>()
        touchedKeys.set(part, key === undefined || keys === 'all' ? 'all' : keys.add(key))
      }
      schedule()
    },
    tellNow() {
      if (timer === undefined) return
      clearTimeout(timer)
      flush()
    },
    close() {
      clearTimeout(timer)
      if (subscribers.size > 0) flush()
      subscribers.clear()
    },
  }
}

const isWhole = (part: WholePart | KeyedPart): part is WholePart => WHOLE_PARTS.some((one) => one === part)

/** Cuts a long list of changes into several events. */
function inEvents(changes: StateChange[]): StateChange[][] {
  const events: StateChange[][] = []
  let size = 0
  for (const change of changes) {
    const chars = JSON.stringify(change).length
    if (events.length === 0 || size + chars > PATCH_MAX_CHARS) {
      events.push([])
      size = 0
    }
    events.at(-1)?.push(change)
    size += chars
  }
  return events
}
