// SIGSTOP on a real core with the times that are shipped: a ping every 30 s, 15 s to answer. Within 45 s its sessions are inactive, for
// whoever looks, and with SIGCONT they are what they were; what can go on by then goes on, and what cannot is told so. Takes a minute,
// most of it waiting; a-stopped-process-is-noticed-and-goes-on has the same with short times.
import { afterAll, beforeAll, expect, it } from 'vitest'
import { connectToCore } from '../../client/connect.ts'
import type { SessionView } from '../../shared/session-api.ts'
import { ADMIN, BOB, keepPsql, psql, startCluster, type TestCluster } from '../support/cluster.ts'
import { until, type Kept } from '../support/run.ts'

const NOTICED_WITHIN_MS = 45_000
/** For timers and for the look itself, on a machine that is busy. */
const SLACK_MS = 15_000
const PATIENCE_MS = 60_000
/** More than a tunnel carries in frames. */
const MUCH = 1_000_000

let cluster: TestCluster
let alice: string
let bob: string
let root: string
let pid = 0
const psqls: Kept[] = []

beforeAll(async () => {
  cluster = await startCluster()
  ;[alice, bob, root] = (await Promise.all([1, 2, 3].map(() => cluster.newHome()))) as [string, string, string]
  await cluster.login(alice)
  await cluster.login(bob, BOB)
  await cluster.login(root, ADMIN)
})
afterAll(async () => {
  if (pid !== 0) process.kill(pid, 'SIGCONT')
  await Promise.all(psqls.map((child) => child.stop('SIGKILL')))
  await cluster.close()
})

/** What has begun is answered before this resolves. */
async function begin(url: string, marker: string, bytes: number): Promise<Kept> {
  const child = keepPsql(url)
  psqls.push(child)
  child.write(`begin; select repeat('x', ${bytes}); select '${marker} ' || 'is there';\n`)
  await child.waitFor(new RegExp(`${marker} is there`), { timeoutMs: PATIENCE_MS })
  return child
}

const live = async (): Promise<SessionView[]> => {
  const done = await cluster.postern(root, ['sessions', 'ls', '--all', '--json'])
  expect(done, done.stderr).toMatchObject({ code: 0 })
  return (JSON.parse(done.stdout) as { sessions: SessionView[] }).sessions
}
const of = async (user: string): Promise<SessionView[]> => (await live()).filter((session) => session.user === user)
const eventsOf = (session: string, event: string) => cluster.audit(['--session', session, '--event', event])

it('I3, S2: within 45 s the sessions of a stopped core are inactive, and with SIGCONT what they were', async () => {
  const gateway = await cluster.open(alice, 'orders')
  const core = await connectToCore({ home: alice, kind: 'terminal', canAsk: false, appVersion: 'test', start: false })
  pid = core.core.pid
  await core.close()
  const bobs = await cluster.open(bob, 'orders')
  const raw = await begin(gateway.url, 'raw', MUCH)
  const framed = await begin(gateway.url, 'framed', 1)
  await begin(bobs.url, 'bystander', 1)
  const watch = cluster.keep(root, ['sessions', 'watch', '--all', '--json'])
  await watch.waitFor(/"event":"listed"/, { timeoutMs: PATIENCE_MS })
  const [session] = await of('alice')
  expect(session).toMatchObject({ state: 'active', inactiveSince: null, connections: 2 })
  const id = session?.id ?? ''

  const stoppedAt = Date.now()
  process.kill(pid, 'SIGSTOP')
  try {
    await until(
      async () => (await of('alice'))[0]?.inactiveSince !== null,
      'the session is inactive',
      NOTICED_WITHIN_MS + SLACK_MS,
    )
    const [event] = await eventsOf(id, 'session.inactive')
    expect(Date.parse(String(event?.['time'])) - stoppedAt).toBeLessThan(NOTICED_WITHIN_MS + SLACK_MS)
    const { since } = event?.['detail'] as { since: string }
    expect(Date.parse(since)).toBeLessThanOrEqual(stoppedAt + 1000)
    // It is alive, nobody else's is concerned, and whoever watches is told.
    expect((await of('alice'))[0]).toMatchObject({ id, state: 'active', endReason: null, inactiveSince: since })
    expect((await of('bob')).map(({ inactiveSince }) => inactiveSince)).toEqual([null])
    await watch.waitFor(new RegExp(`"id":"${id}".*"inactiveSince":"${since}"`), { timeoutMs: PATIENCE_MS })
    const table = await cluster.postern(root, ['sessions', 'ls', '--all'])
    expect(table.stdout).toMatch(new RegExp(`^${id.slice(0, 8)} .* inactive `, 'm'))
    expect((await cluster.postern(root, ['sessions', 'show', id])).stdout).toContain(`Inactive:     since ${since}`)
    raw.write("select 'raw ' || 'after';\n")
    framed.write("select 'framed ' || 'after';\n")
  } finally {
    process.kill(pid, 'SIGCONT')
  }
  await raw.waitFor(/raw after/, { timeoutMs: PATIENCE_MS })
  // Its tunnel was given up with everything in it (I3): it goes on, or knows that it does not.
  await framed.waitFor(/framed after|FATAL|server closed the connection|could not receive/, {
    timeoutMs: PATIENCE_MS,
  })
  await until(async () => (await of('alice'))[0]?.inactiveSince === null, 'it is active again', PATIENCE_MS)
  expect((await of('alice'))[0]).toMatchObject({ id, state: 'active' })
  // It is written with the next batch.
  await until(
    async () => (await eventsOf(id, 'session.resumed')).length > 0,
    'session.resumed is in the log',
    PATIENCE_MS,
  )
  expect(await eventsOf(id, 'session.resumed')).toHaveLength(1)
  expect((await psql(gateway.url, ['-c', "select 'new'"])).stdout).toBe('new\n')
  watch.child.kill('SIGINT')
})
