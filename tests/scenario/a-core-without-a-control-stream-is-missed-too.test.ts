// A core that cannot be asked over its control stream: because the server gave it none, or because the stream broke off with it. Its
// sessions become inactive all the same, and are what they were with its first sign (I3). Real processes; the server asks every second.
import { afterAll, beforeAll, expect, it } from 'vitest'
import { connectToCore } from '../../client/connect.ts'
import type { SessionView } from '../../shared/session-api.ts'
import { ADMIN, BOB, keepPsql, psql, startCluster, type OpenGateway, type TestCluster } from '../support/cluster.ts'
import { until, type Kept } from '../support/run.ts'

const SERVER_PROGRAM = new URL('../support/server-with-short-tunnels.ts', import.meta.url).pathname
const PATIENCE_MS = 60_000

let cluster: TestCluster
let alice: string
let bob: string
let root: string
let gateways: { alice: OpenGateway; bob: OpenGateway }
let stopped = 0
const psqls: Kept[] = []

beforeAll(async () => {
  // One stream a person: the other home of alice has it, and this one gets none.
  cluster = await startCluster({ serverProgram: SERVER_PROGRAM, settings: 'controlStreams: { perUser: 1 }' })
  const homes = await Promise.all([1, 2, 3, 4].map(() => cluster.newHome()))
  const other = homes[3] ?? ''
  ;[alice, bob, root] = homes as [string, string, string]
  await cluster.login(root, ADMIN)
  await cluster.login(bob, BOB)
  await cluster.login(other)
  await cluster.open(other, 'orders', ['--detach', '--account', 'writer'])
  await until(() => isLive(other), 'it has its stream', PATIENCE_MS)
  await cluster.login(alice)
  gateways = {
    alice: await cluster.open(alice, 'orders', ['--detach', '--account', 'reader']),
    bob: await cluster.open(bob, 'orders', ['--detach']),
  }
  await until(() => isLive(bob), 'bob has his', PATIENCE_MS)
})
afterAll(async () => {
  if (stopped !== 0) process.kill(stopped, 'SIGCONT')
  await Promise.all(psqls.map((child) => child.stop('SIGKILL')))
  await cluster.close()
})

async function status(home: string): Promise<{ live: boolean; pid: number }> {
  const core = await connectToCore({ home, kind: 'terminal', canAsk: false, appVersion: 'test', start: false })
  const { profiles } = await core.call('profile.list', {})
  await core.close()
  return { live: profiles[0]?.live === true, pid: core.core.pid }
}
const isLive = async (home: string): Promise<boolean> => (await status(home)).live

/** As an administrator sees it, by way of a core that does not sleep. */
async function sessionOf(user: string): Promise<SessionView | undefined> {
  const done = await cluster.postern(root, ['sessions', 'ls', '--user', user, '--json'])
  expect(done, done.stderr).toMatchObject({ code: 0 })
  return (JSON.parse(done.stdout) as { sessions: SessionView[] }).sessions[0]
}

async function begin(url: string): Promise<Kept> {
  const child = keepPsql(url)
  psqls.push(child)
  child.write("begin; select 'is ' || 'there';\n")
  await child.waitFor(/is there/, { timeoutMs: PATIENCE_MS })
  return child
}

it('I3: one that has no stream is asked over its tunnel, and inactive when that is silent', async () => {
  await begin(gateways.alice.url)
  const { live, pid } = await status(alice)
  expect(live, 'a stream').toBe(false)
  expect(await sessionOf('alice')).toMatchObject({ state: 'active', inactiveSince: null, connections: 1 })

  stopped = pid
  const stoppedAt = Date.now()
  process.kill(pid, 'SIGSTOP')
  try {
    await until(async () => (await sessionOf('alice'))?.inactiveSince !== null, 'its session is inactive', PATIENCE_MS)
  } finally {
    process.kill(pid, 'SIGCONT')
    stopped = 0
  }
  const session = await sessionOf('alice')
  // Its tunnel is given up with what was in it; the session lives on (S2).
  expect(session).toMatchObject({ state: 'active', endReason: null })
  expect(Math.abs(Date.parse(session?.inactiveSince ?? '') - stoppedAt)).toBeLessThan(PATIENCE_MS)
  expect(await isLive(alice)).toBe(false)
  expect((await psql(gateways.alice.url, ['-c', "select 'new'"])).stdout).toBe('new\n')
  expect(await sessionOf('alice')).toMatchObject({ id: session?.id, inactiveSince: null })
})

it('I3: one that was killed is missed, and there again when it was started again', async () => {
  await begin(gateways.bob.url)
  const before = await sessionOf('bob')
  expect(before).toMatchObject({ state: 'active', inactiveSince: null })
  process.kill((await status(bob)).pid, 'SIGKILL')
  await until(async () => (await sessionOf('bob'))?.inactiveSince !== null, 'its session is inactive', PATIENCE_MS)
  expect(await sessionOf('bob')).toMatchObject({ id: before?.id, state: 'active', connections: 0 })
  // Any command starts it again, with its gateways.
  expect(await cluster.postern(bob, ['gateway', 'ls'])).toMatchObject({ code: 0 })
  expect((await psql(gateways.bob.url, ['-c', "select 'again'"])).stdout).toBe('again\n')
  expect(await sessionOf('bob')).toMatchObject({ inactiveSince: null })
})
