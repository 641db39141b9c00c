// Ends the core of the demo's POSTERN_HOME together with the demo, even when the demo is killed: a shell that waits for the
// end of our pipe and then runs stop-core.ts. Used by main.ts.
import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { stopCore } from '../client/connect.ts'
import { homeAt, readCorePointer } from '../client/home.ts'

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

/** Asks the core to stop; one that does not is killed by its process id, once that is known to be a core of this home. */
export async function stopCoreForSure(home: string): Promise<void> {
  const pid = (await readCorePointer(homeAt(home)))?.pid
  await stopCore(home, { signal: AbortSignal.timeout(GRACE_MS) }).catch(() => false)
  if (pid === undefined) return
  const deadline = performance.now() + GRACE_MS
  while (performance.now() < deadline && (await isCoreOf(pid, home))) await delay(POLL_MS)
  if (!(await isCoreOf(pid, home))) return
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It ended between the look and the kill.
  }
}

/** Process ids are used again: only one whose command line names this home is the core. Linux; elsewhere we do not kill. */
async function isCoreOf(pid: number, home: string): Promise<boolean> {
  const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
  const words = commandLine.split('\0')
  return words.includes(home) && words.some((word) => word.endsWith('client/main.ts'))
}
