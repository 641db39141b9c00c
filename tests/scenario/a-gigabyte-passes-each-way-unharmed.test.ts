// A byte pattern over 1 GB in both directions at once through gateway, TLS, access server and engine, with real psql and
// PostgreSQL on the ends, a reader and a writer that stop and start, and memory that stays bounded.
import { readFileSync } from 'node:fs'
import { hash } from 'node:crypto'
import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { keepPsql, psql, startCluster, type TestCluster } from '../support/cluster.ts'

const ROWS = 1_100_000
/** Row n: its number and 32 times the MD5 of it: about 1 kB that any lost, doubled or swapped byte breaks. */
const PATTERN_SQL = "n::text || ' ' || repeat(md5(n::text), 32)"
const rowOf = (n: number): string => `${n} ${hash('md5', String(n)).repeat(32)}`
/** After so many rows the writer, after so many bytes the reader takes a rest: everything on the way runs dry, or fills up. */
const WRITER_RESTS_ROWS = 50_000
const READER_RESTS_BYTES = 50_000_000
const REST_MS = 300
const rest = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, REST_MS))
/** Memory that core and server may need while 1 GB is under way, beyond what they had before, in MiB. */
const BOUND_MIB = 300

let cluster: TestCluster
beforeAll(async () => {
  cluster = await startCluster()
  await cluster.apply(`
kind: resource
name: bulk
protocol: postgres
address: 127.0.0.1:${cluster.postgres.port}
tls: { mode: disable }
accounts: [{ name: postgres, password: ${cluster.postgres.superuserPassword} }]
---
{ kind: role, name: bulk, allow: [{ resources: [bulk], accounts: [postgres] }] }
---
{ kind: grant, user: alice, role: bulk }
`)
})
afterAll(async () => {
  await cluster.close()
})

const rssMib = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024

describe('bulk data', () => {
  it(
    'G1 DB1: 1 GB each way at once arrives whole, with a reader and a writer that pause, in bounded memory',
    { timeout: 600_000 },
    async () => {
      const home = await cluster.newHome()
      await cluster.login(home)
      const gateway = await cluster.open(home, 'bulk')
      const status = JSON.parse((await cluster.postern(home, ['status', '--json'])).stdout) as { core: { pid: number } }
      const pids = [status.core.pid, cluster.server().child.pid!]
      const before = pids.map(rssMib)
      let peak = pids.map(() => 0)
      const watch = setInterval(() => (peak = pids.map((pid, at) => Math.max(peak[at] ?? 0, rssMib(pid)))), 200)

      // Up: only rows that arrived wrong are kept; every thousandth right one is kept too, so that the count shows them all.
      await psql(gateway.url, ['-c', 'create unlogged table arrived (line text)'])
      const up = keepPsql(gateway.url, [
        '-c',
        `copy arrived from stdin where line <> split_part(line, ' ', 1) || ' ' || repeat(md5(split_part(line, ' ', 1)), 32) or line like '%000 %'`,
      ])
      // Down: the same rows from the server, each compared whole, in order.
      const down = keepPsql(gateway.url, [
        '-c',
        `copy (select ${PATTERN_SQL} from generate_series(1, ${ROWS}) n) to stdout`,
      ])
      down.child.stdout!.removeAllListeners('data')

      const sent = (async () => {
        let block: string[] = []
        for (let n = 1; n <= ROWS; n++) {
          block.push(`${rowOf(n)}\n`)
          if (n % WRITER_RESTS_ROWS === 0) await rest()
          if (block.length < 500 && n < ROWS) continue
          if (!up.child.stdin!.write(block.join(''))) await once(up.child.stdin!, 'drain')
          block = []
        }
        up.child.stdin!.end()
        return await up.ended
      })()

      const received = (async () => {
        let begun = ''
        let n = 0
        let bytes = 0
        let pauses = 0
        for await (const chunk of down.child.stdout! as AsyncIterable<Buffer>) {
          bytes += chunk.length
          const lines = (begun + chunk.toString('latin1')).split('\n')
          begun = lines.pop() ?? ''
          for (const line of lines) {
            n++
            if (line !== rowOf(n)) throw new Error(`row ${n} is not what was sent: ${line.slice(0, 60)}`)
          }
          if (bytes > pauses * READER_RESTS_BYTES) {
            pauses++
            await rest()
          }
        }
        return { n, begun, bytes }
      })()

      const [upEnd, got] = await Promise.all([sent, received])
      clearInterval(watch)
      expect(upEnd).toMatchObject({ code: 0, stderr: '' })
      expect(await down.ended).toMatchObject({ code: 0, stderr: '' })
      expect(got).toMatchObject({ n: ROWS, begun: '' })
      expect(got.bytes).toBeGreaterThan(1_000_000_000)
      const arrived = await psql(gateway.url, [
        '-c',
        `select count(*), count(distinct line), bool_and(line like '%000 %') from arrived`,
      ])
      expect(arrived.stdout).toBe(`${ROWS / 1000}|${ROWS / 1000}|t\n`)
      for (const at of pids.keys()) expect((peak[at] ?? 0) - (before[at] ?? 0)).toBeLessThan(BOUND_MIB)
      await gateway.process.stop()
    },
  )
})
