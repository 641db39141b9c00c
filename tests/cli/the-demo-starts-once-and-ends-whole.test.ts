import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, it } from 'vitest'
import { defaultDataDir } from '../../demo/places.ts'
import { Ready } from '../../demo/ready.ts'

const entry = fileURLToPath(new URL('../../demo/main.ts', import.meta.url))
const base = mkdtempSync(path.join(tmpdir(), 'postern-demo-test-'))
const dataDir = path.join(base, 'data')
const started: ChildProcess[] = []

const stateOf = () =>
  JSON.parse(readFileSync(path.join(dataDir, 'demo.json'), 'utf8')) as { postgresDir: string; isSetUp: boolean }

afterAll(() => {
  for (const child of started) child.kill('SIGKILL')
  rmSync(stateOf().postgresDir, { recursive: true, force: true })
  rmSync(base, { recursive: true, force: true })
})

function startDemo(...flags: string[]) {
  const child = spawn(process.execPath, [entry, '--json', '--no-app', '--data', dataDir, ...flags], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  started.push(child)
  let complaint = ''
  child.stderr.on('data', (chunk: Buffer) => (complaint += chunk.toString()))
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve))
  const lines: string[] = []
  const ready = new Promise<Ready>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      lines.push(line)
      if (line.startsWith('{')) resolve(Ready.parse(JSON.parse(line)))
    })
    void exited.then(() => reject(new Error(`the demo ended: ${complaint}`)))
  })
  return { child, ready, exited, lines, complaint: () => complaint }
}

/** Processes whose command line or environment names the demo's directories. */
function findProcesses(): string[] {
  const names = [dataDir, stateOf().postgresDir]
  return readdirSync('/proc')
    .filter((entryName) => /^\d+$/.test(entryName) && entryName !== String(process.pid))
    .filter((pid) => {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8')
        return names.some((name) => words.includes(name))
      } catch {
        return false
      }
    })
}

it(
  'G17: npm start makes a demo, a second start says the same, SIGTERM ends all of it and the next start finds it again',
  { timeout: 240_000 },
  async () => {
    const first = startDemo()
    const ready = await first.ready
    expect(ready).toMatchObject({ appUrl: null, home: path.join(dataDir, 'home'), cluster: { name: 'demo' } })
    expect(ready.users.map(({ name, totpSecret }) => [name, totpSecret !== undefined])).toEqual([
      ['alice', false],
      ['bob', true],
      ['carol', false],
    ])
    expect(ready.resources.map(({ name }) => name)).toEqual(['orders', 'analytics', 'playground', 'greeter'])
    expect(statSync(path.join(dataDir, 'demo.json')).mode & 0o777).toBe(0o600)
    expect(statSync(ready.home).mode & 0o777).toBe(0o700)

    const second = startDemo()
    expect(await second.ready).toEqual(ready)
    expect(await second.exited).toBe(0)
    expect(second.complaint()).toContain('runs already')

    first.child.kill('SIGTERM')
    expect(await first.exited).toBe(0)
    expect(first.lines.filter((line) => line.startsWith('{'))).toHaveLength(1)
    // What it started was waited for; the kernel may still be at taking the last one away.
    await expect.poll(findProcesses, { timeout: 15_000, interval: 20 }).toEqual([])

    const third = startDemo('--user-ttl', '60s', '--route-ttl', '20s')
    expect(await third.ready).toEqual(ready)
    // Killed, it takes its children along.
    third.child.kill('SIGKILL')
    await third.exited
    await expect.poll(findProcesses, { timeout: 30_000, interval: 200 }).toEqual([])
  },
)

it('E3: a wrong flag of npm start is named', async () => {
  const demo = startDemo('--user-ttl', 'soon')
  demo.ready.catch(() => undefined)
  expect(await demo.exited).toBe(2)
  expect(demo.complaint()).toContain('--user-ttl "soon" is not a duration')
})

it('G17: two clones have two data directories', () => {
  const env = { XDG_STATE_HOME: '/state' }
  expect(defaultDataDir('/a', env, '/home/x')).not.toBe(defaultDataDir('/b', env, '/home/x'))
  expect(defaultDataDir('/a', {}, '/home/x')).toMatch(/^\/home\/x\/\.local\/state\/postern\/demo-/)
})
