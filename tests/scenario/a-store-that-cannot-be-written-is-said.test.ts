// A disk that is full and a store that another process holds, under a real access server: what is connected goes on, whoever wants to
// begin is told what is the matter, with an error id that finds the cause, the readiness says it as well; with room again everything
// is as it was, and what happened meanwhile is in the audit log.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { BOB, keepPsql, psql, startCluster, totpCode, type OpenGateway, type TestCluster } from '../support/cluster.ts'
import { run, until, type Finished, type Kept } from '../support/run.ts'

const PROGRAM = new URL('../support/server-with-little-room.ts', import.meta.url).pathname
const PATIENCE_MS = 60_000
/** Of a file, in bytes: less than every one of them has already. */
const LITTLE = 1024
const FULL = /its store (cannot be read or written|is full)/

let cluster: TestCluster
let home: string
let stranger: string
let used: OpenGateway
let connected: Kept
beforeAll(async () => {
  cluster = await startCluster({ serverProgram: PROGRAM, settings: 'metrics: { listen: "127.0.0.1:0" }' })
  ;[home, stranger] = [await cluster.newHome(), await cluster.newHome()]
  await cluster.login(home)
  used = await cluster.open(home, 'orders')
  connected = keepPsql(used.url)
  connected.write("begin; select 'connected';\n")
  await connected.waitFor(/connected/, { timeoutMs: PATIENCE_MS })
})
afterAll(async () => {
  await connected.stop('SIGKILL')
  await cluster.close()
})

const logIn = async (): Promise<Finished> =>
  cluster.postern(
    stranger,
    [
      ...['login', cluster.address, '--user', BOB.name, '--ca', cluster.caFile, '--password-stdin'],
      ...['--totp', await totpCode(BOB.totpSecret)],
    ],
    { input: `${BOB.password}\n` },
  )
const readiness = async (): Promise<{ status: number; reasons?: { code: string; text: string }[] }> => {
  const { operations } = JSON.parse(cluster.server().stdout.split('\n')[0] ?? '') as { operations: string }
  const answer = await fetch(`http://${operations}/readiness`)
  return { ...((await answer.json()) as object), status: answer.status }
}
const untilReady = () => until(async () => (await readiness()).status === 200, 'the server is ready', PATIENCE_MS)
const log = () => readFile(join(cluster.directory, 'server.log'), 'utf8')
/** Which the client was told. */
const errorIdIn = (text: string): string => /error ([0-9a-f]{8})/.exec(text)?.[1] ?? 'no error id'
const allow = async (bytes: string): Promise<void> => {
  const limited = await run('prlimit', ['--pid', String(cluster.server().child.pid), `--fsize=${bytes}:`])
  expect(limited, limited.stderr).toMatchObject({ code: 0 })
}

describe('a store that cannot be written', () => {
  it('W2, S9, E1: because the disk is full: 503, refusals and readiness say so, and nobody who is in is cut off', async () => {
    const unused = await cluster.open(home, 'orders', ['--account', 'writer'])
    await allow(String(LITTLE))
    let told: string[]
    try {
      connected.write("select 'while it was ' || 'full';\n")
      await connected.waitFor(/while it was full/, { timeoutMs: PATIENCE_MS })
      // Another connection of a session that lives needs nothing of the store.
      expect((await psql(used.url, ['-c', "select 'another'"])).stdout).toBe('another\n')
      const refused = await psql(unused.url, ['-c', 'select 1'])
      expect(refused.stderr).toMatch(FULL)
      const login = await logIn()
      expect(login.code).not.toBe(0)
      expect(login.stderr).toMatch(FULL)
      told = [refused.stderr, login.stderr].map(errorIdIn)
      const { status, reasons = [] } = await readiness()
      expect(status).toBe(503)
      expect(reasons.find(({ code }) => code === 'store_not_writable')?.text).toMatch(FULL)
      await until(
        async () => (await readiness()).reasons?.some(({ text }) => /audit log \(its store/.test(text)) ?? false,
        'readiness says that the audit log waits, and why',
        PATIENCE_MS,
      )
    } finally {
      await allow('unlimited')
    }
    await untilReady()
    connected.write("select 'after ' || 'that';\n")
    await connected.waitFor(/after that/, { timeoutMs: PATIENCE_MS })
    expect((await psql(unused.url, ['-c', "select 'let in'"])).stdout).toBe('let in\n')
    const statements = await cluster.audit(['--event', 'statement.query', '--resource', 'orders'])
    expect(JSON.stringify(statements)).toContain("while it was ' || 'full")
    const hasAll = async (): Promise<boolean> => {
      const text = await log()
      return told.every((id) => text.includes(id))
    }
    await until(hasAll, `the log has the errors ${told.join(' and ')}`, PATIENCE_MS)
  })

  it('W2: because another process holds it: bytes flow on, a call that was waited with for long enough gets 503', async () => {
    const holder = new DatabaseSync(join(cluster.directory, 'server', 'postern.sqlite'), { timeout: 10_000 })
    holder.exec('begin immediate')
    try {
      const login = logIn()
      for (let at = 0; at < 5; at++) {
        connected.write(`select 'held ' || ${at};\n`)
        await connected.waitFor(new RegExp(`held ${at}`), { timeoutMs: PATIENCE_MS })
      }
      const { code, stderr } = await login
      expect(code).not.toBe(0)
      expect(stderr).toMatch(/its store is busy with something else; .* error [0-9a-f]{8}/)
    } finally {
      holder.exec('rollback')
      holder.close()
    }
    await untilReady()
    connected.write("select 'free ' || 'again';\n")
    await connected.waitFor(/free again/, { timeoutMs: PATIENCE_MS })
  })
})
