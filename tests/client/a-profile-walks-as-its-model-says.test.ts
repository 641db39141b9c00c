// D3 for a profile: a real core with a clock of the test's own, a real (fake) server and real logins, against a model that says in
// its own words what a person must be shown. One walk takes every step of the table, others go wherever chance leads.
import { afterEach, expect, it } from 'vitest'
import { PROFILE_MACHINE } from '../../client/profiles/profile-state.ts'
import type { ProfileView } from '../../shared/rpc.ts'
import { TestCore, type TestHost } from '../support/client-core.ts'
import { PASSWORD } from '../support/fake-access-server.ts'
import { walkOf, type Act } from '../support/model-walk.ts'
import { coverageOf } from '../support/steps.ts'

const MINUTE_MS = 60_000
/** The life of a login in these walks, in ms; its last tenth is `expiring`. */
const LIFE_MS = 60 * MINUTE_MS
/** How far a clock jumps, in ms; no login is given with clocks a day apart, so it jumps a few times only. */
const JUMP_MS = 2 * LIFE_MS
const JUMPS_MAX = 8

/** What is true, as a person would tell it. */
type Model = {
  login: 'none' | 'fresh' | 'short' | 'over'
  /** The server has said that this login, or this person, is done with. */
  told: 'nothing' | 'ended' | 'disabled'
  isLoggingIn: boolean
  isAway: boolean
  /** This machine's clock jumped ahead, and no answer of the server has set that right. */
  isClockAhead: boolean
  jumps: number
  server: { isDown: boolean; isDisabled: boolean; isEnded: boolean }
}

const fresh = (): Model => ({
  login: 'none',
  told: 'nothing',
  isLoggingIn: false,
  isAway: false,
  isClockAhead: false,
  jumps: 0,
  server: { isDown: false, isDisabled: false, isEnded: false },
})

function shown({ login, told, isLoggingIn, isAway, isClockAhead }: Model): ProfileView['state'] {
  if (isLoggingIn) return 'logging in'
  if (login === 'none') return 'signed out'
  if (told === 'disabled') return 'refused'
  if (told === 'ended' || login === 'over' || isClockAhead) return 'expired'
  if (isAway) return 'offline'
  return login === 'short' ? 'expiring' : 'ready'
}

/** The core, the server and the one login that is under way. */
class Real {
  readonly test: TestCore
  readonly host: TestHost
  /** How far the true time is ahead of this machine's, in ms. */
  timeShiftMs = 0
  /** How far this machine's clock is ahead of the true time, in ms. */
  aheadMs = 0
  loggedInAtMs = 0
  underWay: { answer: () => void; over: Promise<unknown> } | undefined

  constructor(test: TestCore, host: TestHost) {
    this.test = test
    this.host = host
  }

  static async start(): Promise<Real> {
    const test = await TestCore.start()
    test.server.userTtlMs = LIFE_MS
    const host = await test.attach({ kind: 'window' })
    await host.core.call('profile.add', { address: test.server.address, caPin: test.server.ca.fingerprint })
    return new Real(test, host)
  }

  setClocks(): void {
    const shiftMs = this.timeShiftMs
    this.test.server.now = () => Date.now() + shiftMs
    this.test.clockShiftMs = shiftMs + this.aheadMs
  }

  /** This machine's clock jumps, and nobody tells the core. */
  jump(ms: number): void {
    this.aheadMs += ms
    this.setClocks()
  }

  /** Time passes until the login has so much left. */
  passTo(leftMs: number): void {
    this.timeShiftMs = this.loggedInAtMs + LIFE_MS - leftMs - Date.now()
    this.setClocks()
  }

  /** A call as the person; what comes of it is seen in the state. */
  async look(): Promise<void> {
    await this.host.core.call('resource.list', {}).catch(() => undefined)
  }

  async state(): Promise<ProfileView['state']> {
    const { profiles } = await this.host.core.call('profile.list', {})
    return profiles[0]!.state
  }

  /** The password is on its way, and the server has not answered yet. */
  async begin(password: string): Promise<void> {
    const arrived = Promise.withResolvers<undefined>()
    const released = Promise.withResolvers<undefined>()
    this.test.server.beforeLogin = () => {
      arrived.resolve(undefined)
      return released.promise
    }
    const over = this.test.submit(this.host, undefined, password).catch(() => undefined)
    this.underWay = { answer: () => released.resolve(undefined), over }
    await arrived.promise
  }

  async close(): Promise<void> {
    this.underWay?.answer()
    await this.underWay?.over
    await this.test.close()
  }
}

const isIdle = ({ isLoggingIn }: Model): boolean => !isLoggingIn
const isUp = ({ server }: Model): boolean => !server.isDown
const isRunning = ({ login, isClockAhead }: Model): boolean => (login === 'fresh' || login === 'short') && !isClockAhead

/** A password that is on its way: the server was asked for its time before it, and has answered. */
function begun(model: Model): void {
  Object.assign(model, { isLoggingIn: true, isAway: false, isClockAhead: false })
}

const ACTS = {
  'a right password goes out': {
    when: (model) => isIdle(model) && isUp(model),
    then: begun,
    run: (real) => real.begin(PASSWORD),
  },
  'it is answered': {
    when: (model) => model.isLoggingIn && isUp(model),
    then: (model) => {
      Object.assign(model, { isLoggingIn: false, login: 'fresh', told: 'nothing' })
      model.server.isEnded = false
    },
    async run(real) {
      real.underWay?.answer()
      await real.underWay?.over
      real.loggedInAtMs = Date.now() + real.timeShiftMs
      real.underWay = undefined
    },
  },
  'a wrong password is tried': {
    when: (model) => isIdle(model) && isUp(model),
    then: (model) => Object.assign(model, { isAway: false, isClockAhead: false }),
    async run(real) {
      await real.begin('wrong')
      expect(await real.state()).toBe('logging in')
      real.underWay?.answer()
      await real.underWay?.over
      real.underWay = undefined
    },
  },
  'the server dies under a login': {
    when: (model) => model.isLoggingIn && isUp(model),
    then: (model) => {
      Object.assign(model, { isLoggingIn: false, isAway: true })
      model.server.isDown = true
    },
    async run(real) {
      await real.test.server.close()
      real.underWay?.answer()
      await real.underWay?.over
      real.underWay = undefined
    },
  },
  'the person logs out': {
    when: isIdle,
    then: (model) => {
      // Told to the server with whatever certificate there is, unless the server has ended that itself.
      if (model.login !== 'none' && model.told !== 'ended') model.isAway = model.server.isDown
      if (model.login !== 'none' && model.told !== 'ended' && isUp(model)) model.isClockAhead = false
      Object.assign(model, { login: 'none', told: 'nothing' })
    },
    async run(real) {
      await real.host.core.call('logout', {})
    },
  },
  'time runs short': {
    when: (model) => isRunning(model) && model.login === 'fresh',
    then: (model) => (model.login = 'short'),
    run: (real) => real.passTo(3 * MINUTE_MS),
  },
  'time is up': {
    when: isRunning,
    then: (model) => (model.login = 'over'),
    run: (real) => real.passTo(-MINUTE_MS),
  },
  'the clock of this machine jumps ahead': {
    when: (model) => isRunning(model) && isIdle(model) && model.jumps < JUMPS_MAX,
    then: (model) => Object.assign(model, { isClockAhead: true, jumps: model.jumps + 1 }),
    run: (real) => real.jump(JUMP_MS),
  },
  'it is set right': {
    when: (model) => model.isClockAhead && model.login !== 'none',
    then: (model) => (model.isClockAhead = false),
    run: (real) => real.jump(-JUMP_MS),
  },
  'the server is looked at': {
    when: isIdle,
    then(model) {
      if (model.login === 'none' || model.told === 'ended') return
      model.isAway = model.server.isDown
      if (model.server.isDown) return
      model.isClockAhead = false
      if (model.login === 'over') return
      if (model.server.isDisabled) model.told = 'disabled'
      else if (model.server.isEnded) model.told = model.told === 'disabled' ? 'disabled' : 'ended'
      else model.told = 'nothing'
    },
    run: (real) => real.look(),
  },
  'the server goes away': {
    when: (model) => isUp(model) && isIdle(model),
    then: (model) => (model.server.isDown = true),
    run: (real) => real.test.server.close(),
  },
  'the server comes back': {
    when: (model) => !isUp(model),
    then: (model) => (model.server.isDown = false),
    async run(real) {
      await real.test.server.start()
    },
  },
  'the person is disabled': {
    when: ({ server }) => !server.isDisabled,
    then: (model) => (model.server.isDisabled = true),
    run: (real) => void real.test.server.disabledUsers.add('alice'),
  },
  'the person is enabled': {
    when: ({ server }) => server.isDisabled,
    then: (model) => (model.server.isDisabled = false),
    run: (real) => real.test.server.disabledUsers.clear(),
  },
  'the login is ended on the server': {
    // Of a refused person nothing more is known than that.
    when: (model) => model.login !== 'none' && model.told === 'nothing' && isIdle(model) && !model.server.isDisabled,
    then: (model) => (model.server.isEnded = true),
    run: (real) => real.test.server.endLatestLogin(),
  },
} satisfies Record<string, Act<Model, Real>>

type ActName = keyof typeof ACTS
const walk = walkOf<ActName, Model, Real>({ acts: ACTS, shown, fresh, start: () => Real.start() })

let real: Real | undefined
afterEach(async () => {
  await real?.close()
  real = undefined
})

/** One way through every step of the table. */
const TOUR: ActName[] = [
  // signed out → logging in → signed out → … → ready
  'a wrong password is tried',
  'a right password goes out',
  'it is answered',
  // ready: a wrong password, offline, back, disabled, enabled
  'a wrong password is tried',
  'the server goes away',
  'the server is looked at',
  'the server comes back',
  'the server is looked at',
  'the person is disabled',
  'the server is looked at',
  'a wrong password is tried',
  'the person is enabled',
  'the server is looked at',
  // ready → expired by the clock of this machine, and back
  'the clock of this machine jumps ahead',
  'it is set right',
  // ready → offline → refused → ready
  'the server goes away',
  'the server is looked at',
  'the server comes back',
  'the person is disabled',
  'the server is looked at',
  'the person is enabled',
  'the server is looked at',
  // offline → expired → offline by the clock; offline → logging in → offline
  'the server goes away',
  'the clock of this machine jumps ahead',
  'the server is looked at',
  'it is set right',
  'the clock of this machine jumps ahead',
  'it is set right',
  'the server comes back',
  'a right password goes out',
  'the server dies under a login',
  'the server comes back',
  'a wrong password is tried',
  // ready → expiring → expired and back, → offline → expiring, → refused → expiring
  'time runs short',
  'a wrong password is tried',
  'the clock of this machine jumps ahead',
  'it is set right',
  'the server goes away',
  'the server is looked at',
  'the server comes back',
  'the server is looked at',
  'the person is disabled',
  'the server is looked at',
  'the person is enabled',
  'the server is looked at',
  // expiring → expired → logging in → expired
  'time is up',
  'a wrong password is tried',
  // expired, disabled, looked at by a logout: → refused → signed out
  'the person is disabled',
  'the person logs out',
  'the person is enabled',
  'a right password goes out',
  'it is answered',
  // ready → expired, said by the server; → signed out
  'the login is ended on the server',
  'the server is looked at',
  'the person logs out',
  'a right password goes out',
  'it is answered',
  'time runs short',
  'the login is ended on the server',
  'the server is looked at',
  'a right password goes out',
  'it is answered',
  // refused → expired → signed out: time is up for a refused person, who is enabled and logs out
  'the person is disabled',
  'the server is looked at',
  'time is up',
  'the person is enabled',
  'the person logs out',
  // … and from each state to signed out
  'a right password goes out',
  'it is answered',
  'the person logs out',
  'a right password goes out',
  'it is answered',
  'time runs short',
  'the person logs out',
  'a right password goes out',
  'it is answered',
  'the server goes away',
  'the server is looked at',
  'the person logs out',
  'the server comes back',
  // offline → expired, said by the clock alone, and by the server
  'a right password goes out',
  'it is answered',
  'the server goes away',
  'the server is looked at',
  'time is up',
  'the server comes back',
  'a right password goes out',
  'it is answered',
  'the server goes away',
  'the server is looked at',
  'the login is ended on the server',
  'the server comes back',
  'the server is looked at',
  'a right password goes out',
  'it is answered',
  'time is up',
]

it('D3: one walk takes a real profile through every step of its table', async () => {
  real = await Real.start()
  const model = fresh()
  await walk.tour(TOUR, model, real)
  // A clock that is a little ahead makes a fresh login look short; set right, it is fresh again.
  for (const name of ['a right password goes out', 'it is answered'] as const) await walk.step(name, model, real)
  real.jump(57 * MINUTE_MS)
  expect(await real.state()).toBe('expiring')
  real.jump(-57 * MINUTE_MS)
  expect(await real.state()).toBe('ready')
  expect(coverageOf(PROFILE_MACHINE, real.test.log).missing).toEqual([])
})

it('D3: wherever chance leads, a real profile shows what is true', async () => {
  await walk.wander({ runs: 60, timeLimitMs: 30_000 })
})
