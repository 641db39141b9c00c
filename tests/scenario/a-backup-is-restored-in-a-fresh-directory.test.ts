// Back up and restore as docs/operations.md tells them, with real processes: the copy is made while a session runs, and a server in a
// fresh directory goes on from it with the master key. People log in, stored passwords of targets work, and what ran is over.
import { copyFile, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { AuditEvent } from '../../shared/audit-api.ts'
import type { SessionView } from '../../shared/session-api.ts'
import { ADMIN, BOB, keepPsql, psql, SERVER, startCluster, type TestCluster } from '../support/cluster.ts'
import { freePort } from '../support/free-port.ts'
import { Kept, run } from '../support/run.ts'

let cluster: TestCluster
beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(() => cluster.close())

it('S9, R5, C1: what was backed up while a session ran is there again, and the session is ended as restart', async () => {
  const alice = await cluster.newHome()
  await cluster.login(alice)
  const before = await cluster.open(alice, 'orders')
  const atWork = keepPsql(before.url)
  atWork.write("select 'it is ' || 'there';\n")
  await atWork.waitFor(/it is there/)
  const [session] = await listed(alice)
  expect(session).toMatchObject({ state: 'active', user: 'alice' })

  const copy = join(cluster.directory, 'copy.sqlite')
  const backup = await server('backup', '--config', join(cluster.directory, 'server.yaml'), '--to', copy)
  expect(backup, backup.stderr).toMatchObject({ code: 0 })
  // After the backup: gone with it.
  await cluster.apply('{ kind: user, name: dave, password: correct horse dave }')
  expect(await psql(before.url, ['-c', 'select 1']), 'the backup disturbs nobody').toMatchObject({ code: 0 })

  // Another machine, as the page says: the copy and the master key, both 0600, in a fresh directory.
  const dataDir = join(cluster.directory, 'restored')
  await mkdir(dataDir, { mode: 0o700 })
  await copyFile(copy, join(dataDir, 'postern.sqlite'))
  await copyFile(join(cluster.directory, 'server', 'master.key'), join(dataDir, 'master.key'))
  for (const name of ['postern.sqlite', 'master.key'])
    expect((await stat(join(dataDir, name))).mode & 0o777, `${name} keeps its mode`).toBe(0o600)
  const port = await freePort()
  const config = join(cluster.directory, 'restored.yaml')
  await writeFile(config, `cluster: test\nlisten: 127.0.0.1:${port}\ndataDir: ${dataDir}\n`)
  const restored = new Kept(process.execPath, [SERVER, 'start', '--config', config, '--json'])
  try {
    const [line] = await restored.waitFor(/^\{"cluster".*\}$/m)
    expect(JSON.parse(line)).toMatchObject({ fingerprint: cluster.fingerprint })
    expect(await readFile(join(dataDir, 'ca.pem'), 'utf8'), 'made anew').toBe(await readFile(cluster.caFile, 'utf8'))

    const address = `127.0.0.1:${port}`
    const logIn = async (person: { name: string; password: string }): Promise<string> => {
      const home = await cluster.newHome()
      const args = ['login', address, '--user', person.name, '--ca', join(dataDir, 'ca.pem'), '--password-stdin']
      const done = await cluster.postern(home, args, { input: `${person.password}\n` })
      expect(done, done.stderr).toMatchObject({ code: 0 })
      return home
    }
    const again = await logIn({ name: 'alice', password: 'correct horse alice' })
    expect(await listed(again, '--state', 'ended')).toMatchObject([
      { id: session?.id, state: 'ended', endReason: 'restart' },
    ])
    const gateway = await cluster.open(again, 'orders')
    expect(await psql(gateway.url, ['-c', 'select count(*) from orders'])).toMatchObject({ code: 0, stdout: '100\n' })

    const root = await logIn(ADMIN)
    const audit = await cluster.postern(root, ['audit', '--json', '--session', session?.id ?? ''])
    const events = audit.stdout
      .split('\n')
      .filter(Boolean)
      .map((text) => JSON.parse(text) as AuditEvent)
    expect(events.filter(({ event }) => event === 'session.end')).toMatchObject([{ detail: { reason: 'restart' } }])
    expect(events.map(({ event }) => event)).toContain('statement.query')
    const people = await cluster.postern(root, ['admin', 'user', 'ls', '--json'])
    expect(people.stdout).toContain(`"${BOB.name}"`)
    expect(people.stdout, 'of after the backup').not.toContain('"dave"')
    await gateway.process.stop()
  } finally {
    await restored.stop()
    await atWork.stop()
    await rm(dataDir, { recursive: true, force: true })
  }
})

it('E3: a backup of a server that is stopped works too, and it starts again', async () => {
  await cluster.server().stop()
  const copy = join(cluster.directory, 'cold.sqlite')
  const backup = await server('backup', '--config', join(cluster.directory, 'server.yaml'), '--to', copy)
  expect(backup, backup.stderr).toMatchObject({ code: 0 })
  expect((await stat(copy)).size).toBeGreaterThan(0)
  await cluster.startServer()
  const home = await cluster.newHome()
  await cluster.login(home)
})

const server = (...args: string[]) => run(process.execPath, [SERVER, ...args])

async function listed(home: string, ...args: string[]): Promise<SessionView[]> {
  const done = await cluster.postern(home, ['sessions', 'ls', '--json', ...args])
  expect(done, done.stderr).toMatchObject({ code: 0 })
  return (JSON.parse(done.stdout) as { sessions: SessionView[] }).sessions
}
