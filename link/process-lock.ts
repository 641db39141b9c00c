// One process per directory (a core's home, a server's data): an exclusive SQLite transaction on a file in it. The kernel
// releases it when the process dies, however it dies, so there is no stale lock to judge and no race in judging it.
import { DatabaseSync } from 'node:sqlite'

export type ProcessLock = { release(): void }

/** SQLite's result code for "another process holds it". */
const SQLITE_BUSY = 5

/**
 * Takes the lock, or says at once (undefined) that another process has it.
 * A process never opens the same file twice: its POSIX locks fall with any close of the file.
 */
export function takeProcessLock(file: string): ProcessLock | undefined {
  const database = new DatabaseSync(file, { timeout: 0 })
  try {
    database.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    database.close()
    if (error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY) return undefined
    throw error
  }
  return {
    release() {
      if (database.isOpen) database.close()
    },
  }
}
