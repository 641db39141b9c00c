// Starts a real PostgreSQL server for the demo and the tests: makes its cluster on the first start, finds it again on later
// ones, and stops it for sure. Listens on 127.0.0.1 only, has no Unix socket, lets people in by SCRAM-SHA-256 only.
//
// The server does not outlive its parent: a small shell process holds the other end of a pipe of ours and sends SIGINT
// (fast shutdown) as soon as that closes, be it by stop() or because this process died in whatever way. So the caller has
// to do nothing but call stop(); a caller that is killed leaves nothing behind.
import { spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmod, chown, cp, mkdir, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Writable } from 'node:stream'
import type { Logger } from 'pino'
import { PosternError } from '../../shared/errors.ts'
import { findPostgresBinaries, type PostgresBinaries } from './binaries.ts'
import { runInitialSql, type InitialSql } from './initial-sql.ts'
import { clearStaleLock, isReady, until } from './server-state.ts'
import { chooseServerUser, findUntraversable, type ServerUser } from './server-user.ts'

const INITDB_TIMEOUT_MS = 60_000
const START_TIMEOUT_MS = 60_000
/** Fast shutdown writes a checkpoint; what takes longer is stopped without one and recovers at the next start. */
const FAST_STOP_TIMEOUT_MS = 15_000
const IMMEDIATE_STOP_TIMEOUT_MS = 5_000

export type PostgresOptions = {
  /** A folder of its own: holds the cluster, its log, the superuser's password. Made if it is missing. */
  dataDir: string
  port: number
  /** Server settings as in postgresql.conf, for this start. */
  settings?: Readonly<Record<string, string>>
  maxConnections?: number
  /** false gives up crash safety for speed (tests only). */
  durable?: boolean
  /** Runs once in the life of the data directory, as superuser. */
  initialSql?: readonly InitialSql[]
  /** Where the programs are; found by findPostgresBinaries if absent. */
  binaries?: PostgresBinaries
  /** Gives up starting. It does not stop a server that runs: stop() does. */
  signal: AbortSignal
  log: Logger
}

export type RunningPostgres = {
  host: '127.0.0.1'
  port: number
  superuser: 'postgres'
  superuserPassword: string
  binDir: string
  /** PGDATA, for settings that want a file of the server's user (certificates, pg_hba.conf). */
  clusterDir: string
  logFile: string
  pid: number
  /** True when this start made the cluster and ran `initialSql`. */
  isFirstStart: boolean
  /** Resolves when the server has ended, for whatever reason. */
  ended: Promise<void>
  /** Fast shutdown, bounded; idempotent. */
  stop(): Promise<void>
}

/**
 * Starts PostgreSQL on 127.0.0.1:`port` and waits until it takes connections.
 * @throws PosternError `port_conflict`, `conflict` (another server runs on this data), `misconfigured` (the text names the log).
 */
export async function startPostgres(options: PostgresOptions): Promise<RunningPostgres> {
  const { dataDir, signal, log } = options
  const clusterDir = join(dataDir, 'cluster')
  const passwordFile = join(dataDir, 'superuser-password')
  const doneFile = join(dataDir, 'first-start-done')

  const user = await chooseServerUser(clusterDir)
  await prepareDataDir(dataDir, user)
  const binDir = await reachableBinaries(options.binaries ?? (await findPostgresBinaries()), dataDir, user)

  await clearStaleLock(clusterDir, signal)
  // A first start that was torn (no mark) is worth nothing: the next one begins anew.
  const isFirstStart = !(await exists(doneFile))
  if (isFirstStart) {
    await rm(clusterDir, { recursive: true, force: true })
    await writeFile(passwordFile, randomBytes(24).toString('base64url'), { mode: 0o600 })
    await initialiseCluster(binDir, clusterDir, passwordFile, options, user)
  }
  const superuserPassword = await readFile(passwordFile, 'utf8')

  const logFile = join(dataDir, 'postgres.log')
  const server = await spawnServer({ ...options, binDir, clusterDir, logFile, user })
  try {
    await waitUntilReady(server, clusterDir, options.port, signal)
    if (isFirstStart) {
      await runInitialSql(options.initialSql ?? [], { port: options.port, password: superuserPassword, signal })
      await writeFile(doneFile, '')
    }
  } catch (error) {
    await server.stop()
    throw error
  }
  log.info({ port: options.port, pid: server.pid, binDir, isFirstStart }, 'PostgreSQL runs')
  return {
    host: '127.0.0.1',
    port: options.port,
    superuser: 'postgres',
    superuserPassword,
    binDir,
    clusterDir,
    logFile,
    pid: server.pid,
    isFirstStart,
    ended: server.ended,
    stop: server.stop,
  }
}

async function prepareDataDir(dataDir: string, user: ServerUser | undefined): Promise<void> {
  await mkdir(dataDir, { recursive: true, mode: 0o755 })
  // The server's user passes through, but lists nothing: only the cluster below belongs to it.
  await chmod(dataDir, user === undefined ? 0o700 : 0o711)
  const closed = await findUntraversable(dataDir, user)
  if (closed === undefined) return
  throw new PosternError(
    'misconfigured',
    `PostgreSQL does not run as root, and its user cannot pass through ${closed}: choose a data directory outside of it`,
  )
}

/** The folder of programs that the server's user can run; embedded ones are copied out of a private parent, once. */
async function reachableBinaries(
  binaries: PostgresBinaries,
  dataDir: string,
  user: ServerUser | undefined,
): Promise<string> {
  if ((await findUntraversable(binaries.binDir, user)) === undefined) return binaries.binDir
  const copy = join(dataDir, 'programs')
  if (!(await exists(copy))) {
    const half = `${copy}.new`
    await rm(half, { recursive: true, force: true })
    await cp(binaries.installRoot, half, { recursive: true, verbatimSymlinks: true })
    await rename(half, copy)
  }
  return join(copy, 'bin')
}

async function initialiseCluster(
  binDir: string,
  clusterDir: string,
  passwordFile: string,
  options: PostgresOptions,
  user: ServerUser | undefined,
): Promise<void> {
  await mkdir(clusterDir, { mode: 0o700 })
  const readableFile = `${clusterDir}.password`
  await writeFile(readableFile, await readFile(passwordFile), { mode: 0o600 })
  if (user !== undefined) await Promise.all([clusterDir, readableFile].map((path) => chown(path, user.uid, user.gid)))
  try {
    await runInitdb(
      join(binDir, 'initdb'),
      [
        `--pgdata=${clusterDir}`,
        '--username=postgres',
        `--pwfile=${readableFile}`,
        '--auth=scram-sha-256',
        '--encoding=UTF8',
        '--locale=C.UTF-8',
        ...(options.durable === false ? ['--no-sync'] : []),
      ],
      user,
      options.signal,
    )
  } finally {
    await rm(readableFile, { force: true })
  }
}

async function runInitdb(program: string, args: string[], user: ServerUser | undefined, signal: AbortSignal) {
  const child = spawn(program, args, {
    cwd: '/',
    env: serverEnvironment,
    stdio: ['ignore', 'ignore', 'pipe'],
    signal: AbortSignal.any([signal, AbortSignal.timeout(INITDB_TIMEOUT_MS)]),
    ...user,
  })
  let complaint = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (complaint = (complaint + text).slice(-2000)))
  await new Promise<void>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => {
      if (code === 0) resolve()
      else reject(new PosternError('misconfigured', `initdb failed (exit ${code ?? 'by signal'}): ${complaint.trim()}`))
    })
  })
}

/** The server's environment has nothing of ours: its time zone, language and settings come from its own files. */
const serverEnvironment = { PATH: '/usr/bin:/bin', LC_ALL: 'C.UTF-8' }

/**
 * Becomes the server, and leaves a watcher behind that reads our pipe: its end means that we died, so the server stops
 * (SIGINT: fast shutdown); a line means that the server is over already and its process id may be anybody's.
 */
const WATCHED_SERVER = '(read -r line <&3 || kill -INT $$) & exec "$@" 3<&-'

type ServerProcess = { pid: number; exited: () => boolean; logTail: () => Promise<string> } & Pick<
  RunningPostgres,
  'ended' | 'stop'
>

async function spawnServer(
  options: PostgresOptions & { binDir: string; clusterDir: string; logFile: string; user: ServerUser | undefined },
): Promise<ServerProcess> {
  const settings: Record<string, string> = {
    listen_addresses: '127.0.0.1',
    port: String(options.port),
    unix_socket_directories: '',
    max_connections: String(options.maxConnections ?? 200),
    ...(options.durable === false ? { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' } : {}),
    ...options.settings,
  }
  // Opened by us, so that failing statements (which may hold passwords) are readable by nobody else.
  const logHandle = await open(options.logFile, 'a', 0o600)
  const logStart = (await logHandle.stat()).size
  const child = spawn(
    '/bin/sh',
    [
      '-c',
      WATCHED_SERVER,
      'postgres',
      join(options.binDir, 'postgres'),
      '-D',
      options.clusterDir,
      ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ],
    // A session of its own: Ctrl-C in the terminal reaches us, and we stop the server in our own order.
    {
      cwd: '/',
      env: serverEnvironment,
      detached: true,
      stdio: ['ignore', logHandle.fd, logHandle.fd, 'pipe'],
      ...options.user,
    },
  )
  const watcher = child.stdio[3] as Writable | undefined
  watcher?.on('error', () => undefined)
  const ended = new Promise<void>((resolve) => {
    child.once('error', () => resolve())
    child.once('exit', () => {
      watcher?.end('over\n')
      resolve()
    })
  })
  await logHandle.close()
  return {
    pid: child.pid ?? -1,
    exited: () => child.pid === undefined || child.exitCode !== null || child.signalCode !== null,
    logTail: async () => (await readFile(options.logFile)).subarray(logStart).toString('utf8').slice(-2000).trim(),
    ended,
    stop: () => stopServer(child, ended),
  }
}

async function stopServer(child: ChildProcess, ended: Promise<void>): Promise<void> {
  const steps = [
    ['SIGINT', FAST_STOP_TIMEOUT_MS],
    ['SIGQUIT', IMMEDIATE_STOP_TIMEOUT_MS],
    ['SIGKILL', IMMEDIATE_STOP_TIMEOUT_MS],
  ] as const
  for (const [signalName, timeoutMs] of steps) {
    child.kill(signalName)
    let timer: NodeJS.Timeout | undefined
    const tooLong = new Promise<'too long'>((resolve) => (timer = setTimeout(() => resolve('too long'), timeoutMs)))
    const outcome = await Promise.race([ended, tooLong])
    clearTimeout(timer)
    if (outcome !== 'too long') return
  }
}

async function waitUntilReady(
  server: ServerProcess,
  clusterDir: string,
  port: number,
  signal: AbortSignal,
): Promise<void> {
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(START_TIMEOUT_MS)])
  await until(async () => server.exited() || (await isReady(clusterDir, server.pid)), deadline)
  if (!server.exited()) return
  const tail = await server.logTail()
  if (tail.includes('could not bind'))
    throw new PosternError('port_conflict', `port ${port} of 127.0.0.1 is taken: PostgreSQL cannot listen there`)
  throw new PosternError('misconfigured', `PostgreSQL ended while it started; its log says: ${tail}`)
}

const exists = async (path: string): Promise<boolean> => (await stat(path).catch(() => undefined)) !== undefined
