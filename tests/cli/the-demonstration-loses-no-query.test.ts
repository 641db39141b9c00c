// `npm run demo:expiry` as a person runs it: 20 real psql, one login, every row, nothing left. And its verdict: what is not as it
// should be is named, never passed over.
import { spawn } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { formatReport, formatStep, problemsOf, type ExpiryReport } from '../../demo/expiry/report.ts'
import { Kept, run, until } from '../support/run.ts'

const ENTRY = fileURLToPath(new URL('../../build/demo-expiry.mjs', import.meta.url))
/** A machine that does much else at the same time; alone it takes about ten seconds, in ms. */
const PATIENCE_MS = 150_000

let temporary: string
beforeAll(async () => {
  temporary = await mkdtemp(path.join(tmpdir(), 'postern-expiry-test-'))
})
afterAll(() => rm(temporary, { recursive: true, force: true }))

/** Processes that were started with our TMPDIR, and what lies in it (as root PostgreSQL's files lie elsewhere). */
async function leftovers(): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name) && name !== String(process.pid))
  const ours = pids.filter((pid) => {
    try {
      const words = readFileSync(`/proc/${pid}/environ`, 'latin1') + readFileSync(`/proc/${pid}/cmdline`, 'latin1')
      return words.includes(temporary)
    } catch {
      return false
    }
  })
  return [...ours, ...(await readdir(temporary))]
}

/** Waits until nothing is left: the kernel may still be at taking the last process away. */
const nothingIsLeft = (withinMs = 5000): Promise<void> =>
  until(async () => (await leftovers()).length === 0, 'nothing is left', withinMs)

describe('the demonstration of an expiry', () => {
  it(
    'G5, G6, G12, G13: 20 psql wait for one login and print their rows, running statements go on, nothing is left',
    { timeout: PATIENCE_MS + 10_000 },
    async () => {
      const done = await run(process.execPath, [ENTRY, '--json'], {
        env: { TMPDIR: temporary, DISPLAY: undefined, PGHOST: 'nowhere.invalid', PGUSER: 'nobody' },
        timeoutMs: PATIENCE_MS,
      })
      expect(done.code, done.stderr).toBe(0)
      const result = JSON.parse(done.stdout) as ExpiryReport & { ok: boolean; problems: string[] }
      expect(result).toMatchObject({ ok: true, problems: [], loginRequests: 1, heldTogether: 20 })
      expect(result.held).toHaveLength(20)
      expect(new Set(result.held.map(({ gateway }) => gateway)).size).toBe(4)
      expect(result.held.every(({ rows, problem }) => rows > 0 && problem === null)).toBe(true)
      expect(result.busy).toHaveLength(4)
      await nothingIsLeft()
    },
  )

  it('G17: interrupted half-way, it ends everything and says so', { timeout: PATIENCE_MS + 10_000 }, async () => {
    const playing = new Kept(process.execPath, [ENTRY], { env: { TMPDIR: temporary } })
    await playing.waitFor(/psql are at work/, { timeoutMs: PATIENCE_MS })
    playing.child.kill('SIGTERM')
    const done = await playing.ended
    expect(done.code).toBe(1)
    expect(done.stderr).toMatch(/interrupted/)
    await nothingIsLeft()
  })

  it('G17: when npm is killed, it ends with it', { timeout: PATIENCE_MS + 10_000 }, async () => {
    // A parent that starts it and is killed: no signal tells the demonstration.
    const parent = spawn(
      process.execPath,
      ['-e', `require('child_process').spawn(process.execPath, [${JSON.stringify(ENTRY)}], { stdio: 'inherit' })`],
      { env: { ...process.env, TMPDIR: temporary }, stdio: ['ignore', 'pipe', 'ignore'] },
    )
    let printed = ''
    parent.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()))
    await until(() => printed.includes('PostgreSQL run'), 'the demonstration begins', PATIENCE_MS)
    parent.kill('SIGKILL')
    await nothingIsLeft(60_000)
  })

  it('G13: a wrong flag is named before anything starts', async () => {
    const done = await run(process.execPath, [ENTRY, '--clients=3'])
    expect(done.code).toBe(2)
    expect(done.stderr).toContain('--clients')
    expect((await run(process.execPath, [ENTRY, '--help'])).stdout).toContain('--json')
  })
})

const good: ExpiryReport = {
  held: [
    { client: 'psql-01', gateway: 'orders as reader', waitedMs: 1843, rows: 3, problem: null },
    { client: 'psql-02', gateway: 'orders as writer', waitedMs: 920, rows: 12, problem: null },
  ],
  busy: [{ client: 'busy-1', gateway: 'orders as reader', rows: 36, longestPauseMs: 204, problem: null }],
  heldTogether: 2,
  loginRequests: 1,
  freshCertificates: 2,
  gateways: 2,
}

describe('the verdict of the demonstration', () => {
  it('G13: all well is no problem, and the text says who waited how long', () => {
    expect(problemsOf(good)).toEqual([])
    const text = formatReport(good, 9800)
    expect(text).toContain('  psql-01   orders as reader   1,843 ms      3\n')
    expect(text).toContain('  psql-02   orders as writer     920 ms     12\n')
    expect(text).toContain('2 of 2 psql got their rows after 920 ms to 1,843 ms; 0 failed.')
    expect(text).toContain('Nobody lost a query. It took 9.8 s')
    expect(formatStep({ atMs: 2100, text: 'alice signs in', details: ['orders'] })).toBe(
      '   2.1 s  alice signs in\n            orders\n',
    )
  })

  it('G5, G6, G12, G13: each thing that went wrong fails it by name', () => {
    const [first, second] = good.held
    const failed = { ...second!, problem: 'psql ended with 2: FATAL: too many' }
    expect(problemsOf({ ...good, held: [first!, failed] })).toEqual(['psql-02: psql ended with 2: FATAL: too many'])
    expect(problemsOf({ ...good, busy: [{ ...good.busy[0]!, problem: 'rows are missing' }] })).toEqual([
      'busy-1: rows are missing',
    ])
    expect(problemsOf({ ...good, loginRequests: 2 })).toEqual(['the login was asked for 2 times, not once'])
    expect(problemsOf({ ...good, heldTogether: 1 })).toEqual(['only 1 of 2 psql waited at the same time'])
    expect(problemsOf({ ...good, freshCertificates: 1 })).toEqual(['only 1 of 2 gateways got a new certificate'])
    expect(problemsOf({ ...good, held: [], heldTogether: 0 })).toEqual(['no psql was started'])
    expect(formatReport({ ...good, held: [first!, failed] }, 9800)).toMatch(
      /Failed: psql-02: psql ended with 2: FATAL: too many\n {2}The demonstration failed\./,
    )
  })
})
