// SIGSTOP on one end of a connection that is full of bytes: psql, the backend of a real PostgreSQL, a tcp client and a tcp target as
// processes. The kernel of a stopped process goes on acknowledging, so only the bytes that wait tell it (I3).
import { join } from 'node:path'
import { readFile, writeFile } from 'node:fs/promises'
import pg from 'pg'
import { connectToCore } from '../../client/connect.ts'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { keepPsql, psql, startCluster, type TestCluster } from '../support/cluster.ts'
import { LightClient, type Outcome } from '../support/light-client.ts'
import { until, type Kept } from '../support/run.ts'
import { tcpClientProcess, tcpServiceProcess } from '../support/tcp-process.ts'
import { tcpResource } from '../support/tcp-resource.ts'

const SERVER_LIMIT = '2s'
const PATIENCE_MS = 40_000
/** More than all buffers on the way together. */
const MUCH = 400_000_000

let cluster: TestCluster
let home: string
const kept = new Set<Kept>()
const keep = (child: Kept): Kept => {
  kept.add(child)
  return child
}

beforeAll(async () => {
  cluster = await startCluster({ settings: `sessions: { writeStallTimeout: ${SERVER_LIMIT} }` })
  home = await cluster.newHome()
  await cluster.login(home)
})
afterAll(async () => {
  for (const { child } of kept) child.kill('SIGCONT')
  await Promise.all([...kept].map((child) => child.stop('SIGKILL')))
  await cluster.close()
})

/** The end of the one connection that took no bytes, on this resource. */
async function stallOf(resource: string, stalled: string): Promise<Record<string, unknown>> {
  let found: Record<string, unknown> | undefined
  await until(
    async () => {
      const events = await cluster.audit(['--resource', resource, '--event', 'connection.close'])
      found = events.find(({ detail }) => {
        const { reason, stalled: side } = detail as Record<string, unknown>
        return reason === 'write_stalled' && side === stalled
      })
      return found !== undefined
    },
    `the log says that the ${stalled} of ${resource} took no bytes`,
    PATIENCE_MS,
  )
  return found ?? {}
}

const ask = (port: number, sql: string): Promise<Outcome> => {
  const client = new LightClient({
    port,
    account: 'reader',
    database: 'postgres',
    name: 'sibling',
    sql,
    isEager: false,
  })
  return client.outcome.finally(() => client.end())
}

/** The core of a home, as one that only looks. */
const connectTo = (of: string) =>
  connectToCore({ home: of, kind: 'terminal', canAsk: false, appVersion: 'test', start: false })

async function backends(what: string): Promise<number[]> {
  const { host, port, superuser: user, superuserPassword: password } = cluster.postgres
  const client = new pg.Client({ host, port, user, password, database: 'postgres' })
  await client.connect()
  try {
    const { rows } = await client.query<{ pid: number }>(
      'select pid from pg_stat_activity where query ilike $1 and pid <> pg_backend_pid()',
      [`${what}%`],
    )
    return rows.map(({ pid }) => pid)
  } finally {
    await client.end()
  }
}

/**
 * The established connections over these ports, except for the ends that are of clients and targets, with the seconds until the next
 * keepalive probe; infinite where none is set. Source: Linux, Documentation/networking/proc_net_tcp.rst; a tick is 10 ms.
 */
async function ourSockets([gateway = 0, server = 0, target = 0]: number[]): Promise<{ probeInS: number }[]> {
  const portOf = (address = ''): number => parseInt(address.split(':')[1] ?? '', 16)
  const lines = (await readFile('/proc/net/tcp', 'latin1')).split('\n').slice(1)
  return lines.flatMap((line) => {
    const [, local, remote, state, , timer = ''] = line.trim().split(/\s+/)
    const isOurs = [gateway, server].includes(portOf(local)) || [server, target].includes(portOf(remote))
    if (!isOurs || state !== '01') return []
    const [kind, ticks = ''] = timer.split(':')
    return [{ probeInS: kind === '02' ? parseInt(ticks, 16) / 100 : Number.POSITIVE_INFINITY }]
  })
}

describe('a peer that takes no bytes', () => {
  it('I3, S2, S6: a stopped psql loses its connection and its statement; another one of its session goes on', async () => {
    const gateway = await cluster.open(home, 'orders')
    const sibling = keep(keepPsql(gateway.url))
    sibling.write("begin; select 'before';\n")
    await sibling.waitFor(/before/)
    const stopped = keep(
      keepPsql(gateway.url, [
        '-c',
        `copy (select repeat('x', 1000) from generate_series(1, ${MUCH / 1000})) to stdout`,
      ]),
    )
    await stopped.waitFor(/xxxx/)
    stopped.child.kill('SIGSTOP')
    const { session } = await stallOf('orders', 'client')
    await until(async () => (await backends('copy (select repeat')).length === 0, 'its backend is gone', PATIENCE_MS)
    sibling.write("select 'after';\n")
    await sibling.waitFor(/after/)
    expect(await ask(gateway.port, "select 'new'")).toEqual({ kind: 'value', value: 'new' })
    const events = await cluster.audit(['--session', String(session)])
    expect(events.map(({ event }) => event)).not.toContain('session.end')
    stopped.child.kill('SIGCONT')
    expect((await stopped.ended).code).not.toBe(0)
    await gateway.process.stop('SIGINT')
  })

  it('I3, E1: a stopped backend of PostgreSQL is said to the client in its protocol, with an error id', async () => {
    const gateway = await cluster.open(home, 'orders', ['--account', 'writer'])
    const upload = keep(
      keepPsql(gateway.url, [
        ...['-c', 'create temp table sink(line text)'],
        ...['-c', `\\copy sink from program 'yes postern | head -c ${MUCH}'`],
      ]),
    )
    await until(async () => (await backends('copy')).length === 1, 'the upload runs', PATIENCE_MS)
    const [pid = 0] = await backends('copy')
    process.kill(pid, 'SIGSTOP')
    try {
      await stallOf('orders', 'target')
      const { code, stderr } = await upload.ended
      expect(code).not.toBe(0)
      expect(stderr).toMatch(/the database "orders" has stopped reading \(error [0-9a-f]{8}\)/)
      const log = await readFile(join(cluster.directory, 'server.log'), 'utf8')
      expect(log).toContain(/error ([0-9a-f]{8})/.exec(stderr)![1])
    } finally {
      process.kill(pid, 'SIGCONT')
    }
    await until(async () => (await backends('copy')).length === 0, 'it is gone once it goes on', PATIENCE_MS)
    await gateway.process.stop('SIGINT')
  })

  it.each([
    { name: 'taker', stopped: 'client', target: 'write', client: 'read' },
    { name: 'giver', stopped: 'target', target: 'read', client: 'write' },
  ] as const)('I3: a stopped tcp $stopped is noticed, and both ends are broken off', async (test) => {
    const service = await tcpServiceProcess(test.target)
    keep(service.process)
    await cluster.apply(tcpResource(test.name, service.port))
    const gateway = await cluster.open(home, test.name)
    const client = keep(tcpClientProcess(gateway.port, test.client))
    const { process: target } = service
    await (test.stopped === 'client' ? client : target).waitFor(/first bytes/)
    const stopped = test.stopped === 'client' ? client : target
    stopped.child.kill('SIGSTOP')
    await stallOf(test.name, test.stopped)
    await (test.stopped === 'client' ? target : client).waitFor(/closed/, { timeoutMs: PATIENCE_MS })
    stopped.child.kill('SIGCONT')
    await stopped.waitFor(/closed/, { timeoutMs: PATIENCE_MS })
    await gateway.process.stop('SIGINT')
  })

  it('I3: every leg has TCP keepalive, first after 30 s', async () => {
    const service = await tcpServiceProcess('echo')
    keep(service.process)
    await cluster.apply(tcpResource('still', service.port))
    const gateway = await cluster.open(home, 'still')
    const client = keep(tcpClientProcess(gateway.port, 'read'))
    await until(
      async () => {
        const sockets = await ourSockets([gateway.port, cluster.port, service.port])
        // The client's side of the gateway; both ends of the way to the server, twice: its control stream; the target's.
        return sockets.length >= 4 && sockets.every(({ probeInS }) => probeInS <= 30)
      },
      'the whole way stands, and each leg has a keepalive timer',
      PATIENCE_MS,
    )
    await client.stop('SIGKILL')
    await gateway.process.stop('SIGINT')
  })

  it('I3: a stopped core is noticed where bytes wait for it in a tunnel that is raw, and keepalive is on there as well', async () => {
    const other = await cluster.newHome()
    await cluster.login(other)
    const gateway = await cluster.open(other, 'orders')
    const download = keep(
      keepPsql(gateway.url, [
        '-c',
        `copy (select repeat('z', 1000) from generate_series(1, ${MUCH / 1000})) to stdout`,
      ]),
    )
    // So much has not gone in frames.
    await until(() => Promise.resolve(download.stdout.length > 4_000_000), 'it is bulk', PATIENCE_MS)
    const connection = await connectTo(other)
    const { core } = connection
    process.kill(core.pid, 'SIGSTOP')
    try {
      await until(
        async () => (await backends("copy (select repeat('z'")).length === 0,
        'its backend is gone',
        PATIENCE_MS,
      )
      await stallOf('orders', 'client')
    } finally {
      process.kill(core.pid, 'SIGCONT')
    }
    await connection.close()
    expect((await download.ended).code).not.toBe(0)
    // One that is raw and says nothing: its sockets have their timers.
    const quiet = keep(keepPsql(gateway.url))
    quiet.write("select repeat('q', 2000000), 'is ' || 'raw';\n")
    await quiet.waitFor(/is raw/, { timeoutMs: PATIENCE_MS })
    const ports = [gateway.port, cluster.port, cluster.postgres.port]
    await until(
      async () => (await ourSockets(ports)).every(({ probeInS }) => probeInS <= 30),
      'each has a keepalive timer',
      PATIENCE_MS,
    )
    await gateway.process.stop('SIGINT')
  })

  it('I3: the gateway notices by itself, too, where it is the first', async () => {
    const impatient = await cluster.newHome()
    await writeFile(join(impatient, 'settings.json'), '{"writeStallTimeout": "500ms"}', { mode: 0o600 })
    await cluster.login(impatient)
    const gateway = await cluster.open(impatient, 'orders')
    const stopped = keep(
      keepPsql(gateway.url, [
        '-c',
        `copy (select repeat('y', 1000) from generate_series(1, ${MUCH / 1000})) to stdout`,
      ]),
    )
    await stopped.waitFor(/yyyy/)
    stopped.child.kill('SIGSTOP')
    await until(
      async () => /"stalled":"client".*took no bytes/.test(await readFile(join(impatient, 'core.log'), 'utf8')),
      'the core says it',
      PATIENCE_MS,
    )
    await until(async () => (await backends('copy (select repeat')).length === 0, 'the backend is gone', PATIENCE_MS)
    expect((await psql(gateway.url, ['-c', 'select 2'])).stdout).toBe('2\n')
  })
})
