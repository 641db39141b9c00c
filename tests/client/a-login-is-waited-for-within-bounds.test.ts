// The bounds of a wait (G9) and of the cool-down (G7) with their real lengths and timers of the test's own; and the first message
// that a client has to send (G2).
import { afterEach, expect, it } from 'vitest'
import { createHosts } from '../../client/control/hosts.ts'
import { Attention } from '../../client/renewal/attention.ts'
import { LoginRequests } from '../../client/renewal/login-requests.ts'
import { defaultSettings } from '../../client/settings.ts'
import { RawClient, TestCore, waitUntil } from '../support/client-core.ts'
import { ManualTimers } from '../support/manual-timers.ts'

const SECOND_MS = 1000
const MINUTE_MS = 60_000
const PROFILE = { name: 'test', user: 'alice', totp: false, sso: null }
const CONNECTION = {
  reason: { kind: 'connection', gateway: 'g', resource: 'orders', account: 'reader', client: null },
  hostId: undefined,
  isCommand: false,
} as const

function prepare() {
  const timers = new ManualTimers()
  const requests = new LoginRequests({
    hosts: createHosts(),
    settings: defaultSettings,
    attention: new Attention(Date.now),
    now: Date.now,
    after: timers.after,
    randomId: () => 'r1',
    onChanged: () => undefined,
    ssoProgress: () => undefined,
    onOpened: () => undefined,
    onClosed: () => undefined,
    onUnattended: () => undefined,
  })
  /** One connection that waits, and what became of it. */
  const wait = () => {
    const waited = { outcome: 'waits' }
    requests.wait(PROFILE, CONNECTION, new AbortController().signal).then(
      () => (waited.outcome = 'goes on'),
      (error: unknown) => (waited.outcome = error instanceof Error ? error.message : String(error)),
    )
    return waited
  }
  return { timers, requests, wait }
}
const settle = () => new Promise((resolve) => setImmediate(resolve))

let test: TestCore | undefined
afterEach(async () => {
  await test?.close()
  test = undefined
})

it('G9: nobody answers for a minute, and the wait is over; no second earlier', async () => {
  const { timers, wait } = prepare()
  const one = wait()
  timers.pass(59 * SECOND_MS)
  await settle()
  expect(one.outcome).toBe('waits')
  timers.pass(SECOND_MS)
  await settle()
  expect(one.outcome).toBe('nobody logged in in time')
})

it('G9: a password that is on its way extends the wait, a wrong one gives a whole minute anew, five minutes are the end', async () => {
  const { timers, requests, wait } = prepare()
  const one = wait()
  timers.pass(50 * SECOND_MS)
  let answered = requests.submitting('test', 'r1')
  timers.pass(2 * MINUTE_MS)
  await settle()
  expect(one.outcome).toBe('waits')
  answered()
  timers.pass(59 * SECOND_MS)
  await settle()
  expect(one.outcome).toBe('waits')
  answered = requests.submitting('test', 'r1')
  // 3 min 49 s have passed.
  timers.pass(70 * SECOND_MS)
  await settle()
  expect(one.outcome).toBe('waits')
  timers.pass(SECOND_MS)
  await settle()
  expect(one.outcome).toBe('nobody logged in in time')
  answered()
  expect(requests.list().size).toBe(0)
})

it('G9: two logins under way at once extend the wait until the last of them is answered', async () => {
  const { timers, requests, wait } = prepare()
  const one = wait()
  const [first, second] = [requests.submitting('test', 'r1'), requests.submitting('test', undefined)]
  first()
  timers.pass(2 * MINUTE_MS)
  await settle()
  expect(one.outcome).toBe('waits')
  second()
  timers.pass(MINUTE_MS)
  await settle()
  expect(one.outcome).toBe('nobody logged in in time')
})

it('G7: for ten seconds after a cancel connections are refused at once, then they ask again; a login lifts it', async () => {
  const { timers, requests, wait } = prepare()
  const one = wait()
  requests.cancel('r1', 'cancelled')
  await settle()
  expect(one.outcome).toBe('the login was cancelled')
  timers.pass(9 * SECOND_MS)
  const soon = wait()
  await settle()
  expect(soon.outcome).toBe('the login was cancelled')
  expect(requests.list().size).toBe(0)
  timers.pass(SECOND_MS)
  const later = wait()
  await settle()
  expect(later.outcome).toBe('waits')
  requests.cancel('r1', 'failed')
  await settle()
  expect(requests.isCoolingDown('test')).toBe(true)
  requests.succeeded('test')
  expect(requests.isCoolingDown('test')).toBe(false)
  // Nothing is left that could still go off.
  expect(timers.pending).toBe(0)
})

it('G2: a client that does not say what it wants is let go at its deadline, and nobody is asked for anything', async () => {
  test = await TestCore.start({ openingDeadlineMs: 300 })
  const host = await test.attach({ kind: 'window' })
  await test.login(host)
  const gateway = await test.open(host)
  test.expire()
  const half = await RawClient.connect(gateway.port, Buffer.from([0, 0, 0]))
  const silent = await RawClient.connect(gateway.port, Buffer.alloc(0))
  await Promise.all([half.ended(), silent.ended()])
  expect([half.text, silent.text]).toEqual(['', ''])
  await waitUntil(
    async () => (await host.core.call('gateway.list', {})).gateways[0]!.connections === 0,
    'both connections to be over',
  )
  expect(host.all('login.requested')).toEqual([])
})
