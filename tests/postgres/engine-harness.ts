// The engine alone on a loopback port: every accepted socket is a connection of one session and one route (or a cancel
// request). The rest of the access server is played by a few lines: a list for the audit log, a switch for the session.
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { createServer, connect, type Socket } from 'node:net'
import pg from 'pg'
import { pino } from 'pino'
import { ResourceSpec } from '../../shared/admin-api.ts'
import type { SessionEndReason } from '../../shared/session-api.ts'
import { linkOf } from '../../link/link.ts'
import { readBytes } from '../../link/read-bytes.ts'
import { classifyFirstBytes } from '../../shared/wire/postgres/startup.ts'
import { createPostgresEngine } from '../../server/engines/postgres/engine.ts'
import { SessionEnded, type AuditEntry, type Route, type Session } from '../../server/seams.ts'
import { PATIENCE } from '../support/patience.ts'

export type HarnessOptions = {
  address: string
  tls?: { mode: 'disable' | 'require' | 'verify-ca' | 'verify-full'; ca?: string; serverName?: string }
  account?: string
  password?: string | undefined
  databases?: string[]
  defaultDatabase?: string
  dialTimeoutMs?: number
  writeStallMs?: number
  fetchPassword?: () => Promise<string | undefined>
  /** The audit log's own back-pressure. */
  room?: () => Promise<void> | undefined
}

export type Harness = Awaited<ReturnType<typeof startHarness>>

export async function startHarness(options: HarnessOptions) {
  const account = options.account ?? 'app'
  const events: AuditEntry[] = []
  const reported: { code: string; cause: unknown; errorId: string }[] = []
  const watchers = new Set<() => void>()
  const end = new AbortController()
  const state = { isActive: false, activations: 0 }
  const route: Route = {
    routeId: 'route-1',
    loginId: 'login-1',
    user: 'alice',
    resource: 'orders',
    protocol: 'postgres',
    account,
  }
  const resource = ResourceSpec.parse({
    kind: 'resource',
    name: 'orders',
    protocol: 'postgres',
    address: options.address,
    tls: options.tls ?? { mode: 'disable' },
    defaultDatabase: options.defaultDatabase ?? 'shop',
    accounts: [{ name: account }],
  })
  const session: Session = {
    id: 'session-1',
    route,
    signal: end.signal,
    markActive: () => {
      state.isActive = true
      state.activations++
      return Promise.resolve()
    },
  }
  const engine = createPostgresEngine({
    credentials: { fetchPassword: options.fetchPassword ?? (() => Promise.resolve(options.password)) },
    audit: {
      record: (entry) => {
        events.push(entry)
        for (const wake of watchers) wake()
      },
      flush: () => Promise.resolve(),
      room: options.room ?? (() => undefined),
    },
    reportError: (code, cause) => {
      const errorId = `E${reported.length + 1}`
      reported.push({ code, cause, errorId })
      return errorId
    },
    dialTimeoutMs: options.dialTimeoutMs ?? 30_000,
    ...(options.writeStallMs === undefined ? {} : { writeStallMs: options.writeStallMs }),
    now: () => new Date(),
    random: randomBytes,
  })
  const serving = new Set<Promise<void>>()
  const sockets = new Set<Socket>()
  /** Changed by tests: as whom the next cancel request comes. */
  const cancelRoute = { current: route }
  let connections = 0

  const accept = async (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    const link = linkOf(socket)
    const log = pino({ level: 'silent' })
    try {
      const first = await readBytes(socket, 8, AbortSignal.timeout(30_000))
      socket.unshift(first)
      if (classifyFirstBytes(first).kind === 'cancel') {
        await engine.cancel!(link, cancelRoute.current, () => state.isActive, log)
        return
      }
    } catch {
      // Half a startup packet: the engine has to cope with it.
    }
    await engine.serve({
      link,
      connectionId: `connection-${++connections}`,
      session,
      access: { route, resource, databases: options.databases ?? ['shop', 'postgres'] },
      address: '127.0.0.1:1',
      progress: { forward: 0, backward: 0 },
      activity: { statements: 0, lastStatementAtMs: null },
      signal: end.signal,
      admit: () => Promise.resolve(),
      log,
    })
  }
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    const served = accept(socket)
    serving.add(served)
    void served.finally(() => serving.delete(served))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }

  const waitFor = (condition: () => boolean): Promise<void> =>
    new Promise((resolve, reject) => {
      const look = () => {
        if (!condition()) return
        watchers.delete(look)
        clearTimeout(deadline)
        resolve()
      }
      const deadline = setTimeout(() => {
        watchers.delete(look)
        reject(new Error(`it did not come: ${JSON.stringify(events.slice(-5))}`))
      }, PATIENCE * 15_000)
      watchers.add(look)
      look()
    })

  return {
    port,
    account,
    route,
    events,
    reported,
    state,
    cancelRoute,
    /** Connections under way. */
    serving,
    url: (database = 'shop', more = '') =>
      `postgresql://${account}@127.0.0.1:${port}/${database}?connect_timeout=15${more}`,
    /** Resolves when an event of this kind (and detail) is there. */
    event: async (name: AuditEntry['event'], matches: (detail: Record<string, unknown>) => boolean = () => true) => {
      const find = () => events.find((entry) => entry.event === name && matches(entry.detail ?? {}))
      await waitFor(() => find() !== undefined)
      return find()!
    },
    statements: () => events.filter(({ event }) => event.startsWith('statement.')),
    endSession: (reason: SessionEndReason) => end.abort(new SessionEnded(reason)),
    stopServer: () => end.abort(new Error('stopping')),
    client: (database = 'shop') => new pg.Client({ host: '127.0.0.1', port, user: account, database }),
    raw: () => connect({ port, host: '127.0.0.1', allowHalfOpen: true }),
    settled: async () => {
      await Promise.all(serving)
    },
    close: async () => {
      server.close()
      for (const socket of sockets) socket.destroy()
      await Promise.all(serving)
    },
  }
}

export type Finished = { code: number | null; stdout: string; stderr: string }

/** Runs a program to its end; `input` goes to its stdin. The child is handed out for signals. */
export function run(
  program: string,
  args: string[],
  input = '',
): { child: ReturnType<typeof spawn>; done: Promise<Finished> } {
  const child = spawn(program, args, {
    env: { PATH: process.env['PATH'], PGCONNECT_TIMEOUT: '15', LC_ALL: 'C' },
    timeout: 50_000,
  })
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  child.stdin.on('error', () => undefined).end(input)
  const done = new Promise<Finished>((resolve, reject) => {
    child.on('error', reject).on('close', (code) => resolve({ code, stdout, stderr }))
  })
  return { child, done }
}

/** psql without the person's own settings. */
export const psql = (url: string, args: string[], input?: string) => run('psql', ['-X', '-At', url, ...args], input)

/** Everything that comes from a socket until it ends. */
export async function readAll(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

/** What every target of these tests has: a database `shop` that `app` may use. */
export const SHOP_SQL = [
  { database: 'postgres', sql: "create role app login password 'app-password'" },
  { database: 'postgres', sql: 'create database shop owner app' },
]
export const APP_PASSWORD = 'app-password'
