// The real store (SQLite in memory) whose every statement, begin and commit is a step that a test's scheduler orders, and that can
// be made to refuse one. Used by the tests of races.
import { Kysely, type CompiledQuery, type DatabaseConnection, type Dialect, type Driver } from 'kysely'
import { Migrator } from 'kysely/migration'
import { migrationsFor } from '../../server/store/migrations/index.ts'
import type { Tables } from '../../server/store/schema.ts'
import { NodeSqliteDialect } from '../../server/store/sqlite.ts'

export type StoreSteps = {
  /** Waits until it is this step's turn. */
  step: (what: string) => Promise<void>
  /** How many of the next changes (statements and commits alike) the store refuses. */
  refusals: number
  /** Called as a transaction is about to commit. */
  onCommit: () => void
}

/** With its tables; steps are not waited for while it opens. */
export async function openScheduledStore(steps: StoreSteps): Promise<Kysely<Tables>> {
  const real = new NodeSqliteDialect(':memory:')
  let isOpen = false
  const pass = async (what: string): Promise<void> => {
    if (!isOpen) return
    await steps.step(what)
    if (steps.refusals === 0 || /^select|^begin/.test(what)) return
    steps.refusals--
    throw new Error(`the store refuses: ${what}`)
  }
  const dialect: Dialect = {
    createAdapter: () => real.createAdapter(),
    createIntrospector: (db) => real.createIntrospector(db),
    createQueryCompiler: () => real.createQueryCompiler(),
    createDriver: () => stepByStep(real.createDriver(), pass, steps),
  }
  const db = new Kysely<Tables>({ dialect })
  const { error } = await new Migrator({
    db,
    provider: { getMigrations: () => Promise.resolve(migrationsFor('sqlite')) },
  }).migrateToLatest()
  if (error !== undefined) throw new Error('the tables could not be made', { cause: error })
  isOpen = true
  return db
}

/** A connection that waits for its turn; SQLite has one, and the real driver lets one at a time have it. */
class SteppedConnection implements DatabaseConnection {
  readonly inner: DatabaseConnection
  readonly #pass: (what: string) => Promise<void>
  constructor(inner: DatabaseConnection, pass: (what: string) => Promise<void>) {
    this.inner = inner
    this.#pass = pass
  }
  async executeQuery<R>(query: CompiledQuery) {
    await this.#pass(query.sql.slice(0, 40))
    return await this.inner.executeQuery<R>(query)
  }
  streamQuery<R>(query: CompiledQuery, chunkSize: number) {
    return this.inner.streamQuery<R>(query, chunkSize)
  }
}

function stepByStep(driver: Driver, pass: (what: string) => Promise<void>, steps: StoreSteps): Driver {
  const innerOf = (connection: DatabaseConnection): DatabaseConnection =>
    connection instanceof SteppedConnection ? connection.inner : connection
  return {
    init: () => driver.init(),
    acquireConnection: async () => new SteppedConnection(await driver.acquireConnection(), pass),
    async beginTransaction(connection, settings) {
      await pass('begin')
      await driver.beginTransaction(innerOf(connection), settings)
    },
    async commitTransaction(connection) {
      steps.onCommit()
      await pass('commit')
      await driver.commitTransaction(innerOf(connection))
    },
    rollbackTransaction: (connection) => driver.rollbackTransaction(innerOf(connection)),
    releaseConnection: (connection) => driver.releaseConnection(innerOf(connection)),
    destroy: () => driver.destroy(),
  }
}
