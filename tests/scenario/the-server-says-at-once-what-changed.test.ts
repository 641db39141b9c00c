// The control stream over the whole product: real access server, PostgreSQL and psql, cores with their real timings. One home has
// the stream, another of the same person has none (the server's cap), a third one's network swallows it.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { ControlTimings } from '../../client/control-stream/timings.ts'
import type { GatewayView, ProfileView } from '../../shared/rpc.ts'
import { TestCore, waitUntil, type TestHost } from '../support/client-core.ts'
import { ADMIN, ALICE, BOB, keepPsql, psql, startCluster, totpCode, type TestCluster } from '../support/cluster.ts'
import { FakeAccessServer } from '../support/fake-access-server.ts'
import { startWay } from '../support/network-between.ts'
import type { Kept } from '../support/run.ts'

const DEVELOPER = {
  kind: 'role',
  name: 'developer',
  allow: [{ resources: ['orders'], accounts: ['reader', 'writer'], databases: ['postgres', 'template1'] }],
}

/** One home with its core and one host. */
class Home {
  readonly core: TestCore
  readonly host: TestHost
  private constructor(core: TestCore, host: TestHost) {
    this.core = core
    this.host = host
  }
  static async start(address: string, controlTimings: Partial<ControlTimings> = {}): Promise<Home> {
    // The fake server that belongs to every TestCore stays unused.
    const core = await TestCore.start({ server: new FakeAccessServer(), controlTimings })
    const host = await core.attach()
    await host.core.call('profile.add', { address, caPin: cluster.fingerprint })
    const home = new Home(core, host)
    homes.add(home)
    return home
  }
  async logIn(person: { name: string; password: string; totpSecret?: string }): Promise<void> {
    const totp = person.totpSecret === undefined ? {} : { totp: await totpCode(person.totpSecret) }
    await this.host.core.call('login.submit', { user: person.name, password: person.password, ...totp })
  }
  view = async (): Promise<ProfileView> => (await this.host.core.call('profile.list', {})).profiles[0]!
  gateway = async (): Promise<GatewayView> => (await this.host.core.call('gateway.list', {})).gateways[0]!
  open = (): Promise<GatewayView> => this.core.open(this.host, 'orders')
  untilLive = (isLive = true) => waitUntil(async () => (await this.view()).live === isLive, `live: ${isLive}`, 20_000)
  untilProfile = (state: string) => waitUntil(async () => (await this.view()).state === state, `a profile ${state}`)
  untilGateway = (state: string) => waitUntil(async () => (await this.gateway()).state === state, `a gateway ${state}`)
  notices = () => this.host.all('notice').map(({ text }) => text)
  close = (): Promise<void> => {
    homes.delete(this)
    return this.core.close()
  }
}

/** One time alone, on a busy machine: far less than anything but the stream would take, in ms. */
const TOLD_WITHIN_MS = 10_000

let cluster: TestCluster
let root: Home
let here: Home
let elsewhere: Home
const homes = new Set<Home>()
const psqls = new Set<Kept>()

const admin = (method: 'POST' | 'DELETE', path: string, body?: unknown) =>
  root.host.core.call('api.call', { method, path, ...(body === undefined ? {} : { body }) })
const apply = (...documents: object[]) => admin('POST', '/v1/admin/apply', { documents })
const grantAlice = () => apply(DEVELOPER, { kind: 'grant', user: 'alice', role: 'developer', until: null })
/** How long `holds` takes to come true after `change` was answered, in ms. */
const timed = async (change: () => Promise<unknown>, holds: () => Promise<void>): Promise<number> => {
  await change()
  const start = performance.now()
  await holds()
  return performance.now() - start
}
const median = (values: number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN

beforeAll(async () => {
  cluster = await startCluster({ settings: 'controlStreams: { perUser: 1 }' })
  root = await Home.start(cluster.address)
  await root.logIn(ADMIN)
  here = await Home.start(cluster.address)
  await here.logIn(ALICE)
  await here.untilLive()
  await here.open()
  elsewhere = await Home.start(cluster.address)
  await elsewhere.logIn(ALICE)
  await elsewhere.open()
})
afterAll(async () => {
  await Promise.all([...psqls].map((child) => child.stop()))
  await Promise.all([...homes].map((home) => home.close()))
  await cluster.close()
})
beforeEach(() => {
  for (const home of [here, elsewhere]) home.host.forget()
})

const keep = (gateway: GatewayView, sql: string): Kept => {
  const child = keepPsql(gateway.url, ['-c', sql])
  psqls.add(child)
  return child
}
const backends = async (): Promise<number> => {
  const found = await psql((await here.gateway()).url, [
    '-c',
    "select count(*) from pg_stat_activity where query like '%pg_sleep(3600)%' and pid <> pg_backend_pid()",
  ])
  return Number(found.stdout.trim())
}

describe('with the control stream', () => {
  it('C9, G4: a role that is taken away shows as refused within 1 s, given back as listening, without any connection', async () => {
    const times: number[] = []
    for (let round = 0; round < 5; round++) {
      times.push(
        await timed(
          () => admin('DELETE', '/v1/admin/grants/alice/developer'),
          () => here.untilGateway('refused'),
        ),
      )
      times.push(await timed(grantAlice, () => here.untilGateway('listening')))
    }
    expect(median(times)).toBeLessThan(1000)
    expect((await here.gateway()).stateText).toBeNull()
    expect((await psql((await here.gateway()).url, ['-c', 'select 1'])).stdout.trim()).toBe('1')
    expect(here.host.all('login.requested')).toEqual([])
  })

  it('C9, S8: a session that an administrator ends is told with resource and why, while psql gets its error', async () => {
    const running = keep(await here.gateway(), 'select pg_sleep(3600)')
    await waitUntil(async () => (await backends()) === 1, 'the query to run', 30_000)
    await admin('DELETE', '/v1/admin/roles/developer')
    await here.host.next('notice', ({ text }) =>
      /session on orders as reader was ended: access .* taken away/.test(text),
    )
    await running.ended
    expect(running.stderr).toContain('FATAL')
    await here.untilGateway('refused')
    await grantAlice()
    await here.untilGateway('listening')
  })

  it('C9, W4: logging out everywhere from elsewhere ends the login here at once, said once; the next psql is held for one login', async () => {
    const logOut = () => elsewhere.host.core.call('logout', { everywhere: true })
    const took = await timed(logOut, () => here.untilProfile('expired'))
    expect(took).toBeLessThan(TOLD_WITHIN_MS)
    expect((await here.view()).live).toBe(false)
    expect(here.notices()).toEqual(['your login to test was ended: it was logged out from elsewhere'])
    expect(elsewhere.notices()).toEqual([])
    const held = psql((await here.gateway()).url, ['-c', 'select 2'])
    await here.host.next('login.requested')
    await here.logIn(ALICE)
    expect((await held).stdout.trim()).toBe('2')
    await here.untilLive()
  })

  it('C9, W4: a person who is disabled is refused here at once, and is back after a login once that is undone', async () => {
    const took = await timed(
      () => apply({ kind: 'user', name: 'alice', disabled: true }),
      () => here.untilProfile('refused'),
    )
    expect(took).toBeLessThan(TOLD_WITHIN_MS)
    await apply({ kind: 'user', name: 'alice', disabled: false })
    await here.logIn(ALICE)
    await here.untilProfile('ready')
    await here.untilLive()
  })

  it('C9: after a restart of the server it comes back by itself, and looks for what it may have missed', async () => {
    const { resourcesVersion = 0 } = await here.view()
    await cluster.server().stop()
    await here.untilLive(false)
    expect(
      here.core.log.find((line) => line.includes('control stream closed') && line.includes('"code":1001')),
    ).toBeDefined()
    await cluster.startServer()
    await here.untilLive()
    expect(await here.view()).toMatchObject({ state: 'ready', resourcesVersion: resourcesVersion + 1 })
    expect((await psql((await here.gateway()).url, ['-c', 'select 3'])).stdout.trim()).toBe('3')
  })
})

describe('without it', () => {
  it('C9, W8: where the server refuses it, a role that went and came back is seen with the next connection', async () => {
    await elsewhere.logIn(ALICE)
    expect((await elsewhere.view()).live).toBe(false)
    const { url } = await elsewhere.gateway()
    await admin('DELETE', '/v1/admin/grants/alice/developer')
    await here.untilGateway('refused')
    expect((await elsewhere.gateway()).state).toBe('listening')
    expect((await psql(url, ['-c', 'select 1'])).stderr).toContain('orders')
    expect((await elsewhere.gateway()).state).toBe('refused')
    await grantAlice()
    expect((await psql(url, ['-c', 'select 4'])).stdout.trim()).toBe('4')
    expect((await elsewhere.gateway()).state).toBe('listening')
  })

  it('C9: … and a login that was ended elsewhere with the next connection, which is held for another login', async () => {
    const { url } = await elsewhere.gateway()
    await here.untilLive()
    await here.host.core.call('logout', { everywhere: true })
    expect((await elsewhere.view()).state).toBe('ready')
    const held = psql(url, ['-c', 'select 5'])
    await elsewhere.host.next('login.requested')
    await elsewhere.logIn(ALICE)
    expect((await held).stdout.trim()).toBe('5')
    // One's own logout is no news.
    expect(here.notices()).toEqual([])
  })

  it('C9, I3: a network that swallows or cuts what stays connected is noticed by the heartbeat; new connections go on all the while', async () => {
    const way = await startWay(cluster.port)
    const home = await Home.start(way.address, { pingEveryMs: 300, answerWithinMs: 1000, retryFirstMs: 100 })
    try {
      await apply(DEVELOPER, { kind: 'grant', user: 'bob', role: 'developer', until: null })
      await home.logIn(BOB)
      await home.untilLive()
      const { url } = await home.open()
      way.swallow()
      expect((await psql(url, ['-c', 'select 6'])).stdout.trim()).toBe('6')
      await waitUntil(() => home.core.log.some((line) => line.includes('control stream closed')), 'the silence', 20_000)
      await home.untilLive()
      const before = opened(home)
      way.cut()
      await waitUntil(() => opened(home) > before, 'another stream', 20_000)
      expect((await psql(url, ['-c', 'select 7'])).stdout.trim()).toBe('7')
    } finally {
      await home.close()
      await way.close()
    }
  })
})

/** How many streams the core has opened, by its log. */
const opened = ({ core }: Home): number => core.log.filter((line) => line.includes('control stream open')).length
