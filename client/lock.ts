// One core per home: an exclusive SQLite transaction on a file of the home. The kernel releases it when the process dies,
// however it dies, so there is no stale lock to judge and no race in judging it. Called by main.ts.
import { DatabaseSync } from 'node:sqlite'

export type Lock = { release(): void }

/** SQLite's result code for "another process holds it". */
const SQLITE_BUSY = 5

/** Takes the lock, or says at once (undefined) that another process has it. Never opens the file twice: POSIX locks of a process fall with any close of the file. */
export function takeLock(file: string): Lock | undefined {
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
