// A SQLite store that another process holds (a backup, somebody's `sqlite3`) is tried again for a while, without stopping the loop that
// moves bytes: SQLite's own waiting is done inside the call, and would. Put around the driver by sqlite.ts.
import { setTimeout as delay } from 'node:timers/promises'
import type { CompiledQuery, DatabaseConnection, Driver, QueryResult } from 'kysely'
import { storeTroubleOf } from './store-trouble.ts'

/** How long a statement is tried, in ms; then it fails as the store says. */
const PATIENCE_MS = 5000
/** From one try to the next, in ms. */
const PAUSE_MS = 25

/** Statements of what it hands out are tried again while the store is busy; others wait for their turn meanwhile. */
export function retryBusy(driver: Driver): Driver {
  const inner = (connection: DatabaseConnection): DatabaseConnection =>
    connection instanceof PatientConnection ? connection.inner : connection
  return {
    init: () => driver.init(),
    acquireConnection: async () => new PatientConnection(await driver.acquireConnection()),
    beginTransaction: (connection, settings) => untilFree(() => driver.beginTransaction(inner(connection), settings)),
    commitTransaction: (connection) => untilFree(() => driver.commitTransaction(inner(connection))),
    // Where the disk is full SQLite has undone it by itself; that there is nothing to undo must not hide why.
    rollbackTransaction: (connection) =>
      driver.rollbackTransaction(inner(connection)).catch((error: unknown) => {
        if (!(error instanceof Error && error.message.includes('no transaction is active'))) throw error
      }),
    releaseConnection: (connection) => driver.releaseConnection(inner(connection)),
    destroy: () => driver.destroy(),
  }
}

class PatientConnection implements DatabaseConnection {
  readonly inner: DatabaseConnection
  constructor(inner: DatabaseConnection) {
    this.inner = inner
  }
  executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    return untilFree(() => this.inner.executeQuery<R>(query))
  }
  streamQuery<R>(query: CompiledQuery, chunkSize: number): AsyncIterableIterator<QueryResult<R>> {
    return this.inner.streamQuery<R>(query, chunkSize)
  }
}

async function untilFree<T>(act: () => Promise<T>): Promise<T> {
  const until = performance.now() + PATIENCE_MS
  for (;;) {
    try {
      return await act()
    } catch (error) {
      if (storeTroubleOf(error) !== 'busy' || performance.now() >= until) throw error
    }
    await delay(PAUSE_MS)
  }
}
