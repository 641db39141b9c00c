// A gigabyte each way through the PostgreSQL engine, to and from a target with and without TLS, between slow ends, and one huge message:
// every byte arrives, and this process stays small.
import { spawn } from 'node:child_process'
import { createHash, type Hash } from 'node:crypto'
import { once } from 'node:events'
import { setImmediate as nextTurn, setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { useTestPostgres } from '../support/postgres.ts'
import { APP_PASSWORD, SHOP_SQL, startHarness, type Harness } from './engine-harness.ts'
import { makeAuthority, type CertificateAuthority } from './target-certificates.ts'

const cluster = useTestPostgres({ initialSql: SHOP_SQL })
/** To the target without TLS, and over it: another way through the pump. */
let engine: Harness
let engineOverTls: Harness
let authority: CertificateAuthority
beforeAll(async () => {
  authority = await makeAuthority()
  await authority.installOn(cluster.current, 'IP:127.0.0.1')
  const target = { address: `127.0.0.1:${cluster.current.port}`, password: APP_PASSWORD }
  engine = await startHarness(target)
  engineOverTls = await startHarness({ ...target, tls: { mode: 'require' } })
})
afterAll(async () => {
  await Promise.all([engine.close(), engineOverTls.close()])
  await authority.remove()
})

const GIGABYTE = 1 << 30
const ROWS = 1 << 20
/** After so many rows a slow writer takes a rest, so that everything on the way runs dry. */
const WRITER_RESTS_ROWS = 50_000
const REST_MS = 100
/** Each row is 1024 bytes with its newline, so that a lost or doubled byte anywhere shows. */
const ROW_SQL = "lpad(n::text, 1023, 'abcdefghijklmnopqrstuvwxyz')"
/** What may be on the way in this process: stream buffers of two sockets, and what the collector has not taken yet. */
const MEMORY_BOUND = 192 * 1024 * 1024

function watchMemory() {
  const memory = () => process.memoryUsage().rss
  const before = memory()
  let highest = before
  return { look: () => (highest = Math.max(highest, memory())), grown: () => highest - before }
}

function expectedHash(): Hash {
  const hash = createHash('sha256')
  const pattern = 'abcdefghijklmnopqrstuvwxyz'.repeat(40)
  for (let n = 1; n <= ROWS; n++) {
    const digits = String(n)
    hash.update(`${pattern.slice(0, 1023 - digits.length)}${digits}\n`)
  }
  return hash
}

it('DB1: a gigabyte comes to a slow reader over TLS whole and in bounded memory', { timeout: 300_000 }, async () => {
  const child = spawn(
    'psql',
    ['-X', '-At', engineOverTls.url(), '-c', `copy (select ${ROW_SQL} from generate_series(1, ${ROWS}) n) to stdout`],
    {
      env: { PATH: process.env['PATH'] },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  const memory = watchMemory()
  const hash = createHash('sha256')
  let bytes = 0
  let stops = 0
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
    hash.update(chunk)
    bytes += chunk.length
    memory.look()
    // Stops reading for a while now and then: everything on the way fills up and has to wait.
    if (bytes > (stops + 1) * (GIGABYTE / 16)) {
      stops++
      for (let turns = 0; turns < 20_000; turns++) await nextTurn()
    }
  }
  expect(bytes).toBe(GIGABYTE)
  expect(hash.digest('hex')).toBe(expectedHash().digest('hex'))
  expect(stops).toBeGreaterThan(10)
  expect(memory.grown()).toBeLessThan(MEMORY_BOUND)
})

it(
  'DB1: a gigabyte goes from a slow writer to a slow target whole and in bounded memory',
  { timeout: 300_000 },
  async () => {
    // A trigger looks at each row and throws it away, which is what makes the target slow.
    await cluster.current.sql(
      `create unlogged table sink(row text); grant all on sink to app;
     create sequence arrived; grant all on sequence arrived to app;
     create function look_at_row() returns trigger language plpgsql as $$
     begin
       if new.row <> lpad(nextval('arrived')::text, 1023, 'abcdefghijklmnopqrstuvwxyz') then
         raise exception 'row % is wrong', currval('arrived');
       end if;
       return null;
     end $$;
     create trigger look before insert on sink for each row execute function look_at_row()`,
      'shop',
    )
    const child = spawn('psql', ['-X', '-At', engine.url(), '-c', 'copy sink from stdin'], {
      env: { PATH: process.env['PATH'] },
      stdio: ['pipe', 'ignore', 'pipe'],
    })
    let complaint = ''
    child.stderr.on('data', (data) => (complaint += String(data)))
    const ended = once(child, 'close')
    const memory = watchMemory()
    const pattern = 'abcdefghijklmnopqrstuvwxyz'.repeat(40)
    for (let n = 1; n <= ROWS; n += 64) {
      const rows = Array.from({ length: 64 }, (_, index) => {
        const digits = String(n + index)
        return `${pattern.slice(0, 1023 - digits.length)}${digits}\n`
      })
      if (!child.stdin.write(rows.join(''))) await once(child.stdin, 'drain')
      if (n % WRITER_RESTS_ROWS < 64) await wait(REST_MS)
      memory.look()
    }
    child.stdin.end()
    expect([await ended, complaint]).toEqual([[0, null], ''])
    expect(memory.grown()).toBeLessThan(MEMORY_BOUND)
    const { rows } = await cluster.current.sql('select last_value::int as n from arrived', 'shop')
    expect(rows).toEqual([{ n: ROWS }])
    await engine.settled()
    expect((await engine.event('statement.copy', ({ direction }) => direction === 'in')).detail).toMatchObject({
      bytes: GIGABYTE,
    })
  },
)

it('DB1: one message of hundreds of megabytes passes in bounded memory', async () => {
  const memory = watchMemory()
  const child = spawn('psql', ['-X', '-At', engine.url(), '-c', "select repeat('x', 300000000)"], {
    env: { PATH: process.env['PATH'] },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let bytes = 0
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
    bytes += chunk.length
    memory.look()
  }
  expect(bytes).toBe(300_000_001)
  expect(memory.grown()).toBeLessThan(MEMORY_BOUND)
})
