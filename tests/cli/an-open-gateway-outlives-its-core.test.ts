import { expect, it } from 'vitest'
import { openGateway } from '../../cli/commands/gateway-open.ts'
import { gatewayView, makeContext, makeFakeCore, profileView } from './support/fake-core.ts'

const core = (owned = true) =>
  makeFakeCore({
    'gateway.open': () => ({ gateway: gatewayView(), owned }),
    'gateway.close': () => ({ closed: gatewayView({ state: 'closed' }) }),
    'profile.list': () => ({ profiles: [profileView], current: 'demo' }),
  })

const lines = (text: string) =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)

it('G16: gateway open --json prints exactly one line when it listens, and Ctrl-C closes what this terminal opened', async () => {
  const only = core()
  const context = makeContext([only])
  const done = openGateway(context, 'orders', { json: true })
  await context.outShows('\n')
  context.interruptNow()
  await done
  const { id, host, port, url, env } = gatewayView()
  expect(lines(context.out())).toEqual([{ id, host, port, url, env }])
  expect(only.calls.filter(({ method }) => method === 'gateway.close')).toEqual([
    { method: 'gateway.close', params: { gateway: 'g1' } },
  ])
})

it('G16: opening a gateway that is open already shows it and does not own it', async () => {
  const only = core(false)
  const context = makeContext([only])
  const done = openGateway(context, 'orders', {})
  await context.outShows('It was open already; Ctrl-C leaves it open.')
  context.interruptNow()
  await done
  expect(only.calls.map(({ method }) => method)).not.toContain('gateway.close')
})

it('G17: a core that dies is started again with the same gateway on the same port', async () => {
  const first = core()
  const second = core()
  const context = makeContext([first, second])
  const done = openGateway(context, 'orders', { json: true })
  await context.outShows('"id"')
  first.die()
  expect(await second.called('gateway.open')).toEqual({
    resource: 'orders',
    keep: 'attached',
    profile: 'demo',
    account: 'reader',
    database: 'orders',
    port: 21_000,
    isAgain: true,
  })
  await context.outShows('"listening"')
  context.interruptNow()
  await done
  expect(lines(context.out()).map(({ event }) => event)).toEqual([undefined, 'core_lost', 'listening'])
})

it('G17: a gateway that was closed elsewhere is not opened again', async () => {
  const only = core()
  const context = makeContext([only])
  const done = openGateway(context, 'orders', {})
  await context.outShows('Ctrl-C closes')
  only.emit('gateway.changed', gatewayView({ state: 'closed', stateText: 'closed by postern gateway close' }))
  await done
  expect(context.err()).toContain('closed by postern gateway close')
})

it('G9: without anyone to ask, one event and the line that signs in say that a login is needed', async () => {
  const only = core()
  const context = makeContext([only], { canAsk: false })
  const done = openGateway(context, 'orders', { json: true })
  await context.outShows('"id"')
  only.emit('login.needed', {
    requestId: 'r1',
    profile: 'demo',
    user: 'alice',
    reason: { kind: 'connection', gateway: 'g1', resource: 'orders', account: 'reader', client: 'psql' },
    waiting: 1,
    totp: false,
  })
  await context.outShows('login_needed')
  context.interruptNow()
  await done
  expect(context.err()).toContain('postern login 127.0.0.1:3443 --user alice')
  expect(lines(context.out())[1]).toMatchObject({ event: 'login_needed', profile: 'demo', user: 'alice', waiting: 1 })
})
