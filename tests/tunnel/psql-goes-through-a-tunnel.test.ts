// The product as a person runs it, with tunnels: psql after psql over the same TLS connection, a COPY that is bulk, pgbench, and a
// route certificate that runs out in between.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { psql, startCluster, type OpenGateway, type TestCluster } from '../support/cluster.ts'
import { run } from '../support/run.ts'

let cluster: TestCluster
let home: string
let gateway: OpenGateway

beforeAll(async () => {
  cluster = await startCluster()
  home = await cluster.newHome()
  await cluster.login(home)
  gateway = await cluster.open(home, 'orders')
})
afterAll(async () => {
  await cluster.close()
})

type Opened = { address: string; connection: string }
const opened = (): Promise<Opened[]> => cluster.audit(['--event', 'connection.open']) as Promise<Opened[]>
const addressesOf = (events: readonly Opened[]): number => new Set(events.map(({ address }) => address)).size

describe('psql through a tunnel', () => {
  it('G1: one after the other they share TLS connections, and each is a connection of its own in the audit log', async () => {
    for (let at = 0; at < 6; at++) expect((await psql(gateway.url, ['-c', `select ${at}`])).stdout).toBe(`${at}\n`)
    const events = await opened()
    expect(new Set(events.map(({ connection }) => connection)).size).toBe(6)
    expect(addressesOf(events)).toBeLessThanOrEqual(2)
  })

  it('G1: 16 MB of rows, which leave the frames on the way, are whole', async () => {
    const sql = 'copy (select n, md5(n::text) from generate_series(1, 400000) n) to stdout'
    const direct =
      "select md5(string_agg(n || E'\\t' || md5(n::text), E'\\n' order by n)) from generate_series(1, 400000) n"
    const file = `${cluster.directory}/rows`
    expect((await psql(gateway.url, ['-c', `\\copy (${sql.slice(6, -11)}) to '${file}'`])).code).toBe(0)
    const sum = await run('sh', ['-c', `head -c -1 '${file}' | md5sum | cut -c1-32`])
    expect(sum.stdout).toBe((await psql(gateway.url, ['-c', direct])).stdout)
  })

  it(
    'G1: pgbench with a new connection for each transaction, eight at once, loses none',
    { timeout: 60_000 },
    async () => {
      const script = `${cluster.directory}/one.sql`
      await run('sh', ['-c', `echo 'select 1;' > '${script}'`])
      const bench = await run('pgbench', ['-n', '-C', '-c', '8', '-t', '10', '-f', script, gateway.url])
      expect(bench.stdout).toMatch(/number of failed transactions: 0/)
    },
  )
})
