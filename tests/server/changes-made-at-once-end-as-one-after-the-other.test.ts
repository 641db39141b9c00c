// Changes of people and resources that are made at once on a PostgreSQL store, where their transactions run side by side: whatever
// the order of their steps, they answer and leave behind what they would one after the other.
import { argon2Sync, randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { createLogins, type Logins } from '../../server/accounts/logins.ts'
import { createRateLimit } from '../../server/accounts/rate-limit.ts'
import { accountContext } from '../../server/access/credentials.ts'
import { applyDocuments } from '../../server/admin/apply.ts'
import { remove, type Removal } from '../../server/admin/remove.ts'
import { openAuthority } from '../../server/ca/authority.ts'
import { createCas } from '../../server/ca/cas.ts'
import { MasterKey } from '../../server/secrets/master-key.ts'
import type { TransactionalAuditLog } from '../../server/seams.ts'
import { writeSetting } from '../../server/store/settings.ts'
import { AdminDocument } from '../../shared/admin-api.ts'
import { PosternError } from '../../shared/errors.ts'
import { noSteps, openScheduledPostgres, type ScheduledPostgres } from '../support/scheduled-store.ts'
import { newKeyAndCsr } from './support/access-server.ts'
import { startPostgresStore, type PostgresStore } from './support/postgres-store.ts'

const NOW = new Date('2026-11-22T10:00:00.000Z')
const PASSWORD = 'correct horse'
const PEER = { host: '127.0.0.1', address: '127.0.0.1:1' }

const steps = noSteps()
const masterKey = new MasterKey(randomBytes(32), 'test')
const { csr } = newKeyAndCsr()
let postgres: PostgresStore
let store: ScheduledPostgres
let logins: Logins
/** What is recorded is nobody's question here. */
let audit: TransactionalAuditLog
beforeAll(async () => {
  postgres = await startPostgresStore()
  store = await openScheduledPostgres(steps, await postgres.newDatabase('changes'))
  await writeSetting(store.db, 'cluster', 'main')
  await createCas(store.db, masterKey, 'main', NOW)
  const nothing = () => Promise.resolve()
  audit = {
    record: () => undefined,
    flush: nothing,
    transaction: (change) => store.db.transaction().execute(change),
  }
  const now = () => NOW
  logins = createLogins({
    db: store.db,
    masterKey,
    authority: await openAuthority(store.db, masterKey, now),
    rateLimit: createRateLimit({ perUserPerMinute: 1e6, perAddressPerMinute: 1e6 }, now),
    sso: undefined,
    sessions: {
      live: () => [],
      end: () => Promise.resolve(null),
      endRoute: () => Promise.resolve(null),
      endLogin: nothing,
      endUser: nothing,
      endDisallowed: nothing,
      noteCore: () => undefined,
    },
    control: { loginEnded: () => undefined },
    audit,
    cluster: 'main',
    userTtlMs: 3_600_000,
    now,
  })
})
afterAll(async () => {
  await store.close()
  await postgres.stop()
})

/** Of the password, but cheap: these tests are not about guessing it. */
const hash = (): string => {
  const salt = randomBytes(16)
  const message = PASSWORD
  const tag = argon2Sync('argon2id', { message, nonce: salt, memory: 8, passes: 1, parallelism: 1, tagLength: 32 })
  const text = (bytes: Buffer) => bytes.toString('base64').replace(/=+$/, '')
  return `$argon2id$v=19$m=8,t=1,p=1$${text(salt)}$${text(tag)}`
}

const orders = (extra: object, readerPassword?: string) => ({
  kind: 'resource',
  name: 'orders',
  protocol: 'postgres',
  address: '127.0.0.1:5432',
  accounts: [{ name: 'reader', ...(readerPassword === undefined ? {} : { password: readerPassword }) }],
  ...extra,
})
const dev = (extra: object = {}) => ({
  kind: 'role',
  name: 'dev',
  allow: [{ resources: ['orders'], accounts: ['reader'] }],
  ...extra,
})
const person = (name: string, extra: object) => ({ kind: 'user', name, level: 'admin', ...extra })

const apply = async (...documents: object[]): Promise<string> => {
  const parsed = documents.map((document) => AdminDocument.parse(document))
  const { applied } = await applyDocuments({ db: store.db, audit, masterKey, now: NOW }, parsed, () => [])
  return applied.map(({ change }) => change).join()
}
const removed = async (removal: Removal): Promise<string> => {
  await audit.transaction(
    (trx) => remove(trx, removal, NOW),
    () => [],
  )
  return 'removed'
}

const CHANGES: Record<string, () => Promise<string>> = {
  'alice is removed': () => removed({ kind: 'user', name: 'alice' }),
  'bob is removed': () => removed({ kind: 'user', name: 'bob' }),
  'alice is disabled': () => apply(person('alice', { disabled: true })),
  'bob is no administrator any more': () => apply(person('bob', { level: 'none' })),
  'alice is declared with her password': () => apply(person('alice', { email: 'a@b.example', password: PASSWORD })),
  'carol becomes an administrator': () => apply(person('carol', {})),
  'alice logs in': async () => {
    const login = await logins.logIn({ user: 'alice', password: PASSWORD, csr }, PEER)
    return `${login.user} ${login.level}`
  },
  'alice logs out everywhere': async () => {
    await logins.logOut('alice', '', true)
    return 'out'
  },
  'the resource gets a password': () => apply(orders({}, 'new')),
  'the resource is described, its password kept': () => apply(orders({ description: 'of the shop' })),
  'the resource is removed': () => removed({ kind: 'resource', name: 'orders' }),
  'the role is described': () => apply(dev({ description: 'for developers' })),
  'the role is removed': () => removed({ kind: 'role', name: 'dev' }),
  'alice is granted the role': () => apply({ kind: 'grant', user: 'alice', role: 'dev' }),
}
const NAMES = Object.keys(CHANGES)

/** What it answers: what was changed, or the code of what was wrong. Anything but our own errors is a failure of the test. */
const answerOf = async (name: string): Promise<string> => {
  try {
    return `${name}: ${(await CHANGES[name]?.()) ?? ''}`
  } catch (error) {
    if (error instanceof PosternError) return `${name}: ${error.code}`
    throw error
  }
}

/** Two administrators, one resource, one role. */
async function begin(): Promise<void> {
  const { db } = store
  for (const table of ['grants', 'users', 'roles', 'resources'] as const) await db.deleteFrom(table).execute()
  await apply(person('alice', {}), person('bob', {}), orders({}, 'old'), dev())
  await db.updateTable('users').set({ password_hash: hash() }).execute()
}

/** Everything that changes can leave behind, without ids. */
async function left(): Promise<unknown> {
  const { db } = store
  const accounts = await db.selectFrom('resource_accounts').selectAll().orderBy('resource').execute()
  return {
    users: await db.selectFrom('users').select(['name', 'level', 'disabled', 'email']).orderBy('name').execute(),
    hasPassword: (await db.selectFrom('users').select(['name', 'password_hash']).orderBy('name').execute()).map(
      ({ name, password_hash }) => [name, password_hash !== null],
    ),
    logins: await db.selectFrom('logins').select(['user_name', 'ended_reason']).orderBy('ended_reason').execute(),
    roles: await db.selectFrom('roles').selectAll().execute(),
    grants: await db.selectFrom('grants').select(['user_name', 'role']).execute(),
    resources: await db.selectFrom('resources').selectAll().execute(),
    accounts: accounts.map(({ resource, name, password_sealed }) => [
      resource,
      name,
      password_sealed === null ? null : masterKey.open(password_sealed, accountContext(resource, name)).reveal(),
    ]),
  }
}

const outcome = async (answers: string[]): Promise<string> =>
  JSON.stringify([answers.toSorted(), await left()], undefined, 1)

async function oneAfterTheOther(names: readonly string[]): Promise<string> {
  await begin()
  const answers: string[] = []
  for (const name of names) answers.push(await answerOf(name))
  return outcome(answers)
}

beforeEach(() => {
  steps.step = () => Promise.resolve()
})

const PAIRS = NAMES.flatMap((one, index) => NAMES.slice(index).map((other) => [one, other] as const))

it.each(PAIRS)('S8: %s while: %s', async (one, other) => {
  const right = [await oneAfterTheOther([one, other]), await oneAfterTheOther([other, one])]
  const scheduler = fc.scheduler({
    act: async (step) => {
      await step()
      await store.settled()
    },
  })
  await fc.assert(
    fc.asyncProperty(scheduler, async (scheduler) => {
      steps.step = () => Promise.resolve()
      await begin()
      steps.step = (what) => scheduler.schedule(Promise.resolve(), what)
      const answers = await scheduler.waitFor(Promise.all([one, other].map(answerOf)))
      steps.step = () => Promise.resolve()
      expect(right).toContain(await outcome(answers))
    }),
    { numRuns: 4 },
  )
})

it('transactions have met in these tests', () => {
  expect(store.meetings()).toBeGreaterThan(0)
})
