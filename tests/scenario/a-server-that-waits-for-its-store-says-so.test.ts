// E1: a store that is there but does not answer. Whoever connects is told within the gateways' patience, in words, and let in as
// soon as the store answers again; nothing is left over. The store is a real PostgreSQL, held up by a lock that another client has.
import pg from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { psql, startCluster, type OpenGateway, type TestCluster } from '../support/cluster.ts'
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts'

let postgres: TestPostgres
let cluster: TestCluster
let gateway: OpenGateway
let other: pg.Client
beforeAll(async () => {
  postgres = await startTestPostgres()
  await postgres.sql('create database store')
  const { host, port, superuser, superuserPassword } = postgres
  const url = `postgresql://${superuser}:${encodeURIComponent(superuserPassword)}@${host}:${port}/store`
  cluster = await startCluster({ settings: `store: { kind: postgres, url: "${url}" }` })
  const home = await cluster.newHome()
  await cluster.login(home)
  gateway = await cluster.open(home, 'orders')
  other = new pg.Client({ connectionString: url })
  await other.connect()
})
afterAll(async () => {
  await other.end()
  await cluster.close()
  await postgres.close()
})

it('E1: psql hears that the server is too busy, and goes on when its store answers', async () => {
  await other.query('begin')
  await other.query('lock table sessions in access exclusive mode')
  const refused = await psql(gateway.url, ['-c', 'select 1'], { timeoutMs: 60_000 })
  expect(refused).toMatchObject({ code: 2 })
  expect(refused.stderr).toMatch(/FATAL: .*the access server is too busy to look this up; try again in a moment/)
  await other.query('rollback')
  expect(await psql(gateway.url, ['-c', 'select 7'])).toMatchObject({ code: 0, stdout: '7\n' })
  // The session that was begun meanwhile is the one that is used: none is left that nobody owns.
  const { rows } = await other.query<{ state: string }>('select state from sessions')
  expect(rows).toEqual([{ state: 'active' }])
})
