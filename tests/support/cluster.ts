// A whole cluster for tests of the product: real PostgreSQL, the access server as a process of its own, homes with their
// core, `bin/postern` and psql as a person runs them. Everything lies in one fresh directory and is ended by `close`.
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pino from 'pino'
import { startPostgres, type RunningPostgres } from '../../demo/postgres/start-postgres.ts'
import { freePort } from './free-port.ts'
import { inTerminal, Kept, run, type Finished, type RunOptions, until } from './run.ts'

const POSTERN = new URL('../../bin/postern', import.meta.url).pathname
export const SERVER = new URL('../../server/main.ts', import.meta.url).pathname

export const ALICE = { name: 'alice', password: 'correct horse alice' }
/** Bob's login needs a TOTP code of this seed. */
export const BOB = { name: 'bob', password: 'correct horse bob', totpSecret: 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP' }
export const ADMIN = { name: 'root', password: 'correct horse root' }

export type ClusterOptions = {
  /** Its name, and that of profiles for it. */
  name?: string
  /** Of PostgreSQL. */
  maxConnections?: number
  userTtl?: string
  routeTtl?: string
  /** Further lines of the server's YAML settings. */
  settings?: string
  /** The program that is started as the access server, with the arguments of `server/main.ts start`; that one by default. */
  serverProgram?: string
  /** An empty directory for what the server writes, its log included; by default one in the cluster's own. */
  serverDir?: string
}

export type TestCluster = {
  /** That of profiles for it, too. */
  name: string
  directory: string
  address: string
  port: number
  fingerprint: string
  caFile: string
  postgres: RunningPostgres
  /** The access server's process now. */
  server: () => Kept
  startServer: (flags?: { userTtl?: string; routeTtl?: string }) => Promise<void>
  /** A fresh POSTERN_HOME, whose core waits long for a login: what a test does meanwhile may take a busy machine minutes. */
  newHome: () => Promise<string>
  /** Runs `bin/postern` to its end. */
  postern: (home: string, args: readonly string[], options?: RunOptions) => Promise<Finished>
  /** Keeps `bin/postern` behind a pseudo-terminal. */
  terminal: (home: string, args: readonly string[], options?: RunOptions) => Kept
  /** Keeps `bin/postern` without one. */
  keep: (home: string, args: readonly string[], options?: RunOptions) => Kept
  /** Signs a person in; fails unless it worked. */
  login: (
    home: string,
    person?: { name: string; password: string; totpSecret?: string },
    options?: RunOptions,
  ) => Promise<void>
  /** Opens a gateway that stays; its ready line and its process. */
  open: (home: string, resource: string, args?: readonly string[], options?: RunOptions) => Promise<OpenGateway>
  /** Applies admin documents as the administrator. */
  apply: (yaml: string) => Promise<void>
  /** The audit log as the administrator sees it. */
  audit: (args?: readonly string[]) => Promise<Record<string, unknown>[]>
  close: () => Promise<void>
}

export type OpenGateway = {
  process: Kept
  id: string
  host: string
  port: number
  url: string
  env: Record<string, string>
}

/** Settings of a core whose login requests, and pauses after them, outlast what tests do meanwhile. */
export const PATIENT_SETTINGS = { loginWait: '4m', loginHardLimit: '8m', coolDown: '1m' }

const DATABASE_SQL = `
  create role reader login password 'target-reader-secret';
  create role writer login password 'target-writer-secret';
  create table orders (id int primary key, customer text not null, total numeric(10, 2) not null);
  insert into orders select n, 'customer ' || n, n * 1.5 from generate_series(1, 100) n;
  grant select on orders to reader;
  grant all on orders to writer;
`

const documents = (postgresPort: number): string => `
kind: resource
name: orders
protocol: postgres
description: Orders of the shop
address: 127.0.0.1:${postgresPort}
labels: { env: test }
tls: { mode: disable }
defaultDatabase: postgres
accounts:
  - { name: reader, password: target-reader-secret }
  - { name: writer, password: target-writer-secret }
---
kind: resource
name: hidden
protocol: postgres
address: 127.0.0.1:${postgresPort}
tls: { mode: disable }
accounts: [{ name: reader, password: target-reader-secret }]
---
kind: role
name: developer
allow:
  - { resources: [orders], accounts: [reader, writer], databases: [postgres, template1] }
---
kind: user
name: ${ALICE.name}
password: ${ALICE.password}
---
kind: user
name: ${BOB.name}
password: ${BOB.password}
totpSecret: ${BOB.totpSecret}
---
{ kind: grant, user: alice, role: developer }
---
{ kind: grant, user: bob, role: developer }
`

/** Starts all of it; takes about three seconds. What was started until something failed is ended again. */
export async function startCluster(options: ClusterOptions = {}): Promise<TestCluster> {
  const { name = 'test' } = options
  const directory = await mkdtemp(join(tmpdir(), 'postern-cluster-'))
  await using started = new AsyncDisposableStack()
  started.defer(() => rm(directory, { recursive: true, force: true, maxRetries: 10 }))
  // PostgreSQL's own user must be able to enter.
  await chmod(directory, 0o755)
  const log = pino({ level: 'silent' })
  const postgres = await startPostgres({
    dataDir: join(directory, 'postgres'),
    port: await freePort(),
    durable: false,
    maxConnections: options.maxConnections ?? 200,
    initialSql: [{ database: 'postgres', sql: DATABASE_SQL }],
    signal: AbortSignal.timeout(60_000),
    log,
  })
  started.defer(() => postgres.stop())
  const port = await freePort()
  const address = `127.0.0.1:${port}`
  const configFile = join(directory, 'server.yaml')
  const dataDir = options.serverDir ?? join(directory, 'server')
  const logFile = join(options.serverDir ?? directory, 'server.log')
  await writeFile(
    configFile,
    `cluster: ${name}\nlisten: ${address}\ndataDir: ${dataDir}\nlog: { level: info, file: ${logFile} }\n${options.settings ?? ''}\n`,
  )
  const init = await run(process.execPath, [SERVER, 'init', '--config', configFile, '--json'])
  if (init.code !== 0) throw new Error(`server init failed: ${init.stderr}`)
  const { fingerprint, caFile, setupCode } = JSON.parse(init.stdout) as {
    fingerprint: string
    caFile: string
    setupCode: string
  }

  let server: Kept | undefined
  let homes = 0
  const kept = new Set<Kept>()
  const knownHomes: string[] = []

  const cluster: TestCluster = {
    name,
    directory,
    address,
    port,
    fingerprint,
    caFile,
    postgres,
    server: () => {
      if (!server) throw new Error('the access server is not running')
      return server
    },
    async startServer(flags = {}) {
      const userTtl = flags.userTtl ?? options.userTtl
      const routeTtl = flags.routeTtl ?? options.routeTtl
      server = new Kept(process.execPath, [
        ...[options.serverProgram ?? SERVER, 'start', '--config', configFile, '--json'],
        ...(userTtl === undefined ? [] : ['--user-ttl', userTtl]),
        ...(routeTtl === undefined ? [] : ['--route-ttl', routeTtl]),
      ])
      await server.waitFor(/^\{.*\}\n/m)
    },
    async newHome() {
      const home = join(directory, `home-${++homes}`)
      await mkdir(home, { mode: 0o700 })
      await writeFile(join(home, 'settings.json'), JSON.stringify(PATIENT_SETTINGS), { mode: 0o600 })
      knownHomes.push(home)
      return home
    },
    postern: (home, args, runOptions = {}) =>
      run(process.execPath, [POSTERN, ...args], { ...runOptions, env: { POSTERN_HOME: home, ...runOptions.env } }),
    terminal(home, args, runOptions = {}) {
      const child = inTerminal(process.execPath, [POSTERN, ...args], {
        ...runOptions,
        env: { POSTERN_HOME: home, ...runOptions.env },
      })
      kept.add(child)
      return child
    },
    keep(home, args, runOptions = {}) {
      const child = new Kept(process.execPath, [POSTERN, ...args], {
        ...runOptions,
        env: { POSTERN_HOME: home, ...runOptions.env },
      })
      kept.add(child)
      return child
    },
    async login(home, person = ALICE, runOptions = {}) {
      const totp = person.totpSecret === undefined ? [] : ['--totp', await totpCode(person.totpSecret)]
      const done = await cluster.postern(
        home,
        ['login', address, '--user', person.name, '--ca', caFile, '--password-stdin', ...totp],
        {
          ...runOptions,
          input: `${person.password}\n`,
        },
      )
      if (done.code !== 0) throw new Error(`login of ${person.name} failed (${String(done.code)}): ${done.stderr}`)
    },
    async open(home, resource, args = [], runOptions = {}) {
      const child = cluster.keep(home, ['gateway', 'open', resource, '--json', ...args], runOptions)
      const [line = ''] = await child.waitFor(/^\{"id".*\}$/m)
      return { process: child, ...(JSON.parse(line) as Omit<OpenGateway, 'process'>) }
    },
    async apply(yaml) {
      const file = join(directory, `apply-${Math.random().toString(36).slice(2)}.yaml`)
      await writeFile(file, yaml, { mode: 0o600 })
      await cluster.login(adminHome, ADMIN)
      const done = await cluster.postern(adminHome, ['admin', 'apply', file])
      if (done.code !== 0) throw new Error(`admin apply failed: ${done.stderr}`)
    },
    async audit(args = []) {
      await cluster.login(adminHome, ADMIN)
      const done = await cluster.postern(adminHome, ['audit', '--json', ...args])
      if (done.code !== 0) throw new Error(`audit failed: ${done.stderr}`)
      return done.stdout
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as Record<string, unknown>)
    },
    close: () => running.disposeAsync(),
  }
  started.defer(async () => {
    await Promise.all([...kept].map((child) => child.stop()))
    await Promise.all(knownHomes.map((home) => cluster.postern(home, ['core', 'stop']).catch(() => undefined)))
    await server?.stop()
  })

  await cluster.startServer()
  const adminHome = await cluster.newHome()
  const setup = await cluster.postern(
    adminHome,
    ['login', address, '--user', ADMIN.name, '--ca', caFile, '--setup-code', setupCode, '--password-stdin'],
    { input: `${ADMIN.password}\n` },
  )
  if (setup.code !== 0) throw new Error(`the first administrator could not be made: ${setup.stderr}`)
  await cluster.apply(documents(postgres.port))
  const running = started.move()
  return cluster
}

/** psql with nothing of its own environment or files. */
export const psql = (url: string, args: readonly string[], options: RunOptions = {}): Promise<Finished> =>
  run('psql', ['-X', '-A', '-t', url, ...args], {
    ...options,
    env: { PGPASSWORD: undefined, PGUSER: undefined, ...options.env },
  })

/** psql that is kept. */
export const keepPsql = (url: string, args: readonly string[] = []): Kept =>
  new Kept('psql', ['-X', '-A', '-t', url, ...args])

/** The TOTP code of a seed now; `steps` away from now for codes of the past. */
export async function totpCode(secret: string, steps = 0): Promise<string> {
  const { TOTP } = await import('otpauth')
  return new TOTP({ secret }).generate({ timestamp: Date.now() + steps * 30_000 })
}

/**
 * Signs alice in anew, for a few seconds only. A gateway that is to be there by then is opened before it: a busy machine may need
 * longer than those seconds to open one.
 */
export async function logInBriefly(cluster: TestCluster, home: string): Promise<void> {
  const done = await cluster.postern(home, ['login', '--user', ALICE.name, '--ttl', '5s', '--password-stdin'], {
    input: `${ALICE.password}\n`,
  })
  if (done.code !== 0) throw new Error(`the short login failed: ${done.stderr}`)
}

/** Waits until the home's login has expired. */
export const untilExpired = (cluster: TestCluster, home: string): Promise<void> =>
  until(
    async () => {
      const status = await cluster.postern(home, ['status', '--json'])
      return (JSON.parse(status.stdout) as { profiles: { state: string }[] }).profiles[0]?.state === 'expired'
    },
    'the login expires',
    20_000,
  )
