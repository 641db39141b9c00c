// D3 for a gateway: a real core with clock and timers of the test's own, real clients and logins, against a model that says in its
// own words what a person must be shown. One walk takes every step of the table, others go wherever chance leads.
import { once } from 'node:events'
import { createServer } from 'node:net'
import { afterEach, expect, it } from 'vitest'
import { GATEWAY_MACHINE } from '../../client/gateways/gateway-state.ts'
import { AppState } from '../../shared/app-state.ts'
import type { GatewayState, GatewayView } from '../../shared/rpc.ts'
import { RawClient, TestCore, waitUntil, type TestHost } from '../support/client-core.ts'
import { ManualTimers } from '../support/manual-timers.ts'
import { PASSWORD } from '../support/fake-access-server.ts'
import { walkOf, type Act } from '../support/model-walk.ts'
import { coverageOf } from '../support/steps.ts'

const HOUR_MS = 3_600_000
/** Lives of the user's and of the route's certificate in these walks, in ms. */
const LOGIN_MS = 10 * HOUR_MS
const ROUTE_MS = HOUR_MS

/** What is true, as a person would tell it. The gateway is alice's. */
type Model = {
  person: 'alice' | 'bob'
  login: 'good' | 'over' | 'none'
  hasCertificate: boolean
  listener: 'open' | 'closed' | 'port taken'
  isHeld: boolean
  question: 'none' | 'for a client' | 'of the person'
  isCooling: boolean
  /** The server would refuse the route; it has. */
  isForbidden: boolean
  isRefused: boolean
}

const fresh = (): Model => ({
  person: 'alice',
  login: 'good',
  hasCertificate: true,
  listener: 'open',
  isHeld: false,
  question: 'none',
  isCooling: false,
  isForbidden: false,
  isRefused: false,
})

function shown(model: Model): GatewayState {
  if (model.listener === 'closed') return 'closed'
  if (model.listener === 'port taken') return 'port conflict'
  if (model.isRefused || model.person === 'bob') return 'refused'
  if (model.isHeld) return 'waiting for login'
  if (model.login === 'good') return 'listening'
  return model.isCooling ? 'cool-down' : 'needs login'
}

class Real {
  readonly test: TestCore
  readonly timers: ManualTimers
  readonly port: number
  readonly id: string
  /** A window, which can ask, and a script, which cannot. */
  window!: TestHost
  script!: TestHost
  client: RawClient | undefined

  private constructor(test: TestCore, timers: ManualTimers, gateway: GatewayView) {
    this.test = test
    this.timers = timers
    this.port = gateway.port
    this.id = gateway.id
  }

  static async start(): Promise<Real> {
    const timers = new ManualTimers()
    const test = await TestCore.start({ after: timers.after })
    test.server.userTtlMs = LOGIN_MS
    test.server.routeTtlMs = ROUTE_MS
    const host = await test.attach({ kind: 'terminal' })
    await test.login(host)
    const real = new Real(test, timers, await test.open(host, 'orders', 'detached'))
    await real.attach()
    await host.core.close()
    return real
  }

  async attach(): Promise<void> {
    this.window = await this.test.attach({ kind: 'window' })
    this.script = await this.test.attach({ kind: 'terminal', canAsk: false })
  }

  async view(): Promise<GatewayView | undefined> {
    const { gateways } = await this.script.core.call('gateway.list', {})
    return gateways.find(({ id }) => id === this.id)
  }

  state = async (): Promise<GatewayState> => (await this.view())?.state ?? 'closed'

  /** Both clocks, and with them every certificate, get older. */
  async pass(ms: number): Promise<void> {
    // An answer on its way (how people can log in is asked beside a request) would bring the time of before: it comes first.
    for (let call = 0; call < 2; call++) await this.script.core.call('resource.list', {}).catch(() => undefined)
    this.test.clockShiftMs += ms
    const shiftMs = this.test.clockShiftMs
    this.test.server.now = () => Date.now() + shiftMs
  }

  async logIn(user: string): Promise<void> {
    await this.window.core.call('login.submit', { user, password: PASSWORD })
    await this.settled()
  }

  /** A client comes and is connected, refused or held. */
  async connect(): Promise<void> {
    const client = await RawClient.connect(this.port)
    await waitUntil(
      async () => client.text !== '' || client.isEnded || (await this.view())?.waiting === 1,
      'the client to be taken care of',
    )
    if (client.text === '' && !client.isEnded) this.client = client
    else await this.gone(client)
  }

  async gone(client: RawClient): Promise<void> {
    client.socket.destroy()
    await waitUntil(async () => ((await this.view())?.connections ?? 0) === 0, 'the connection to be over')
  }

  /** Whoever was held has been told what became of it. */
  async settled(): Promise<void> {
    const { client } = this
    this.client = undefined
    if (!client) return
    await waitUntil(() => client.text !== '' || client.isEnded || client.socket.destroyed, 'an answer to the client')
    await this.gone(client)
  }

  async requestId(): Promise<string> {
    const page = await this.test.attach({ kind: 'page', canAsk: false })
    const { logins } = AppState.parse((await page.core.call('state.subscribe', {})).state)
    await page.core.close()
    return Object.keys(logins)[0]!
  }

  async restart(isPortTaken: boolean): Promise<void> {
    await this.test.core.stop()
    await this.client?.ended()
    this.client = undefined
    const other = createServer()
    if (isPortTaken) await once(other.listen(this.port, '127.0.0.1'), 'listening')
    await this.test.restart()
    if (isPortTaken) await once(other.close(), 'close')
    await this.attach()
  }

  async close(): Promise<void> {
    this.client?.socket.destroy()
    await this.test.close()
  }
}

const isOpen = ({ listener }: Model): boolean => listener === 'open'

/** The server is asked for a certificate. */
function reissued(model: Model): void {
  if (model.isForbidden) model.isRefused = true
  else Object.assign(model, { hasCertificate: true, isRefused: false })
}

/** Whoever waited got an error, which is no refusal. */
function unanswered(model: Model): void {
  if (model.isHeld) model.isRefused = false
  Object.assign(model, { isHeld: false, question: 'none', isCooling: true })
}

const ACTS = {
  'a client comes': {
    when: (model) => isOpen(model) && !model.isHeld,
    then(model) {
      if (model.person === 'bob') model.isRefused = true
      else if (model.hasCertificate) model.isRefused = false
      else if (model.login === 'good') reissued(model)
      else if (model.isCooling) model.isRefused = false
      else {
        model.isHeld = true
        if (model.question === 'none') model.question = 'for a client'
      }
    },
    run: (real) => real.connect(),
  },
  'it hangs up': {
    when: ({ isHeld }) => isHeld,
    then(model) {
      model.isHeld = false
      if (model.question === 'for a client') model.question = 'none'
    },
    async run(real) {
      const { client } = real
      real.client = undefined
      await real.gone(client!)
    },
  },
  'the person cancels': {
    when: ({ question }) => question !== 'none',
    then: unanswered,
    async run(real) {
      await real.window.core.call('login.cancel', { requestId: await real.requestId(), outcome: 'cancelled' })
      await real.settled()
    },
  },
  'nobody answers': {
    when: ({ isHeld }) => isHeld,
    then: unanswered,
    async run(real) {
      real.timers.runFirst()
      await real.settled()
    },
  },
  'the cool-down passes': {
    when: ({ isCooling, question }) => isCooling && question === 'none',
    then: (model) => (model.isCooling = false),
    run: (real) => real.timers.runFirst(),
  },
  'the person asks for a login': {
    when: () => true,
    then: (model) => Object.assign(model, { isCooling: false, question: 'of the person' }),
    async run(real) {
      await real.window.core.call('login.ask', { profile: 'test' })
    },
  },
  'alice logs in': {
    when: () => true,
    then(model) {
      Object.assign(model, { person: 'alice', login: 'good', question: 'none', isCooling: false, isHeld: false })
      if (model.listener !== 'closed') reissued(model)
    },
    run: (real) => real.logIn('alice'),
  },
  'bob logs in': {
    when: () => true,
    then(model) {
      if (model.isHeld) model.isRefused = true
      Object.assign(model, { person: 'bob', login: 'good', question: 'none', isCooling: false, isHeld: false })
    },
    run: (real) => real.logIn('bob'),
  },
  'the login runs out': {
    when: ({ login }) => login === 'good',
    then: (model) => Object.assign(model, { login: 'over', hasCertificate: false }),
    run: (real) => real.pass(LOGIN_MS + HOUR_MS),
  },
  'the person logs out': {
    when: () => true,
    then: (model) => Object.assign(model, { login: 'none', hasCertificate: false, isHeld: false, question: 'none' }),
    async run(real) {
      await real.window.core.call('logout', {})
      await real.settled()
    },
  },
  'the role is taken away': {
    when: ({ isForbidden }) => !isForbidden,
    then: (model) => (model.isForbidden = true),
    run: (real) => void real.test.server.refusedRoutes.set('orders', { code: 'resource_denied', text: 'not any more' }),
  },
  'it is given back': {
    when: ({ isForbidden }) => isForbidden,
    then: (model) => (model.isForbidden = false),
    run: (real) => real.test.server.refusedRoutes.clear(),
  },
  'the gateway is closed': {
    when: ({ listener }) => listener !== 'closed',
    then(model) {
      if (model.question === 'for a client') model.question = 'none'
      Object.assign(model, { listener: 'closed', isHeld: false, hasCertificate: false, isRefused: false })
    },
    async run(real) {
      await real.script.core.call('gateway.close', { gateway: real.id })
      await real.settled()
    },
  },
  'a script opens it': {
    when: ({ listener, person }) => listener === 'closed' && person === 'alice',
    then(model) {
      if (model.login === 'good' && model.isForbidden) return
      Object.assign(model, { listener: 'open', hasCertificate: model.login === 'good' })
    },
    run: (real) =>
      real.script.core.call('gateway.open', { resource: 'orders', keep: 'detached' }).then(
        () => undefined,
        () => undefined,
      ),
  },
  'the core restarts': {
    when: () => true,
    then(model) {
      Object.assign(model, {
        isHeld: false,
        question: 'none',
        isCooling: false,
        hasCertificate: false,
        isRefused: false,
      })
      if (model.listener === 'port taken') model.listener = 'open'
    },
    run: (real) => real.restart(false),
  },
  'the core restarts, and its port is taken': {
    when: ({ listener }) => listener !== 'closed',
    then(model) {
      Object.assign(model, {
        isHeld: false,
        question: 'none',
        isCooling: false,
        hasCertificate: false,
        isRefused: false,
      })
      model.listener = 'port taken'
    },
    run: (real) => real.restart(true),
  },
  'it is told to listen again': {
    when: ({ listener }) => listener === 'port taken',
    then: (model) => (model.listener = 'open'),
    async run(real) {
      await real.script.core.call('gateway.update', { gateway: real.id, port: real.port })
    },
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
  // listening → needs login → waiting → needs login → waiting → listening
  'the login runs out',
  'a client comes',
  'it hangs up',
  'a client comes',
  'alice logs in',
  // … waiting → cool-down → needs login, → listening
  'the login runs out',
  'a client comes',
  'the person cancels',
  'a client comes',
  'the cool-down passes',
  'a client comes',
  'nobody answers',
  'alice logs in',
  // listening → cool-down, needs login → cool-down → refused
  'the person asks for a login',
  'the person cancels',
  'the login runs out',
  'the cool-down passes',
  'the person asks for a login',
  'the person cancels',
  'bob logs in',
  'a client comes',
  'alice logs in',
  // listening → refused → cool-down
  'the role is taken away',
  'the person logs out',
  'alice logs in',
  'the login runs out',
  'a client comes',
  'the person cancels',
  // cool-down → closed, starting → cool-down, refused and waiting at once: refused → waiting → listening
  'the gateway is closed',
  'a script opens it',
  'the cool-down passes',
  'alice logs in',
  'the login runs out',
  'a client comes',
  'it is given back',
  'alice logs in',
  // waiting → refused, refused → needs login by a restart
  'the login runs out',
  'a client comes',
  'bob logs in',
  'the core restarts',
  'the core restarts, and its port is taken',
  'it is told to listen again',
  'alice logs in',
  // closed from everywhere
  'the gateway is closed',
  'a script opens it',
  'the login runs out',
  'the gateway is closed',
  'a script opens it',
  'a client comes',
  'the gateway is closed',
  'a script opens it',
  'bob logs in',
  'the gateway is closed',
  'alice logs in',
  'a script opens it',
  'the core restarts, and its port is taken',
  'the gateway is closed',
  // port conflict → listening, → needs login, → cool-down
  'a script opens it',
  'the core restarts, and its port is taken',
  'it is told to listen again',
  'the core restarts, and its port is taken',
  'the login runs out',
  'it is told to listen again',
  'the core restarts, and its port is taken',
  'the person asks for a login',
  'the person cancels',
  'it is told to listen again',
  // needs login → refused
  'the cool-down passes',
  'bob logs in',
]

it('D3: one walk takes a real gateway through every step of its table', { timeout: 60_000 }, async () => {
  real = await Real.start()
  const model = fresh()
  await walk.tour(TOUR, model, real)
  // refused → needs login: out of reach, the server says nothing of the route, and the refusal of before is not repeated.
  for (const name of ['the role is taken away', 'alice logs in', 'the login runs out'] as const) {
    await walk.step(name, model, real)
  }
  await real.test.server.close()
  await real.connect()
  expect(await real.state()).toBe('needs login')
  expect(coverageOf(GATEWAY_MACHINE, real.test.log).missing).toEqual([])
})

it('D3: wherever chance leads, a real gateway shows what is true', { timeout: 120_000 }, async () => {
  await walk.wander({ runs: 40, timeLimitMs: 25_000 })
})
