// D3 for a gateway: a real core with clock and timers of the test's own, real clients and logins, against a model that says in its
// own words what a person must be shown. One walk takes every step of the table, others go wherever chance leads.
import { afterEach, expect, it } from 'vitest'
import { GATEWAY_MACHINE } from '../../client/gateways/gateway-state.ts'
import type { GatewayState } from '../../shared/rpc.ts'
import { walkOf, type Act } from '../support/model-walk.ts'
import { coverageOf } from '../support/steps.ts'
import { HOUR_MS, LOGIN_MS, WalkedGateway } from '../support/walked-gateway.ts'

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
} satisfies Record<string, Act<Model, WalkedGateway>>

type ActName = keyof typeof ACTS
const walk = walkOf<ActName, Model, WalkedGateway>({ acts: ACTS, shown, fresh, start: () => WalkedGateway.start() })

let real: WalkedGateway | undefined
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

it('D3: one walk takes a real gateway through every step of its table', async () => {
  real = await WalkedGateway.start()
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

it('D3: wherever chance leads, a real gateway shows what is true', async () => {
  await walk.wander({ runs: 40, timeLimitMs: 25_000 })
})
