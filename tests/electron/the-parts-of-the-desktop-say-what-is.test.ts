// The parts of the desktop shell that decide something, without a desktop: the tray's words, presence, attention, where the window goes, and
// how long the supervisor tries.
import { EventEmitter } from 'node:events'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createAttention } from '../../electron/attention.ts'
import { superviseCore, type CoreChild, type CoreState } from '../../electron/core-supervisor.ts'
import { createLoginItem } from '../../electron/login-item.ts'
import { trayView } from '../../electron/overall-state.ts'
import { followPresence } from '../../electron/presence.ts'
import { readBounds, visibleBounds, writeBounds } from '../../electron/window-bounds.ts'
import type { CoreConnection } from '../../client/connect.ts'
import type { AppState, GatewayDetail } from '../../shared/app-state.ts'
import { PosternError } from '../../shared/errors.ts'
import type { LoginPrompt, ProfileView } from '../../shared/rpc.ts'
import { until } from '../support/run.ts'

const T = '2026-11-22T00:00:00.000Z'
const profile = (name: string, state: ProfileView['state']): ProfileView => ({
  profile: name,
  address: 'demo:3443',
  fingerprint: 'sha256:00',
  user: 'alice',
  level: 'viewer',
  state,
  expiresAt: T,
  remainingMs: 0,
  clockOffsetMs: 0,
})
const gateway = (state: GatewayDetail['state']): GatewayDetail => ({
  id: `g-${state}`,
  profile: 'demo',
  resource: 'orders',
  protocol: 'postgres',
  account: 'reader',
  database: 'orders',
  host: '127.0.0.1',
  port: 15432,
  url: '',
  env: {},
  state,
  stateText: null,
  keep: 'detached',
  certificateExpiresAt: null,
  connections: 0,
  waiting: 0,
  openedAt: T,
  connectTimeoutSeconds: 60,
  bytesIn: 0,
  bytesOut: 0,
  rateIn: 0,
  rateOut: 0,
  roundTripMs: null,
  connectionList: [],
})
const prompt = (requestId: string, name = 'demo'): LoginPrompt => ({
  requestId,
  profile: name,
  user: 'alice',
  reason: { kind: 'connection', gateway: 'g', resource: 'orders', account: 'reader', client: 'psql' },
  waiting: 2,
  totp: false,
})

function appState(profiles: ProfileView[], gateways: GatewayDetail[] = [], logins: AppState['logins'] = {}): AppState {
  return {
    core: { version: '1', pid: 1, home: '/h', startedAt: T, logFile: '/h/core.log', platform: 'linux' },
    profiles: Object.fromEntries(profiles.map((one) => [one.profile, one])),
    currentProfile: profiles[0]?.profile ?? null,
    gateways: Object.fromEntries(gateways.map((one) => [one.id, one])),
    logins,
    notices: {},
    settings: {
      theme: 'system',
      portRange: null,
      loginWait: 1,
      loginHardLimit: 1,
      coolDown: 1,
      backgroundMode: false,
      startAtLogin: false,
    },
  }
}

describe('the tray', () => {
  it('D3: says the most urgent in words, and never that it is connected when it is not', () => {
    const tooltip = (state: AppState | undefined, core: CoreState['state'] = 'connected'): string =>
      trayView(core, state, Date.parse(T)).tooltip
    expect(tooltip(undefined)).toBe('Postern: starting')
    expect(tooltip(appState([profile('demo', 'ready')]), 'restarting')).toBe('Postern: starting')
    expect(tooltip(appState([profile('demo', 'ready')]), 'failed')).toBe('Postern: not running')
    expect(tooltip(appState([]))).toBe('Postern: no cluster yet')
    expect(tooltip(appState([profile('demo', 'ready')], [gateway('listening')]))).toBe('Postern: ready, 1 gateway open')
    for (const state of ['signed out', 'expired', 'refused', 'offline', 'logging in', 'expiring'] as const) {
      expect(tooltip(appState([profile('demo', state)], [gateway('listening')])), state).not.toMatch(/ready|open/)
    }
    const asked = { r: { ...prompt('r'), requestedAt: T, deadlineAt: null } }
    expect(tooltip(appState([profile('demo', 'expired')], [], asked))).toBe('Postern: a login is asked for')
    expect(tooltip(appState([profile('demo', 'expired')], [gateway('waiting for login')]))).toMatch(/waits for a login/)
  })

  it('D3: lists the open gateways with their states, and the profiles that a login would help', () => {
    const state = appState(
      [profile('demo', 'expired'), profile('alpha', 'signed out'), profile('good', 'ready')],
      [gateway('listening'), gateway('needs login'), gateway('closed')],
    )
    expect(trayView('connected', state, Date.parse(T))).toMatchObject({
      gateways: [
        { id: 'g-listening', label: 'orders as reader  127.0.0.1:15432' },
        { id: 'g-needs login', label: 'orders as reader  127.0.0.1:15432  (needs login)' },
      ],
      logins: ['demo', 'alpha'],
    })
  })

  it('G14: counts down each login that is good by the minute, the current one first, and says when it has to look again', () => {
    const until = (minutes: number, name: string, state: ProfileView['state'] = 'ready', clockOffsetMs = 0) => ({
      ...profile(name, state),
      clockOffsetMs,
      expiresAt: new Date(Date.parse(T) + minutes * 60_000 + clockOffsetMs).toISOString(),
    })
    const state = appState([
      until(12.5, 'demo', 'expiring'),
      until(60 * 8, 'acme', 'ready', -90_000),
      until(0.5, 'late'),
      until(30, 'gone', 'expired'),
      until(-1, 'over'),
    ])
    const view = trayView('connected', state, Date.parse(T))
    expect(view.lives).toEqual([
      { profile: 'demo', label: 'demo: 12 min left, log in again…' },
      { profile: 'acme', label: 'acme: 8 h 0 min left, log in again…' },
      { profile: 'late', label: 'late: less than a minute left, log in again…' },
    ])
    expect(view.tooltip).toBe('Postern: login ends soon · demo: 12 min left')
    // acme's whole minute is over first.
    expect(view.changesInMs).toBe(1)
    const later = trayView('connected', state, Date.parse(T) + 1)
    expect(later.lives[1]?.label).toBe('acme: 7 h 59 min left, log in again…')
    expect(later.changesInMs).toBe(30_000)
    for (const core of ['restarting', 'failed'] as const)
      expect(trayView(core, state, Date.parse(T))).toMatchObject({ lives: [], changesInMs: null })
  })
})

describe('presence', () => {
  it('G10: a machine that wakes up locked is locked; each change is told once', () => {
    const power = new EventEmitter()
    const told: string[] = []
    const now = followPresence(power, (presence) => told.push(presence))
    for (const event of ['lock-screen', 'lock-screen', 'suspend', 'resume', 'unlock-screen', 'resume'])
      power.emit(event)
    expect(told).toEqual(['locked', 'suspended', 'locked', 'present'])
    expect(now()).toBe('present')
  })
})

type Window = NonNullable<ReturnType<Parameters<typeof createAttention>[0]['window']>>

describe('attention', () => {
  function setUp(at: { minimized?: boolean; visible?: boolean; focused?: boolean }) {
    const did: string[] = []
    const window = {
      isMinimized: () => at.minimized ?? false,
      isVisible: () => at.visible ?? true,
      isFocused: () => at.focused ?? false,
      flashFrame: () => undefined,
      minimize: () => did.push('minimize'),
      hide: () => did.push('hide'),
      blur: () => did.push('blur'),
    }
    const attention = createAttention({
      window: () => window as unknown as Window,
      raise: () => did.push('raise'),
      notify: (title) => {
        did.push(`notify ${title}`)
        return { close: () => did.push('close notification') }
      },
      onLoginClick: () => did.push('clicked'),
    })
    return { attention, did }
  }
  const closed = (requestId: string, name = 'demo') =>
    ({ requestId, profile: name, outcome: 'succeeded', text: null }) as const

  it.each([
    [{ minimized: true }, 'minimize'],
    [{ visible: false }, 'hide'],
    [{ focused: false }, 'blur'],
  ])('G11: a window that was %j is raised for the login and goes back after the last one: %s', (at, back) => {
    const { attention, did } = setUp(at)
    attention.requested(prompt('a'))
    attention.requested(prompt('b', 'other'))
    attention.closed(closed('a'))
    attention.closed(closed('b', 'other'))
    expect(did).toEqual(['raise', 'raise', back])
  })

  it('G11: a window that has the focus is left alone', () => {
    const { attention, did } = setUp({ focused: true })
    attention.requested(prompt('a'))
    attention.needed(prompt('a'))
    attention.closed(closed('a'))
    expect(did).toEqual([])
  })

  it('G10: what nobody could be asked for is one notification a profile, taken back when it is over', () => {
    const { attention, did } = setUp({})
    attention.needed(prompt('a'))
    attention.needed(prompt('b'))
    attention.needed(prompt('c', 'other'))
    attention.closed(closed('a'))
    attention.reset()
    expect(did).toEqual([
      'notify demo: a login is needed',
      'notify other: a login is needed',
      'close notification',
      'close notification',
    ])
  })
})

describe('the window', () => {
  it('D2: comes back where it was, unless that screen is gone or the file is torn', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'postern-bounds-'))
    try {
      const file = join(dir, 'window.json')
      const area = [{ x: 0, y: 0, width: 1920, height: 1040 }]
      expect(visibleBounds(readBounds(file), area)).toBeUndefined()
      const kept = { bounds: { x: 100, y: 80, width: 1000, height: 700 }, maximized: true }
      await writeBounds(file, kept)
      expect(visibleBounds(readBounds(file), area)).toEqual(kept)
      expect(visibleBounds(kept, [{ x: 5000, y: 0, width: 1920, height: 1040 }])).toBeUndefined()
      await writeFile(file, '{"bounds":')
      expect(readBounds(file)).toBeUndefined()
    } finally {
      await rm(dir, { recursive: true, force: true })
    }
  })

  it('D3: starting at login is a file on Linux, quoted, and gone when it is turned off', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'postern-login-item-'))
    try {
      const file = join(dir, 'autostart', 'postern.desktop')
      type App = Parameters<typeof createLoginItem>[0]
      const item = createLoginItem({} as App, 'linux', dir, '/opt/my "own" 100%/postern')
      await item.set(true)
      expect(await readFile(file, 'utf8')).toContain('Exec="/opt/my \\"own\\" 100%%/postern" --in-background')
      await item.set(false)
      await expect(stat(file)).rejects.toThrow('ENOENT')
      await item.set(false)
    } finally {
      await rm(dir, { recursive: true, force: true })
    }
  })
})

describe('the supervisor', () => {
  it('G17: a core that keeps failing is told as failed, with its reason, and tried on', async () => {
    const states: CoreState[] = []
    let launches = 0
    const supervisor = superviseCore({
      attach: () => Promise.reject(new PosternError('core_unreachable', 'no core')),
      launch: () => {
        launches++
        return {
          exited: Promise.resolve({ code: 1, problem: 'settings.json: loginWait is wrong' }),
          kill: () => undefined,
        }
      },
      onConnected: () => undefined,
      onState: (state) => states.push(state),
      now: () => 0,
    })
    await until(() => states.some(({ state }) => state === 'failed'), 'it is told')
    expect(states.at(-1)!.text).toBe('settings.json: loginWait is wrong')
    expect(states.slice(0, 3).map(({ state }) => state)).toEqual(['restarting', 'restarting', 'restarting'])
    await supervisor.close()
    const before = launches
    await supervisor.close()
    expect(launches).toBe(before)
  })

  it.each([
    ['asks a core that listens to end, and sends no signal', false, 0],
    ['ends one that does not answer with a signal', true, 1],
  ])('G17: closing %s; either way it waits until the core is gone', async (_what, refuses, signals) => {
    const { promise: exited, resolve } = Promise.withResolvers<{ code: number; problem: null }>()
    const { promise: gone, resolve: go } = Promise.withResolvers<undefined>()
    let listens = false
    let killed = 0
    const end = (): void => resolve({ code: 0, problem: null })
    const connection = {
      closed: gone,
      call: () => {
        if (refuses) return Promise.reject(new PosternError('core_unreachable', 'no answer'))
        end()
        return Promise.resolve({})
      },
      close: () => {
        go(undefined)
        return Promise.resolve()
      },
    } as unknown as CoreConnection
    const child: CoreChild = {
      exited,
      kill: () => {
        killed++
        end()
      },
    }
    const supervisor = superviseCore({
      attach: () =>
        listens ? Promise.resolve(connection) : Promise.reject(new PosternError('core_unreachable', 'no core')),
      launch: () => {
        listens = true
        return child
      },
      onConnected: () => undefined,
      onState: () => undefined,
      now: () => 0,
    })
    await until(() => supervisor.current() !== undefined, 'connected')
    await Promise.all([supervisor.close(), supervisor.close()])
    expect(killed).toBe(signals)
    expect(supervisor.current()).toBeUndefined()
  })
})
