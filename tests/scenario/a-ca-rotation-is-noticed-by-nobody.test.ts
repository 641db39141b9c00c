// C7 with the whole product: the CAs are rotated while gateways are open and queries run, the server is restarted in the middle,
// clients are away, keys are dropped by force. Real server, real cores, real psql.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { ADMIN, ALICE, keepPsql, logInBriefly, psql, startCluster, type TestCluster } from '../support/cluster.ts'
import { until } from '../support/run.ts'

let cluster: TestCluster
let admin: string
beforeAll(async () => {
  cluster = await startCluster({ routeTtl: '5s' })
  admin = await cluster.newHome()
  await loginAnew()
})
afterAll(() => cluster.close())

/**
 * Ends every login of the administrator and signs in once: nothing of it rests on a CA of before. In a new core, since one renews
 * a certificate at most once a minute, and here rotations follow each other faster.
 */
async function loginAnew(): Promise<void> {
  await cluster.postern(admin, ['core', 'stop'])
  await cluster.login(admin, ADMIN)
  await cluster.postern(admin, ['logout', '--everywhere'])
  await cluster.login(admin, ADMIN)
}

type Status = {
  state: string
  authorities: { kind: string; id: string; fingerprint: string; use: string }[]
  onOldCa: { logins: number; routes: number }
  crossUntil: string | null
}

/** `postern admin ca …` as the administrator; fails unless it worked. */
async function ca(...args: string[]): Promise<Status> {
  const done = await cluster.postern(admin, ['admin', 'ca', ...args, '--json'])
  if (done.code !== 0) throw new Error(`admin ca ${args.join(' ')} failed (${String(done.code)}): ${done.stderr}`)
  return JSON.parse(done.stdout) as Status
}

const serverCa = ({ authorities }: Status, use: string): string =>
  authorities.find((authority) => authority.kind === 'server' && authority.use === use)?.fingerprint ?? 'none'

/** Until nothing rests on the old user CA; nobody does anything for it. */
const untilMoved = (): Promise<void> =>
  until(
    async () => {
      const { logins, routes } = (await ca('status')).onOldCa
      return logins + routes === 0
    },
    'nothing rests on the old user CA',
    100_000,
  )

const profileOf = async (home: string): Promise<{ state: string; fingerprint: string }> => {
  const { stdout } = await cluster.postern(home, ['status', '--json'])
  const [profile] = (JSON.parse(stdout) as { profiles: { state: string; fingerprint: string }[] }).profiles
  if (!profile) throw new Error('no profile is known')
  return profile
}

const storedCas = async (home: string): Promise<number> => {
  const text = await readFile(join(home, 'profiles', 'test.json'), 'utf8')
  return (JSON.parse(text) as { caPems: string[] }).caPems.length
}

const loginsOf = async (user: string): Promise<number> =>
  (await cluster.audit(['--user', user, '--event', 'login.succeeded'])).length

const log = (home: string, how: string[]) =>
  cluster.postern(home, ['login', ...how, '--user', ALICE.name, '--password-stdin'], {
    input: `${ALICE.password}\n`,
  })

it('C7: gateways, running queries and new connections go through rotate and finish, and nobody logs in again', async () => {
  const home = await cluster.newHome()
  await cluster.login(home)
  const gateway = await cluster.open(home, 'orders')
  const loginsBefore = await loginsOf('alice')
  await loginAnew()

  // A query that runs until we say so: it waits for a lock.
  const { port, superuserPassword } = cluster.postgres
  const holder = new pg.Client({ host: '127.0.0.1', port, user: 'postgres', password: superuserPassword })
  await holder.connect()
  await holder.query('select pg_advisory_lock(7)')
  const long = keepPsql(gateway.url, ['-c', "select 'before'", '-c', "select pg_advisory_lock(7), 'held through it'"])
  await long.waitFor(/before/)

  // And somebody who connects all the while.
  const failures: string[] = []
  let connections = 0
  const over = new AbortController()
  const busy = (async () => {
    while (!over.signal.aborted) {
      const done = await psql(gateway.url, ['-c', 'select count(*) from orders'])
      connections += 1
      if (done.code !== 0 || done.stdout.trim() !== '100') failures.push(done.stderr || done.stdout)
    }
  })()
  try {
    await until(() => connections > 0, 'the first connection')
    const before = await ca('status')
    const during = await ca('rotate')
    expect([before.state, during.state]).toEqual(['idle', 'rotating'])
    expect(serverCa(during, 'trusted')).toBe(serverCa(before, 'signs'))
    const soFar = connections
    await until(() => connections > soFar + 1, 'connections after rotate', 30_000)

    await untilMoved()
    expect(await profileOf(home)).toMatchObject({ state: 'ready', fingerprint: serverCa(during, 'signs') })
    expect(await storedCas(home)).toBe(2)
    const after = await ca('finish')
    expect([after.state, after.authorities.length]).toEqual(['idle', 2])
    const finished = connections
    await until(() => connections > finished + 1, 'connections after finish', 30_000)
    // The core hears with its next reissue that the old CA is gone.
    await until(async () => (await storedCas(home)) === 1, 'the old CA is dropped here too', 30_000)
  } finally {
    over.abort()
    await busy
    await holder.query('select pg_advisory_unlock(7)')
    await holder.end()
  }
  expect(failures).toEqual([])
  const finished = await long.ended
  expect([finished.code, finished.stderr]).toEqual([0, ''])
  expect(finished.stdout).toContain('held through it')
  expect(gateway.process.stderr).toBe('')
  expect(await loginsOf('alice')).toBe(loginsBefore)
  await gateway.process.stop()
  await cluster.postern(home, ['logout'])
})

it('C7, C8: old and new fingerprint can be pinned while it goes on; who was away for all of it comes back without pinning', async () => {
  const away = await cluster.newHome()
  await cluster.login(away)
  await logInBriefly(cluster, away)
  await cluster.postern(away, ['core', 'stop'])
  await loginAnew()
  const rotating = await ca('rotate')
  const [old, fresh] = [serverCa(rotating, 'trusted'), serverCa(rotating, 'signs')]
  const people: string[] = []
  for (const pin of [old, fresh]) {
    const home = await cluster.newHome()
    expect(await log(home, [cluster.address, '--ca-pin', pin])).toMatchObject({ code: 0 })
    expect((await profileOf(home)).fingerprint).toBe(fresh)
    expect(await storedCas(home)).toBe(2)
    people.push(home)
  }
  // Naming the other CA of the same rotation is no other CA: the login stays.
  expect((await cluster.postern(people[0] ?? '', ['resources', 'ls'])).code).toBe(0)

  // What a person reads meanwhile.
  const table = await cluster.postern(admin, ['admin', 'ca', 'status'])
  expect(table.stdout).toMatch(/^A rotation goes on/)
  for (const words of [/server +[0-9a-f]{8} +signs/, /server +[0-9a-f]{8} +trusted/, /user +[0-9a-f]{8} +trusted/])
    expect(table.stdout).toMatch(words)
  expect(table.stdout).toContain(old)

  // Alice's long login of the first line moves nowhere while its core is away.
  const refused = await cluster.postern(admin, ['admin', 'ca', 'finish'])
  expect(refused.code).toBe(1)
  expect(refused.stderr).toMatch(/\d+ logins? and 0 routes still rest on the old user CA/)
  const everywhere = people[1] ?? ''
  await cluster.postern(everywhere, ['logout', '--everywhere'])
  await untilMoved()
  await ca('finish')

  const wrong = await log(await cluster.newHome(), [cluster.address, '--ca-pin', old])
  expect(wrong.code).not.toBe(0)
  expect(wrong.stderr).toContain(fresh)
  expect(await log(away, [])).toMatchObject({ code: 0 })
  expect((await profileOf(away)).fingerprint).toBe(fresh)
  expect(await storedCas(away)).toBe(1)
  await cluster.postern(away, ['logout', '--everywhere'])
})

it('C7: a server that is restarted in the middle goes on; --force is felt by those only who were away, and is for administrators', async () => {
  const away = await cluster.newHome()
  await cluster.login(away)
  await cluster.postern(away, ['core', 'stop'])
  const home = await cluster.newHome()
  await cluster.login(home)
  const gateway = await cluster.open(home, 'orders')
  const denied = await cluster.postern(home, ['admin', 'ca', 'rotate'])
  expect(denied.code).toBe(4)
  expect(denied.stderr).toContain('needs the permission level admin')
  const loginsBefore = await loginsOf('alice')
  await loginAnew()

  const rotating = await ca('rotate')
  const fresh = serverCa(rotating, 'signs')
  await cluster.server().stop()
  await cluster.startServer()
  expect(JSON.parse(cluster.server().stdout)).toMatchObject({
    fingerprint: fresh,
    oldFingerprint: serverCa(rotating, 'trusted'),
  })
  const again = await ca('status')
  expect([again.state, again.authorities]).toEqual(['rotating', rotating.authorities])
  expect(await psql(gateway.url, ['-c', 'select 1'])).toMatchObject({ code: 0, stdout: '1\n' })

  await until(
    async () => {
      const { logins, routes } = (await ca('status')).onOldCa
      return logins === 1 && routes === 0
    },
    'only the login of the home that is away rests on the old user CA',
    100_000,
  )
  const refused = await cluster.postern(admin, ['admin', 'ca', 'finish'])
  expect(refused.code).toBe(1)
  expect(refused.stderr).toContain('1 login and 0 routes still rest on the old user CA')
  expect(await ca('finish', '--force')).toMatchObject({ state: 'idle', crossUntil: null })

  // Who had moved over notices nothing, by force either.
  expect(await psql(gateway.url, ['-c', 'select 1'])).toMatchObject({ code: 0, stdout: '1\n' })
  expect(await loginsOf('alice')).toBe(loginsBefore)
  await gateway.process.stop()
  // Who had not, compares the fingerprint again and logs in.
  const untrusted = await log(away, [])
  expect(untrusted.code).not.toBe(0)
  expect(untrusted.stderr).toContain('--ca-pin')
  expect(await log(away, [cluster.address, '--ca-pin', fresh])).toMatchObject({ code: 0 })
  expect((await cluster.postern(away, ['resources', 'ls'])).stdout).toContain('orders')
})
