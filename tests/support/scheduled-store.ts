// The real store whose every statement, begin and commit is a step that a test's scheduler orders, and that can be made to refuse
// one or to lose its answer. On SQLite in memory it has one connection; on PostgreSQL as many as the server has, so that transactions
// meet. Used by the tests of races.
import { Kysely, type CompiledQuery, type DatabaseConnection, type Dialect, type Driver } from 'kysely'
import { Migrator } from 'kysely/migration'
import pg from 'pg'
import { migrationsFor } from '../../server/store/migrations/index.ts'
import { postgresDialect } from '../../server/store/postgres.ts'
import type { StoreDialect, Tables } from '../../server/store/schema.ts'
import { NodeSqliteDialect } from '../../server/store/sqlite.ts'

export type StoreSteps = {
  /** Waits until it is this step's turn. */
  step: (what: string) => Promise<void>
  /** How many of the next changes (statements and commits alike) the store refuses. */
  refusals: number
  /** Of how many of the next changes nobody hears that they were made. */
  lostAnswers: number
  /** Called as a transaction is about to commit. */
  onCommit: () => void
}

export const noSteps = (): StoreSteps => ({
  step: () => Promise.resolve(),
  refusals: 0,
  lostAnswers: 0,
  onCommit: () => undefined,
})

/** SQLite, with its tables; steps are not waited for while it opens. */
export const openScheduledStore = (steps: StoreSteps): Promise<Kysely<Tables>> =>
  openStepByStep('sqlite', new NodeSqliteDialect(':memory:'), steps, (_, statement) => statement())

export type ScheduledPostgres = {
  db: Kysely<Tables>
  /** Resolves when every statement that was sent is answered, or waits for a lock that another transaction holds. */
  settled: () => Promise<void>
  /** How often a statement waited for another transaction when it was looked. */
  meetings: () => number
  close: () => Promise<void>
}

/** PostgreSQL behind this URL, over the server's own pool. A scheduler that waits for `settled` after each step knows all that can go on. */
export async function openScheduledPostgres(steps: StoreSteps, url: string): Promise<ScheduledPostgres> {
  const monitor = new pg.Client({ connectionString: url })
  await monitor.connect()
  /** Backend process of each statement under way; undefined while its connection is being opened. */
  const underWay = new Map<symbol, number | undefined>()
  let meetings = 0
  const pids = new WeakMap<DatabaseConnection, number>()
  const pidOf = async (connection: DatabaseConnection): Promise<number> => {
    const query = { sql: 'select pg_backend_pid() as pid', parameters: [] } as unknown as CompiledQuery
    const pid = pids.get(connection) ?? (await connection.executeQuery<{ pid: number }>(query)).rows[0]?.pid
    if (pid === undefined) throw new Error('this connection has no process')
    pids.set(connection, pid)
    return pid
  }
  const whileKnown = async <T>(connection: DatabaseConnection | undefined, statement: () => Promise<T>): Promise<T> => {
    const key = Symbol('statement')
    underWay.set(key, undefined)
    try {
      if (connection) underWay.set(key, await pidOf(connection))
      return await statement()
    } finally {
      underWay.delete(key)
    }
  }
  const db = await openStepByStep(
    'postgres',
    postgresDialect(url, () => undefined),
    steps,
    whileKnown,
  )
  return {
    db,
    async settled() {
      for (;;) {
        // What an answer leads to in this process comes first.
        await new Promise(setImmediate)
        if (underWay.size === 0) return
        const { rows } = await monitor.query<{ pid: number }>('select pid from pg_locks where not granted')
        const waiting = new Set(rows.map(({ pid }) => pid))
        if (![...underWay.values()].every((pid) => pid !== undefined && waiting.has(pid))) continue
        if (underWay.size === 0) return
        meetings++
        return
      }
    },
    meetings: () => meetings,
    async close() {
      await db.destroy()
      await monitor.end()
    },
  }
}

/** Runs what a connection is to do (without one: what opens it). */
type Run = <T>(connection: DatabaseConnection | undefined, statement: () => Promise<T>) => Promise<T>

async function openStepByStep(kind: StoreDialect, real: Dialect, steps: StoreSteps, run: Run): Promise<Kysely<Tables>> {
  let isOpen = false
  const inTurn: InTurn = async (what, connection, statement) => {
    if (!isOpen) return await statement()
    await steps.step(what)
    const isChange = !/^select|^begin/.test(what)
    if (isChange && steps.refusals > 0) {
      steps.refusals--
      throw new Error(`the store refuses: ${what}`)
    }
    const answer = await run(connection, statement)
    if (!isChange || steps.lostAnswers === 0) return answer
    steps.lostAnswers--
    throw new Error(`the store was cut off: ${what}`)
  }
  const dialect: Dialect = {
    createAdapter: () => real.createAdapter(),
    createIntrospector: (db) => real.createIntrospector(db),
    createQueryCompiler: () => real.createQueryCompiler(),
    createDriver: () => stepByStep(real.createDriver(), inTurn, run, steps),
  }
  const db = new Kysely<Tables>({ dialect })
  const { error } = await new Migrator({
    db,
    provider: { getMigrations: () => Promise.resolve(migrationsFor(kind)) },
  }).migrateToLatest()
  if (error !== undefined) throw new Error('the tables could not be made', { cause: error })
  isOpen = true
  return db
}

type InTurn = <T>(what: string, connection: DatabaseConnection, statement: () => Promise<T>) => Promise<T>

/** A connection that waits for its turn. */
class SteppedConnection implements DatabaseConnection {
  readonly inner: DatabaseConnection
  readonly #inTurn: InTurn
  /** Whether the transaction that it is in is over, whatever its owner knows of that. */
  isCommitted = false
  constructor(inner: DatabaseConnection, inTurn: InTurn) {
    this.inner = inner
    this.#inTurn = inTurn
  }
  executeQuery<R>(query: CompiledQuery) {
    return this.#inTurn(query.sql.slice(0, 40), this.inner, () => this.inner.executeQuery<R>(query))
  }
  streamQuery<R>(query: CompiledQuery, chunkSize: number) {
    return this.inner.streamQuery<R>(query, chunkSize)
  }
}

function stepByStep(driver: Driver, inTurn: InTurn, run: Run, steps: StoreSteps): Driver {
  const steppedOf = (connection: DatabaseConnection): SteppedConnection => {
    if (connection instanceof SteppedConnection) return connection
    throw new TypeError('this connection is not of the scheduled store')
  }
  return {
    init: () => driver.init(),
    acquireConnection: async () =>
      new SteppedConnection(await run(undefined, () => driver.acquireConnection()), inTurn),
    async beginTransaction(connection, settings) {
      const stepped = steppedOf(connection)
      await inTurn('begin', stepped.inner, () => driver.beginTransaction(stepped.inner, settings))
      stepped.isCommitted = false
    },
    async commitTransaction(connection) {
      const stepped = steppedOf(connection)
      steps.onCommit()
      await inTurn('commit', stepped.inner, async () => {
        await driver.commitTransaction(stepped.inner)
        stepped.isCommitted = true
      })
    },
    async rollbackTransaction(connection) {
      const { inner, isCommitted } = steppedOf(connection)
      // Who lost the answer of a commit undoes what stands: a cut connection has nothing to undo.
      if (!isCommitted) await run(inner, () => driver.rollbackTransaction(inner))
    },
    releaseConnection: (connection) => driver.releaseConnection(steppedOf(connection).inner),
    destroy: () => driver.destroy(),
  }
}
