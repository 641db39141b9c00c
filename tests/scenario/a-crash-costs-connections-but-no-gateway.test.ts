// Killed with SIGKILL under load: the core, then the access server. Connections break, gateways do not: same ids, same ports, and
// the next client works, or asks once. Real processes throughout.
import { createConnection } from 'node:net'
import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connectToCore, type CoreConnection } from '../../client/connect.ts'
import type { LoginPrompt } from '../../shared/rpc.ts'
import {
  ALICE,
  keepPsql,
  logInBriefly,
  psql,
  startCluster,
  type OpenGateway,
  type TestCluster,
} from '../support/cluster.ts'
import { LightClient } from '../support/light-client.ts'
import { tally } from '../support/many-held.ts'
import { until } from '../support/run.ts'

const RUNNING = 30
const HELD = 30
const PATIENCE_MS = 40_000

let cluster: TestCluster
beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(() => cluster.close())

/** A window that can ask, attached to the core that runs; it starts none. */
async function attach(home: string): Promise<{ core: CoreConnection; asked: LoginPrompt[] }> {
  let core: CoreConnection | undefined
  await until(
    async () => {
      const options = { home, kind: 'window', canAsk: true, appVersion: 'test', start: false } as const
      core = await connectToCore(options).catch(() => undefined)
      return core !== undefined
    },
    'the core is there',
    PATIENCE_MS,
  )
  if (!core) throw new Error('no core')
  const asked: LoginPrompt[] = []
  core.on('login.requested', (prompt) => asked.push(prompt))
  core.on('login.needed', (prompt) => asked.push(prompt))
  return { core, asked }
}

/** Where a client goes, and as whom. */
type Target = { port: number; account: string }

/** One gateway of a terminal, and one that is detached, of the same home. */
async function openBoth(home: string): Promise<{ attached: OpenGateway & Target; detached: Target }> {
  await cluster.login(home)
  const opened = await cluster.postern(home, ['gateway', 'open', 'orders', '--detach', '--json'])
  expect(opened.code, opened.stderr).toBe(0)
  const attached = await cluster.open(home, 'orders', ['--account', 'writer'])
  const { port } = JSON.parse(opened.stdout) as { port: number }
  return { attached: { ...attached, account: 'writer' }, detached: { port, account: 'reader' } }
}

let clients = 0
let runs = 0
const connect = ({ port, account }: Target, count: number, sql: string): LightClient[] =>
  Array.from({ length: count }, () => {
    const name = `light-${++clients}`
    return new LightClient({ port, account, database: 'postgres', name, sql, isEager: false })
  })

const ownRow = (gateway: Target, count: number): LightClient[] =>
  Array.from({ length: count }, () => connect(gateway, 1, `select 'value of ${clients + 1}'`)).flat()

const outcomesOf = async (list: readonly LightClient[]): Promise<Record<string, number>> => {
  const outcomes = tally(list, await Promise.all(list.map(({ outcome }) => outcome)))
  for (const client of list) client.end()
  return outcomes
}

/** Clients whose statement runs on the target now. */
async function startRunning(gateways: readonly Target[]): Promise<LightClient[]> {
  // PostgreSQL notices late that the clients of an earlier test have gone.
  const sql = `select pg_sleep(600) as run_${++runs}`
  const list = gateways.flatMap((gateway) => connect(gateway, RUNNING / gateways.length, sql))
  const { superuserPassword, port } = cluster.postgres
  const url = `postgresql://postgres:${superuserPassword}@127.0.0.1:${port}/postgres`
  const count = `select count(*) from pg_stat_activity where state = 'active' and query = '${sql}'`
  await until(
    async () => Number((await psql(url, ['-c', count])).stdout) >= RUNNING,
    'the statements run on the target',
    PATIENCE_MS,
  )
  return list
}

const viewsOf = async (core: CoreConnection): Promise<unknown[]> =>
  (await core.call('gateway.list', {})).gateways
    .map(({ id, port, account, keep }) => ({ id, port, account, keep }))
    .toSorted((a, b) => a.account.localeCompare(b.account))

/** Waits for the end of the process behind a control connection that was killed. */
async function kill(core: CoreConnection): Promise<void> {
  process.kill(core.core.pid, 'SIGKILL')
  await core.closed
}

async function isListening(port: number): Promise<boolean> {
  const socket = createConnection({ host: '127.0.0.1', port })
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

const untilListening = (gateways: readonly { port: number }[]): Promise<void> =>
  until(
    async () => (await Promise.all(gateways.map(({ port }) => isListening(port)))).every(Boolean),
    'the gateways listen on their ports',
    PATIENCE_MS,
  )

/** Signs in for 2 s and waits until that is over. */
async function expire(core: CoreConnection): Promise<void> {
  await core.call('login.submit', { user: ALICE.name, password: ALICE.password, ttlSeconds: 2 })
  await until(
    async () => (await core.call('gateway.list', {})).gateways.every(({ state }) => state === 'needs login'),
    'the login expires',
    PATIENCE_MS,
  )
}

const waiting = async (core: CoreConnection): Promise<number> =>
  (await core.call('gateway.list', {})).gateways.reduce((sum, gateway) => sum + gateway.waiting, 0)

const logIn = (core: CoreConnection, requestId?: string) =>
  core.call('login.submit', {
    user: ALICE.name,
    password: ALICE.password,
    ...(requestId === undefined ? {} : { requestId }),
  })

describe('the core is killed', () => {
  it('G15, G17: with 30 statements running: they break, its terminal starts it again with the same gateways on the same ports, and the next ones work', async () => {
    const home = await cluster.newHome()
    const { attached, detached } = await openBoth(home)
    const before = await attach(home)
    const gatewaysBefore = await viewsOf(before.core)
    expect(gatewaysBefore).toHaveLength(2)
    const running = await startRunning([attached, detached])

    await kill(before.core)
    expect(await outcomesOf(running)).toEqual({ closed: RUNNING })
    await untilListening([attached, detached])
    const after = await attach(home)
    expect(after.core.core.pid).not.toBe(before.core.core.pid)
    expect(await viewsOf(after.core)).toEqual(gatewaysBefore)
    // The login was still good: nobody is asked.
    expect(await outcomesOf([...ownRow(attached, 5), ...ownRow(detached, 5)])).toEqual({ 'own row': 10 })
    expect(after.asked).toEqual([])
    expect(attached.process.stdout).toMatch(/"event":"core_lost"[\s\S]*"event":"listening"/)
    await after.core.close()
    await attached.process.stop()
  })

  it('G5, G15, G17: with 30 connections held: they break, the gateways listen again although the login has expired, and the next ones ask once', async () => {
    const home = await cluster.newHome()
    const { attached, detached } = await openBoth(home)
    const before = await attach(home)
    const gatewaysBefore = await viewsOf(before.core)
    await expire(before.core)
    const held = [...ownRow(attached, HELD / 2), ...ownRow(detached, HELD / 2)]
    await until(async () => (await waiting(before.core)) === HELD, 'all are held', PATIENCE_MS)
    expect(new Set(before.asked.map(({ requestId }) => requestId)).size).toBe(1)

    await kill(before.core)
    expect(await outcomesOf(held)).toEqual({ closed: HELD })
    const after = await attach(home)
    await untilListening([attached, detached])
    expect(await viewsOf(after.core)).toEqual(gatewaysBefore)

    const next = [...ownRow(attached, 5), ...ownRow(detached, 5)]
    await until(async () => (await waiting(after.core)) === next.length, 'the next ones are held', PATIENCE_MS)
    expect(new Set(after.asked.map(({ requestId }) => requestId)).size).toBe(1)
    await logIn(after.core, after.asked[0]?.requestId)
    expect(await outcomesOf(next)).toEqual({ 'own row': next.length })
    await after.core.close()
    await attached.process.stop()
  })

  it('G11, G13, G17: after it the terminal does not ask by itself; the next psql is held, and then it does', async () => {
    const home = await cluster.newHome()
    await cluster.login(home)
    const terminal = cluster.terminal(home, ['gateway', 'open', 'orders'])
    const [url] = await terminal.waitFor(/postgresql:\/\/[^\s"']+/)
    const { core } = await attach(home)
    await logInBriefly(cluster, home)
    await until(
      async () => (await core.call('gateway.list', {})).gateways.every(({ state }) => state === 'needs login'),
      'the login expires',
      PATIENCE_MS,
    )
    await kill(core)
    await terminal.waitFor(/Listening again on/, { timeoutMs: PATIENCE_MS })
    expect(terminal.output).not.toMatch(/password[^\n]*:/i)

    const held = keepPsql(url, ['-c', 'select 7'])
    await terminal.waitFor(/password[^\n]*:/i, { timeoutMs: PATIENCE_MS })
    terminal.write(`${ALICE.password}\r`)
    expect(await held.ended).toMatchObject({ code: 0, stdout: '7\n' })
    await terminal.stop('SIGINT')
  })
})

describe('the access server is killed', () => {
  it('G4, G15, S1: running statements break, the gateways stay and say that it cannot be reached, and work again when it is back, without a login', async () => {
    const home = await cluster.newHome()
    const { attached, detached } = await openBoth(home)
    const { core, asked } = await attach(home)
    const gatewaysBefore = await viewsOf(core)
    const running = await startRunning([attached, detached])
    await cluster.server().stop('SIGKILL')
    // Some are told so by the gateway, some see their connection end.
    const ends = await Promise.all(running.map(({ outcome }) => outcome))
    expect(ends.filter(({ kind }) => kind === 'value')).toEqual([])

    const refused = await psql(attached.url, ['-c', 'select 1'])
    expect(refused.code).toBe(2)
    expect(refused.stderr).toMatch(/cannot reach the access server/)
    const profile = async () => (await core.call('profile.list', {})).profiles[0]?.state
    expect(await profile()).toBe('offline')
    expect(await viewsOf(core)).toEqual(gatewaysBefore)

    await cluster.startServer()
    expect(await outcomesOf([...ownRow(attached, 5), ...ownRow(detached, 5)])).toEqual({ 'own row': 10 })
    expect(await profile()).toBe('ready')
    expect(await viewsOf(core)).toEqual(gatewaysBefore)
    expect(asked).toEqual([])
    await core.close()
    await attached.process.stop()
  })

  it('G5, G9, G13: while a login is asked for: the held ones go on waiting, and the same login lets them through when it is back', async () => {
    const home = await cluster.newHome()
    const { attached, detached } = await openBoth(home)
    const { core, asked } = await attach(home)
    await expire(core)
    const held = [...ownRow(attached, HELD / 2), ...ownRow(detached, HELD / 2)]
    await until(async () => (await waiting(core)) === HELD, 'all are held', PATIENCE_MS)
    const requestId = asked[0]?.requestId

    await cluster.server().stop('SIGKILL')
    await expect(logIn(core, requestId)).rejects.toMatchObject({ code: 'server_unreachable' })
    expect(held.some(({ isSettled }) => isSettled)).toBe(false)
    expect(await waiting(core)).toBe(HELD)

    await cluster.startServer()
    await logIn(core, requestId)
    expect(await outcomesOf(held)).toEqual({ 'own row': HELD })
    expect(new Set(asked.map((prompt) => prompt.requestId)).size).toBe(1)
    await core.close()
    await attached.process.stop()
  })
})
