// The main job in a fresh clone of HEAD with an empty HOME: `npm start -- --json`, a login, a gateway, one real psql query,
// SIGTERM, and nothing left running or lying about. Run by .ci/run; dependency-free, runs on Node 20; never runs npm test.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { root } from './find-node.mjs'

/** Installing over a slow line is most of it. */
const READY_TIMEOUT_MS = 10 * 60_000
const STEP_TIMEOUT_MS = 60_000
const STOP_TIMEOUT_MS = 30_000
const POLL_MS = 100

/** Everything lives below this directory, and every process that we cause carries its path in its environment. */
const base = mkdtempSync(path.join(tmpdir(), 'postern-fresh-clone-'))
const clone = path.join(base, 'clone')
const home = path.join(base, 'home')
const temporary = path.join(base, 'tmp')
const children = new Set()

function run(command, args, options = {}) {
  const done = spawnSync(command, args, { encoding: 'utf8', timeout: STEP_TIMEOUT_MS, ...options })
  if (done.status === 0) return done.stdout
  throw new Error(`${command} ${args.join(' ')} ended with ${done.status ?? done.signal}: ${done.stderr || done.error}`)
}

/** Starts a child that stays; resolves with its first stdout line that is a JSON object. */
function startUntilJson(command, args, options, timeoutMs) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'], ...options })
  children.add(child)
  child.once('exit', () => children.delete(child))
  const line = new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${args.join(' ')} was not ready in time`)), timeoutMs)
    child.once('error', reject)
    child.once('exit', (code) =>
      reject(new Error(`${command} ${args.join(' ')} ended with ${code} before it was ready`)),
    )
    createInterface({ input: child.stdout }).on('line', (text) => {
      if (!text.startsWith('{')) return
      clearTimeout(timer)
      resolve(JSON.parse(text))
    })
  })
  return { child, line }
}

/** Processes that carry our directory in environment, command line or working directory. Linux. */
function findOurProcesses() {
  const read = (file) => {
    try {
      return readFileSync(file, 'latin1')
    } catch {
      return ''
    }
  }
  const cwd = (pid) => {
    try {
      return readlinkSync(`/proc/${pid}/cwd`)
    } catch {
      return ''
    }
  }
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) =>
      [read(`/proc/${pid}/environ`), read(`/proc/${pid}/cmdline`), cwd(pid)].some((text) => text.includes(base)),
    )
    .map((pid) => `${pid} ${read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim()}`)
}

async function waitUntil(condition, timeoutMs, what) {
  const deadline = Date.now() + timeoutMs
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`not in time: ${what}`)
    await delay(POLL_MS)
  }
}

/** Where the demo's PostgreSQL keeps its data: outside of `base` when this runs as root. */
function findPostgresDirs() {
  const states = path.join(home, '.local', 'state', 'postern')
  if (!existsSync(states)) return []
  return readdirSync(states)
    .map((name) => path.join(states, name, 'demo.json'))
    .filter((file) => existsSync(file))
    .map((file) => JSON.parse(readFileSync(file, 'utf8')).postgresDir)
}

function say(text) {
  process.stdout.write(`fresh clone: ${text}\n`)
}

async function check() {
  run('git', ['clone', '--quiet', '--no-hardlinks', root, clone])
  for (const directory of [home, temporary]) run('mkdir', ['-m', '700', directory])
  // npm's own cache stays warm; everything of ours sees an empty HOME and a TMPDIR of its own.
  const npmCache = run('npm', ['config', 'get', 'cache']).trim()
  const env = { PATH: process.env.PATH, HOME: home, TMPDIR: temporary, npm_config_cache: npmCache, LANG: 'C.UTF-8' }
  for (const name of ['npm_config_registry', 'NPM_CONFIG_REGISTRY', 'NPM_CONFIG_USERCONFIG', 'NODE_EXTRA_CA_CERTS'])
    if (process.env[name] !== undefined) env[name] = process.env[name]
  const userConfig = run('npm', ['config', 'get', 'userconfig']).trim()
  if (existsSync(userConfig)) env.NPM_CONFIG_USERCONFIG = userConfig

  const startedAt = Date.now()
  const demo = startUntilJson('npm', ['start', '--', '--json'], { cwd: clone, env }, READY_TIMEOUT_MS)
  const ready = await demo.line
  say(`ready after ${Math.round((Date.now() - startedAt) / 1000)} s`)

  const postern = path.join(clone, 'bin', 'postern')
  const personEnv = { ...env, POSTERN_HOME: ready.home }
  const alice = ready.users.find(({ name }) => name === 'alice')
  run(postern, ['login', ready.cluster.address, '--user', 'alice', '--password-stdin'], {
    env: personEnv,
    input: `${alice.password}\n`,
  })
  const gateway = startUntilJson(postern, ['gateway', 'open', 'orders', '--json'], { env: personEnv }, STEP_TIMEOUT_MS)
  const { url } = await gateway.line
  const rows = run('psql', [url, '-X', '-A', '-t', '-c', 'select count(*) > 100, current_user from orders'], { env })
  if (rows.trim() !== 't|reader') throw new Error(`psql printed ${JSON.stringify(rows)} instead of its row`)
  say('psql got its row through the gateway')

  // npm itself does not pass the signal on: the demo must notice by itself that its parent is gone.
  demo.child.kill('SIGTERM')
  await waitUntil(() => findOurProcesses().length === 0, STOP_TIMEOUT_MS, 'everything that was started ends').catch(
    (error) => {
      throw new Error(`${error.message}; still running:\n${findOurProcesses().join('\n')}`)
    },
  )
  const left = readdirSync(temporary)
  if (left.length > 0) throw new Error(`left in the temporary directory: ${left.join(', ')}`)
  say('nothing is left running, nothing is left in the temporary directory')
}

function cleanUp() {
  for (const child of children) child.kill('SIGTERM')
  for (const directory of findPostgresDirs())
    if (existsSync(directory) && statSync(directory).isDirectory()) rmSync(directory, { recursive: true, force: true })
  rmSync(base, { recursive: true, force: true })
}

check()
  .then(() => {
    say('passed')
    return 0
  })
  .catch((error) => {
    process.stderr.write(`fresh clone: FAILED: ${error.message}\n`)
    return 1
  })
  .then((code) => {
    cleanUp()
    process.exit(code)
  })
