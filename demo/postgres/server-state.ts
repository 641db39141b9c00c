// What a PostgreSQL data directory says about its server: is one running in it, is it ready. PostgreSQL tells nobody, so
// these look again every few milliseconds, as pg_ctl does. Called by startPostgres.
import { readdir, readFile, readlink, realpath, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { PosternError } from '../../shared/errors.ts'

const LOOK_AGAIN_MS = 25
/** A server whose parent just died is still shutting down; so long it may take. */
const OLD_SERVER_TIMEOUT_MS = 20_000

/** Looks until `condition` holds. Rejects with the signal's reason when that aborts first. */
export async function until(condition: () => Promise<boolean>, signal: AbortSignal): Promise<void> {
  while (!(await condition())) await delay(LOOK_AGAIN_MS, undefined, { signal })
}

/** Whether the server with this process id takes connections: line 8 of postmaster.pid says "ready" (PostgreSQL 10+). */
export async function isReady(clusterDir: string, pid: number): Promise<boolean> {
  const lines = (await readFile(join(clusterDir, 'postmaster.pid'), 'utf8').catch(() => '')).split('\n')
  return lines[0] === String(pid) && lines[7]?.trim() === 'ready'
}

/**
 * Removes the postmaster.pid that a crash left. PostgreSQL does so itself unless the number in it belongs to some other
 * process by now (the rule in containers, where numbers start anew). On Linux no process lives in the cluster's folder
 * (every PostgreSQL process has it as its working directory) means that it is stale; elsewhere PostgreSQL decides.
 * @throws PosternError `conflict` if a server goes on running there.
 */
export async function clearStaleLock(clusterDir: string, signal: AbortSignal): Promise<void> {
  if (process.platform !== 'linux') return
  const folder = await realpath(clusterDir).catch(() => undefined)
  if (folder === undefined) return
  const timeout = AbortSignal.timeout(OLD_SERVER_TIMEOUT_MS)
  try {
    await until(async () => !(await hasProcessIn(folder)), AbortSignal.any([signal, timeout]))
  } catch (error) {
    if (signal.aborted || !timeout.aborted) throw error
    throw new PosternError('conflict', `another PostgreSQL server runs on ${clusterDir}: stop it first`)
  }
  await rm(join(folder, 'postmaster.pid'), { force: true })
}

async function hasProcessIn(folder: string): Promise<boolean> {
  const processes = (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry))
  const folders = await Promise.all(processes.map((pid) => readlink(`/proc/${pid}/cwd`).catch(() => '')))
  return folders.includes(folder)
}
