// R5, E3: metrics and health on a port of their own, and the stop that waits: a real server, a real PostgreSQL, a real psql.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import pino from 'pino'
import { createAuditLog } from '../../server/audit/audit-log.ts'
import { createHealth } from '../../server/operations/health.ts'
import { createMetrics } from '../../server/operations/metrics.ts'
import { CATALOGUE_METRICS } from '../../server/operations/metric-texts.ts'
import { openOperationsPort } from '../../server/operations/operations-port.ts'
import { ALICE, keepPsql, psql, startCluster, type OpenGateway, type TestCluster } from '../support/cluster.ts'
import { holdLock } from '../support/postgres.ts'
import { until } from '../support/run.ts'
import { freshStore } from '../support/store.ts'

/** Whoever asks for it waits until the test gives it back. */
const LOCK = 7

type Answer = { status: number; text: string; body: { status?: string; reasons?: { code: string }[] } }

const askAt = async (address: string, path: string, method = 'GET'): Promise<Answer> => {
  const response = await fetch(`http://${address}${path}`, { method, signal: AbortSignal.timeout(20_000) })
  const text = await response.text()
  const isJson = response.headers.get('content-type')?.startsWith('application/json') === true && text !== ''
  return { status: response.status, text, body: isJson ? (JSON.parse(text) as Answer['body']) : {} }
}

/** Every sample of a page: `name{labels}` → value. */
const samplesOf = (page: string): Map<string, number> =>
  new Map(
    page
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
  )

describe('a running server', () => {
  let cluster: TestCluster
  let home: string
  let gateway: OpenGateway
  const operations = () =>
    (JSON.parse(/^\{.*\}$/m.exec(cluster.server().stdout)?.[0] ?? '{}') as { operations: string }).operations
  const ask = (path: string, method?: string) => askAt(operations(), path, method)

  beforeAll(async () => {
    cluster = await startCluster({
      settings: 'metrics: { listen: "127.0.0.1:0" }\ndrain: { delay: 300ms, timeout: 2m }',
    })
    home = await cluster.newHome()
    await cluster.login(home)
    gateway = await cluster.open(home, 'orders')
  })
  afterAll(() => cluster.close())

  it('R5: the metrics count what happened, under the documented names, and name nobody', async () => {
    const done = await psql(gateway.url, ['-c', 'select count(*) from orders'])
    expect(done.stdout.trim()).toBe('100')
    await psql(gateway.url.replace('/postgres', '/forbidden'), ['-c', 'select 1'])
    await cluster.postern(home, ['login', '--user', ALICE.name, '--password-stdin'], { input: 'wrong password\n' })
    const open = keepPsql(gateway.url)
    open.write("select 'here';\n")
    await open.waitFor(/here/)

    const { status, text } = await ask('/metrics')
    expect(status).toBe(200)
    const samples = samplesOf(text)
    const atLeast = (name: string, least: number) =>
      expect(samples.get(name) ?? NaN, name).toBeGreaterThanOrEqual(least)
    atLeast('postern_store_up', 1)
    atLeast('postern_sessions{state="active",protocol="postgres"}', 1)
    atLeast('postern_sessions_started_total', 1)
    atLeast('postern_connections{protocol="postgres"}', 1)
    atLeast('postern_connections_total{protocol="postgres"}', 3)
    atLeast('postern_connections_closed_total{reason="client"}', 1)
    atLeast('postern_connections_refused_total{code="database_denied"}', 1)
    atLeast('postern_connection_admission_seconds_count{protocol="postgres"}', 3)
    atLeast('postern_tls_handshake_seconds_count', 3)
    atLeast('postern_bytes_total{protocol="postgres",direction="from_client"}', 30)
    atLeast('postern_bytes_total{protocol="postgres",direction="to_client"}', 30)
    atLeast('postern_statements_total', 2)
    atLeast('postern_logins_total{how="password",outcome="succeeded"}', 1)
    atLeast('postern_logins_total{how="password",outcome="bad_credentials"}', 1)
    atLeast('postern_certificates_issued_total{kind="user"}', 1)
    atLeast('postern_certificates_issued_total{kind="route"}', 1)
    atLeast('postern_ca_expiry_timestamp_seconds{kind="user"}', Date.now() / 1000)
    atLeast('postern_control_streams', 1)
    atLeast('postern_audit_entries_written_total', 5)
    atLeast('nodejs_eventloop_lag_seconds', 0)
    atLeast('process_resident_memory_bytes', 1)
    expect(samples.get('postern_audit_write_failures_total')).toBe(0)

    const own = new Set([...text.matchAll(/^# TYPE (postern_\w+)/gm)].map(([, name]) => name))
    expect([...own].sort()).toEqual(Object.keys(CATALOGUE_METRICS).sort())
    const labels = [...text.matchAll(/^postern_\w+\{(.*)\}/gm)].map(([, label]) => label).join('\n')
    for (const secret of [ALICE.name, 'root', 'orders', 'reader', 'postgres"', cluster.address].filter(
      (name) => name !== 'postgres"',
    ))
      expect(labels).not.toContain(secret)

    await open.stop()
    // What a connection moved is counted once, whether it lives or is over.
    await until(
      async () => samplesOf((await ask('/metrics')).text).get('postern_connections{protocol="postgres"}') === 0,
      'the connection is counted as over',
      30_000,
    )
  })

  it('R5: health says yes, and what there is otherwise', async () => {
    expect(await ask('/startup')).toMatchObject({ status: 200, body: { status: 'started' } })
    expect(await ask('/readiness')).toMatchObject({ status: 200, body: { status: 'ready' } })
    expect(await ask('/liveness')).toMatchObject({ status: 200, body: { status: 'alive' } })
    expect((await ask('/readiness', 'HEAD')).status).toBe(200)
    expect((await ask('/readiness', 'POST')).status).toBe(405)
    expect((await ask('/v1/admin/users')).status).toBe(404)
  })

  it('S9: after SIGTERM it is not ready, lets what runs finish, and ends by itself with exit code 0', async () => {
    const giveBack = await holdLock(cluster.postgres, LOCK, 'postgres')
    const running = psql(gateway.url, ['-c', `select 'finished' from pg_advisory_lock(${LOCK})`])
    const metric = async () => samplesOf((await ask('/metrics')).text).get('postern_connections{protocol="postgres"}')
    await until(async () => ((await metric()) ?? 0) > 0, 'psql is connected', 20_000)
    const server = cluster.server()
    const address = operations()
    server.child.kill('SIGTERM')
    await until(async () => (await askAt(address, '/readiness')).status === 503, 'it is not ready', 20_000)
    expect((await askAt(address, '/readiness')).body.reasons).toMatchObject([{ code: 'draining' }])
    expect((await askAt(address, '/liveness')).status).toBe(200)
    await giveBack()
    expect((await running).stdout.trim()).toBe('finished')
    expect((await server.ended).code).toBe(0)
    await cluster.startServer()
  })

  it('S3, S9: a second SIGTERM does not wait: clients are told 57P01', async () => {
    const open = keepPsql(gateway.url)
    open.write("select 'here';\n")
    await open.waitFor(/here/)
    const server = cluster.server()
    server.child.kill('SIGTERM')
    const address = operations()
    await until(async () => (await askAt(address, '/readiness')).status === 503, 'it drains', 20_000)
    server.child.kill('SIGTERM')
    expect((await server.ended).code).toBe(0)
    open.write('select 1;\n')
    await open.waitFor(/Postern ended this session: the access server restarted/)
    await open.stop()
    await cluster.startServer()
  })
})

describe('what the server stands on', () => {
  it('R5: not ready before the start is through, without its store, and while the audit log is refused', async () => {
    const store = await freshStore()
    const log = pino({ level: 'silent' })
    const audit = createAuditLog({ db: store.db, now: () => new Date(), log })
    const health = createHealth()
    const metrics = createMetrics({ version: 'test', withDefaults: false })
    const port = await openOperationsPort({ host: '127.0.0.1', port: 0 }, { health, metrics })
    const reasons = async () => {
      const { status, body } = await askAt(port.address, '/readiness')
      return [status, ...(body.reasons ?? []).map(({ code }) => code)]
    }
    expect(await reasons()).toEqual([503, 'starting'])
    expect((await askAt(port.address, '/startup')).status).toBe(503)
    health.started({ db: store.db, audit })
    expect(await reasons()).toEqual([200])
    await store.db.schema.alterTable('audit').renameTo('audit_away').execute()
    audit.record({ event: 'server.start', detail: { version: 'test', address: 'x:1' } })
    await audit.flush().catch(() => undefined)
    expect(await reasons()).toEqual([503, 'audit_not_writable'])
    await store.db.schema.alterTable('audit_away').renameTo('audit').execute()
    await audit.flush()
    expect(await reasons()).toEqual([200])
    metrics.askWhenScraped({ db: store.db, audit, controlStreams: () => 0, caExpiry: () => [] })
    await audit.close()
    await store.close()
    expect(await reasons()).toEqual([503, 'store_unreachable'])
    const { status, text } = await askAt(port.address, '/metrics')
    expect([status, samplesOf(text).get('postern_store_up')]).toEqual([200, 0])
    await port.close()
  })

  it('E3: a port that is taken is named with its setting', async () => {
    const parts = { health: createHealth(), metrics: createMetrics({ version: 'test', withDefaults: false }) }
    const first = await openOperationsPort({ host: '127.0.0.1', port: 0 }, parts)
    const second = openOperationsPort({ host: '127.0.0.1', port: Number(first.address.split(':')[1]) }, parts)
    await expect(second).rejects.toThrow('metrics.listen: cannot listen on')
    await first.close()
  })
})
