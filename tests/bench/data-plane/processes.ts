// What processes cost, and where they run: CPU time and memory of a process with everything that it started, and pinning to one
// core. From /proc (Linux only), so that programs of others are measured by the same ruler as ours.
import { execFile } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { promisify } from 'node:util'

const execute = promisify(execFile)

/** USER_HZ, the unit of times in /proc/PID/stat: 100 on every Linux that Node runs on (proc(5)). */
const TICKS_PER_SECOND = 100

type Stat = { parent: number; cpuSeconds: number }

async function statOf(pid: number): Promise<Stat | undefined> {
  try {
    const text = await readFile(`/proc/${pid}/stat`, 'utf8')
    // The name in brackets may hold blanks: fields count from behind it, the state being the third of all.
    const fields = text
      .slice(text.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number)
    const [, parent = 0, , , , , , , , , , user = 0, system = 0, ofEndedChildrenUser = 0, ofEndedChildrenSystem = 0] =
      fields
    return { parent, cpuSeconds: (user + system + ofEndedChildrenUser + ofEndedChildrenSystem) / TICKS_PER_SECOND }
  } catch {
    return undefined
  }
}

/** These processes and everything below them that runs now. */
async function familyOf(pids: readonly number[]): Promise<Map<number, Stat>> {
  const all = new Map<number, Stat>()
  for (const name of await readdir('/proc')) {
    const stat = /^\d+$/.test(name) ? await statOf(Number(name)) : undefined
    if (stat) all.set(Number(name), stat)
  }
  const family = new Map<number, Stat>()
  const isOfFamily = (pid: number): boolean => {
    const stat = all.get(pid)
    return stat !== undefined && (pids.includes(pid) || isOfFamily(stat.parent))
  }
  for (const [pid, stat] of all) if (isOfFamily(pid)) family.set(pid, stat)
  return family
}

/** CPU time that they have used so far, user and system, ended children of theirs too; to 10 ms. */
export async function cpuSecondsOf(pids: readonly number[]): Promise<number> {
  let seconds = 0
  for (const { cpuSeconds } of (await familyOf(pids)).values()) seconds += cpuSeconds
  return seconds
}

/** Their memory in MiB, pages that are shared counted by share (PSS). */
export async function memoryMiBOf(pids: readonly number[]): Promise<number> {
  let kib = 0
  for (const pid of (await familyOf(pids)).keys()) {
    const rollup = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => '')
    kib += Number(/^Pss:\s+(\d+) kB/m.exec(rollup)?.[1] ?? 0)
  }
  return kib / 1024
}

/** The cores that this process may use. */
async function allowedCores(): Promise<string> {
  const status = await readFile('/proc/self/status', 'utf8')
  return /^Cpus_allowed_list:\s+(\S+)/m.exec(status)?.[1] ?? '0'
}

/**
 * Runs something while all these processes, with all their threads, share one core (the last one that we may use).
 * @param act gets the core's number, for what it starts itself
 */
export async function onOneCore<T>(pids: readonly number[], act: (core: number) => Promise<T>): Promise<T> {
  const cores = await allowedCores()
  const last = Number(/\d+$/.exec(cores)?.[0] ?? 0)
  const family = [...(await familyOf(pids)).keys()]
  const pinTo = async (list: string): Promise<void> => {
    // One that has ended meanwhile needs no core.
    for (const pid of family) await execute('taskset', ['-acp', list, String(pid)]).catch(() => undefined)
  }
  await pinTo(String(last))
  try {
    return await act(last)
  } finally {
    await pinTo(cores)
  }
}
