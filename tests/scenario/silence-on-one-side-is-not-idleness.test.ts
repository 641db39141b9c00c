// An idle limit of seconds against streams that take longer than it while one side says nothing, sessions that are idle, and sessions
// that nobody is connected to. Real psql, PostgreSQL, gateways; each stream is 100 MB in pieces with pauses shorter than the limit.
import { once } from 'node:events'
import { createConnection, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { keepPsql, psql, startCluster, type OpenGateway, type TestCluster } from '../support/cluster.ts'
import { until } from '../support/run.ts'
import { TcpService, writePattern } from '../support/tcp-service.ts'

const IDLE_MS = 10_000
const PIECES = 14
const PIECE_BYTES = 7_200_000
const PAUSE_MS = 1000
const PATIENCE_MS = 60_000
const SEED = 7

let cluster: TestCluster
let home: string
let upload: TcpService
let download: TcpService
/** What the target of the upload has had. */
let uploaded: Promise<number> | undefined

const tcp = (name: string, port: number): string =>
  `{ kind: resource, name: ${name}, protocol: tcp, address: "127.0.0.1:${port}", accounts: [{ name: tcp }] }`

/** 100 MB, with pauses, and the end. */
async function pour(socket: Socket): Promise<void> {
  for (let piece = 0; piece < PIECES; piece++) {
    await writePattern(socket, PIECE_BYTES, SEED + piece)
    await delay(PAUSE_MS)
  }
  socket.end()
}

/** Reads what `pour` wrote. */
async function count(socket: Socket): Promise<number> {
  let bytes = 0
  for await (const chunk of socket as AsyncIterable<Buffer>) bytes += chunk.length
  return bytes
}

beforeAll(async () => {
  upload = await new TcpService().start()
  download = await new TcpService().start()
  upload.serve = (socket) => {
    uploaded = count(socket).then((bytes) => {
      socket.end(`${bytes}`)
      return bytes
    })
  }
  download.serve = (socket) => {
    socket.resume()
    pour(socket).catch(() => undefined)
  }
  cluster = await startCluster({
    settings: `sessions: { idleTimeout: ${IDLE_MS / 1000}s, reaperInterval: 200ms }`,
  })
  await cluster.apply(
    [
      tcp('upload', upload.port),
      tcp('download', download.port),
      `{ kind: resource, name: stock, protocol: postgres, address: "127.0.0.1:${cluster.postgres.port}", tls: { mode: disable }, defaultDatabase: postgres, accounts: [${['reader', 'writer'].map((name) => `{ name: ${name}, password: target-${name}-secret }`).join(', ')}] }`,
      '{ kind: role, name: stock, allow: [{ resources: [stock], accounts: [reader, writer], databases: [postgres] }] }',
      '{ kind: grant, user: alice, role: stock }',
      '{ kind: role, name: streams, allow: [{ resources: [upload, download], accounts: [tcp] }] }',
      '{ kind: grant, user: alice, role: streams }',
    ].join('\n---\n'),
  )
  home = await cluster.newHome()
  await cluster.login(home)
})
afterAll(async () => {
  await cluster.close()
  await upload.stop()
  await download.stop()
})

const endsOf = async (session: unknown): Promise<unknown[]> => {
  const events = await cluster.audit(['--session', String(session), '--event', 'session.end'])
  return events.map(({ detail }) => (detail as { reason: string }).reason)
}

/** From the end of its last connection to its own. */
async function outlivedMs(session: unknown): Promise<number> {
  const events = await cluster.audit(['--session', String(session)])
  const timeOf = (name: string): number => Date.parse(String(events.findLast(({ event }) => event === name)?.['time']))
  return timeOf('session.end') - timeOf('connection.close')
}

/** The newest session of an account of a resource. */
async function sessionOf(resource: string, account: string): Promise<unknown> {
  const events = await cluster.audit(['--resource', resource, '--event', 'session.start'])
  return events.filter((event) => event['account'] === account).at(-1)?.['session']
}

const connect = ({ port }: OpenGateway): Socket => {
  const socket = createConnection({ host: '127.0.0.1', port, allowHalfOpen: true })
  socket.on('error', () => undefined)
  return socket
}

// At once: each has sessions of its own, and most of their time is pauses.
describe.concurrent('an idle limit', () => {
  it('I1: is outlived by 100 MB to a silent PostgreSQL, and 100 MB from one to a silent client', async () => {
    const writer = await cluster.open(home, 'orders', ['--account', 'writer'])
    const reader = await cluster.open(home, 'orders', ['--account', 'reader'])
    const program = `for piece in $(seq ${PIECES}); do yes postern | head -c ${PIECE_BYTES}; sleep ${PAUSE_MS / 1000}; done`
    const up = keepPsql(writer.url, [
      ...['-c', 'create temp table sink(line text)'],
      ...['-c', `\\copy sink from program '${program}'`],
      ...['-c', 'select count(*) from sink'],
    ])
    // The target sends a piece and waits; the client asked once and says nothing more.
    const piece = `select repeat('x', 999) from generate_series(1, ${PIECE_BYTES / 1000}), pg_sleep(${PAUSE_MS / 1000})`
    const down = keepPsql(reader.url, [
      '-c',
      `copy (${Array.from({ length: PIECES }, () => piece).join(' union all ')}) to stdout`,
    ])
    const [sent, received] = await Promise.all([up.ended, down.ended])
    expect([sent.code, sent.stderr]).toEqual([0, ''])
    expect(sent.stdout).toMatch(new RegExp(`^${(PIECES * PIECE_BYTES) / 'postern\n'.length}$`, 'm'))
    expect([received.code, received.stderr]).toEqual([0, ''])
    expect(received.stdout).toHaveLength(PIECES * PIECE_BYTES)
    await writer.process.stop('SIGINT')
    await reader.process.stop('SIGINT')
  })

  it('I1: is outlived by 100 MB to a silent tcp target, and 100 MB from one to a silent client', async () => {
    const up = connect(await cluster.open(home, 'upload'))
    const down = connect(await cluster.open(home, 'download'))
    const [answer, received] = await Promise.all([
      pour(up).then(async () => (await once(up, 'data')).toString()),
      count(down),
    ])
    expect([Number(answer), await uploaded, received]).toEqual(Array.from({ length: 3 }, () => PIECES * PIECE_BYTES))
    const sessions = await Promise.all([sessionOf('upload', 'tcp'), sessionOf('download', 'tcp')])
    for (const session of sessions) expect((await endsOf(session)).filter((reason) => reason !== 'idle')).toEqual([])
    for (const socket of [up, down]) socket.destroy()
  })

  it('I2, S2: ends a session in which nothing moves with 57P01, and one that nobody is connected to', async () => {
    const reader = await cluster.open(home, 'stock', ['--account', 'reader'])
    const writer = await cluster.open(home, 'stock', ['--account', 'writer'])
    const idle = new pg.Client({ host: reader.host, port: reader.port, user: 'reader', database: 'postgres' })
    const { promise: told, resolve } = Promise.withResolvers<Error & { code?: string }>()
    idle.on('error', resolve)
    await idle.connect()
    await idle.query('select 1')
    const idleSession = await sessionOf('stock', 'reader')
    expect((await psql(writer.url, ['-c', 'select 2'])).stdout).toBe('2\n')
    const leftSession = await sessionOf('stock', 'writer')

    expect(await told).toMatchObject({
      code: '57P01',
      message: expect.stringMatching(/^Postern ended this session: nothing has moved on it for 10s/) as unknown,
    })
    for (const session of [idleSession, leftSession])
      await until(async () => (await endsOf(session)).length > 0, 'the session is over', PATIENCE_MS)
    expect([await endsOf(idleSession), await endsOf(leftSession)]).toEqual([['idle'], ['idle']])
    // By the server's clock, the session outlived its last connection by the limit (S2).
    expect(await outlivedMs(leftSession)).toBeGreaterThan(0.9 * IDLE_MS)
    // The gateways are as good as new.
    expect((await psql(writer.url, ['-c', 'select 3'])).stdout).toBe('3\n')
    expect(await sessionOf('stock', 'writer')).not.toBe(leftSession)
  })
})
