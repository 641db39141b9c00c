// The one directory that a run has, and what a run that was killed has left behind: everything of a run lies in a directory that
// names its process, and all programs that it starts have that directory as their TMPDIR, in their arguments or below their feet. So
// the next run can tell what nobody owns any more, ends exactly that and removes it. Called by run.ts.
import { mkdtemp, readdir, readFile, readlink, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { until } from '../../support/run.ts'

const NAME = /^postern-bench-(\d+)-/
/** For killed processes to be gone, in ms. */
const GONE_WITHIN_MS = 10_000
/** What the arguments of a run contain: a process id is used again some day, by something else. */
const RUN = 'data-plane/run.ts'

const textOf = (file: string): Promise<string> => readFile(file, 'utf8').catch(() => '')

/** A fresh directory of this process below `base`; everything that it starts from now on finds it as TMPDIR. */
export async function ownDirectory(base: string): Promise<string> {
  const directory = await mkdtemp(join(base, `postern-bench-${process.pid}-`))
  process.env['TMPDIR'] = directory
  return directory
}

/** Processes that belong to a run's directory. */
export async function processesOf(directory: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)
  const isOfRun = async (pid: number): Promise<boolean> => {
    const [environment, args, feet] = await Promise.all([
      textOf(`/proc/${pid}/environ`),
      textOf(`/proc/${pid}/cmdline`),
      readlink(`/proc/${pid}/cwd`).catch(() => ''),
    ])
    const isBelow = (path: string): boolean => path === directory || path.startsWith(`${directory}/`)
    return environment.split('\0').includes(`TMPDIR=${directory}`) || isBelow(feet) || args.includes(`${directory}/`)
  }
  const found = await Promise.all(pids.map(async (pid) => (pid !== process.pid && (await isOfRun(pid)) ? [pid] : [])))
  return found.flat()
}

/** Kills what belongs to a directory, and removes that. */
export async function removeRun(directory: string): Promise<void> {
  const kill = async (): Promise<boolean> => {
    const pids = await processesOf(directory)
    for (const pid of pids)
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // It has just ended.
      }
    return pids.length === 0
  }
  await until(kill, `everything of ${directory} has ended`, GONE_WITHIN_MS)
  await rm(directory, { recursive: true, force: true })
}

/** Ends and removes what runs have left below `base` whose process is gone. @returns the directories */
export async function sweepLeftovers(base: string): Promise<string[]> {
  const removed: string[] = []
  for (const name of await readdir(base)) {
    const [, pid] = NAME.exec(name) ?? []
    if (pid === undefined || (await textOf(`/proc/${pid}/cmdline`)).includes(RUN)) continue
    await removeRun(join(base, name))
    removed.push(join(base, name))
  }
  return removed
}
