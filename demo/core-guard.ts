// Ends the core of the demo's POSTERN_HOME together with the demo, even when the demo is killed: a shell that waits for the
// end of our pipe and then runs stop-core.ts. Used by main.ts.
import { spawn } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { stopCore } from '../client/connect.ts'

const GRACE_MS = 5000
const POLL_MS = 50

/** `read` fails when the pipe ends without a line: then we died, and nobody else stops the core. */
const GUARD = 'read -r line || exec "$@"'

export type CoreGuard = {
  /** Stops the core, if one runs, and the guard. Resolves when both are gone; bounded. */
  stop(): Promise<void>
}

export function guardCore(home: string): CoreGuard {
  const entry = path.join(path.dirname(fileURLToPath(import.meta.url)), 'stop-core.ts')
  const guard = spawn('/bin/sh', ['-c', GUARD, 'postern-demo-guard', process.execPath, entry, home], {
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  guard.stdin.on('error', () => undefined)
  guard.on('error', () => undefined)
  const ended = new Promise<void>((resolve) => guard.once('exit', () => resolve()))
  return {
    async stop() {
      await stopCoreForSure(home)
      guard.stdin.end('over\n')
      await Promise.race([ended, delay(GRACE_MS, undefined, { ref: false })])
    },
  }
}

/**
 * Asks the core to stop and waits until its process has gone, also where it was ending by itself already and its pointer is
 * removed; one that does not end is killed.
 */
export async function stopCoreForSure(home: string): Promise<void> {
  await stopCore(home, { signal: AbortSignal.timeout(GRACE_MS) }).catch(() => false)
  const deadline = performance.now() + GRACE_MS
  while ((await findCores(home)).length > 0 && performance.now() < deadline) await delay(POLL_MS)
  for (const pid of await findCores(home)) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It ended between the look and the kill.
    }
  }
}

/** Process ids are used again: only what has this home in its command line is its core. Linux; elsewhere we know of none. */
async function findCores(home: string): Promise<number[]> {
  const processes = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name))
  const isCore = await Promise.all(
    processes.map(async (pid) => {
      const words = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0')
      return words.includes(home) && words.some((word) => word.endsWith('client/main.ts'))
    }),
  )
  return processes.filter((_, index) => isCore[index]).map(Number)
}
