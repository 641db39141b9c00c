// How long it takes until nobody is connected any more whose role was taken away (S8: one second), for 2,000 sessions at once: a real
// store on disk, the real judgement and records, the audit log on its thread; no sockets. Run by hand: `node
// tests/bench/revoke-many-sessions.ts [--sessions 2000] [--people 40] [--json]`; exits 1 if it took longer than the second.
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import pino from 'pino'
import { createAccessCheck } from '../../server/access/access-check.ts'
import { createAuditLog } from '../../server/audit/audit-log.ts'
import { createSqliteRowWriter } from '../../server/audit/sqlite-row-writer.ts'
import { createSessions } from '../../server/sessions/sessions.ts'
import { openStore } from '../../server/store/store.ts'
import { percentile } from '../support/interface-probe.ts'

const LIMIT_MS = 1000
const { values } = parseArgs({
  options: {
    sessions: { type: 'string', default: '2000' },
    people: { type: 'string', default: '40' },
    json: { type: 'boolean', default: false },
  },
})
const count = Number(values.sessions)
const people = Number(values.people)

const directory = await mkdtemp(join(tmpdir(), 'postern-revoke-'))
const file = join(directory, 'postern.sqlite')
const store = await openStore({ kind: 'sqlite', file })
const { db } = store
const log = pino({ level: 'error' })
const now = (): Date => new Date()
const audit = createAuditLog({ db, now, log, writer: createSqliteRowWriter(file) })
const access = createAccessCheck({ db, authority: { issuerOf: () => undefined }, cluster: 'bench', now })
const sessions = createSessions({
  ...{ db, audit, access, now, log },
  monotonicMs: () => performance.now(),
  newId: randomUUID,
})

const person = (at: number): string => `person-${at % people}`
const resource = (at: number): string => `resource-${Math.floor(at / people)}`
const time = now().toISOString()
const later = new Date(Date.now() + 3_600_000).toISOString()

async function fill(): Promise<void> {
  const spec = {
    kind: 'role',
    name: 'everything',
    allow: [{ labels: { all: 'yes' }, accounts: ['*'], databases: ['*'] }],
  }
  await db
    .insertInto('roles')
    .values({ name: 'everything', spec: JSON.stringify(spec) })
    .execute()
  for (let at = 0; at < people; at++) {
    const row = { email: null, level: 'none' as const, disabled: 0, password_hash: null, totp_sealed: null }
    await db
      .insertInto('users')
      .values({ ...row, name: person(at), totp_pending_sealed: null, totp_last_step: 0, created_at: time })
      .execute()
    await db
      .insertInto('logins')
      .values({ id: `login-${at}`, user_name: person(at), address: '127.0.0.1:1', created_at: time, expires_at: later })
      .execute()
    await db
      .insertInto('grants')
      .values({ user_name: person(at), role: 'everything', until: null, created_at: time })
      .execute()
  }
  for (let at = 0; at < count / people; at++) {
    const name = `resource-${at}`
    const text = {
      kind: 'resource',
      name,
      protocol: 'tcp',
      address: '127.0.0.1:9',
      description: '',
      labels: { all: 'yes' },
    }
    await db
      .insertInto('resources')
      .values({ name, protocol: 'tcp', spec: JSON.stringify(text) })
      .execute()
    await db
      .insertInto('resource_accounts')
      .values({ resource: name, position: 0, name: 'tcp', password_sealed: null })
      .execute()
  }
}

/** Opens all of them; resolves with what tells when each one's clients were let go. */
async function openAll(): Promise<Promise<number>[]> {
  const ended: Promise<number>[] = []
  for (let at = 0; at < count; at++) {
    const routeId = `route-${at}`
    await db
      .insertInto('routes')
      .values({
        ...{ id: routeId, login_id: `login-${at % people}`, resource: resource(at), protocol: 'tcp', account: 'tcp' },
        created_at: time,
      })
      .execute()
    const { session } = await sessions.open(await access.authoriseRoute(routeId), '127.0.0.1:1')
    await session.markActive()
    const { promise, resolve } = Promise.withResolvers<number>()
    session.signal.addEventListener('abort', () => resolve(performance.now()))
    ended.push(promise)
  }
  return ended
}

try {
  await fill()
  const ended = await openAll()
  await db.deleteFrom('grants').execute()
  const from = performance.now()
  const cpu = process.cpuUsage()
  const turns: number[] = []
  let lastTurn = from
  const watch = setInterval(() => {
    turns.push(performance.now() - lastTurn)
    lastTurn = performance.now()
  }, 5)
  await sessions.endDisallowed('root')
  const answeredMs = performance.now() - from
  const toldMs = (await Promise.all(ended)).map((at) => at - from)
  clearInterval(watch)
  await audit.flush()
  const { n } = await db
    .selectFrom('sessions')
    .select(({ fn }) => fn.countAll<number>().as('n'))
    .where('end_reason', '=', 'revoked')
    .executeTakeFirstOrThrow()
  const { user, system } = process.cpuUsage(cpu)
  const result = {
    sessions: count,
    'clients told, p50 ms': Math.round(percentile(toldMs, 0.5)),
    'clients told, last ms': Math.round(percentile(toldMs, 1)),
    'answered after ms': Math.round(answeredMs),
    'longest turn of the loop ms': Math.round(percentile(turns, 1)),
    'CPU ms': Math.round((user + system) / 1000),
    'on record': n,
  }
  if (values.json) console.log(JSON.stringify(result))
  else console.table(result)
  process.exitCode = n === count && percentile(toldMs, 1) <= LIMIT_MS ? 0 : 1
} finally {
  await audit.close()
  await store.close()
  await rm(directory, { recursive: true, force: true })
}
