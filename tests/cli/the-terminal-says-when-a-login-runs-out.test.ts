// G14: the remaining time is visible in the terminal, too: `status` and the terminal of an open gateway say when the login behind
// it is about to run out, and how to log in early.
import { expect, it } from 'vitest'
import { openGateway } from '../../cli/commands/gateway-open.ts'
import { status } from '../../cli/commands/listings.ts'
import type { ProfileView } from '../../shared/rpc.ts'
import { gatewayView, makeContext, makeFakeCore, profileView } from './support/fake-core.ts'

const LINE = 'The login to demo ends in 5m. Log in early: postern login 127.0.0.1:3443 --user alice'
const EXPIRING: ProfileView = {
  ...profileView,
  state: 'expiring',
  remainingMs: 300_000,
  expiresAt: '2026-11-22T00:00:00.000Z',
}

/** A core whose login is what `view` says now. */
function coreWith(view: () => ProfileView) {
  return makeFakeCore({
    'gateway.open': () => ({ gateway: gatewayView(), owned: false }),
    'gateway.list': () => ({ gateways: [] }),
    'profile.list': () => ({ profiles: [view()], current: 'demo' }),
  })
}

it('G14: status names a login that is about to run out, and only that', async () => {
  const soon = makeContext([coreWith(() => EXPIRING)])
  await status(soon, {})
  expect(soon.out()).toContain(LINE)
  const later = makeContext([coreWith(() => profileView)])
  await status(later, {})
  expect(later.out()).not.toContain('Log in early')
})

it('G14: the terminal of a gateway says it once for each login, and as an event for machines', async () => {
  let view = EXPIRING
  const core = coreWith(() => view)
  const context = makeContext([core])
  const done = openGateway(context, 'orders', {})
  await context.errShows(LINE)
  const looks = () => core.calls.filter(({ method }) => method === 'profile.list').length
  const before = looks()
  core.emit('gateway.changed', gatewayView({ connections: 1 }))
  await expect.poll(looks).toBe(before + 1)
  expect(context.err().split(LINE)).toHaveLength(2)
  // Another login, which runs out as well.
  view = { ...EXPIRING, expiresAt: '2026-11-22T01:00:00.000Z', remainingMs: 60_000 }
  core.emit('gateway.changed', gatewayView({ connections: 0 }))
  await context.errShows('The login to demo ends in 1m.')
  context.interruptNow()
  await done

  const machine = makeContext([coreWith(() => EXPIRING)])
  const told = openGateway(machine, 'orders', { json: true })
  await machine.outShows('login_ends')
  machine.interruptNow()
  await told
  expect(JSON.parse(machine.out().trim().split('\n')[1] ?? '')).toMatchObject({
    event: 'login_ends',
    text: LINE,
    profile: 'demo',
    command: 'postern login 127.0.0.1:3443 --user alice',
  })
})

it('G14: a login with time left is looked at again when it can be about to run out, not before', async () => {
  let view: ProfileView = { ...profileView, remainingMs: 2500 }
  const core = coreWith(() => view)
  const context = makeContext([core])
  const done = openGateway(context, 'orders', {})
  await context.outShows('127.0.0.1:21000')
  view = EXPIRING
  await context.errShows(LINE)
  // Opening, the first look, and the one after half of the time.
  expect(core.calls.filter(({ method }) => method === 'profile.list')).toHaveLength(3)
  context.interruptNow()
  await done
})
