// Runs as files: written after each round, so that a run which is ended half-way still has what it measured, and read back one or more
// at a time into one run. Called by run.ts.
import { readFile, rename, writeFile } from 'node:fs/promises'
import { z } from 'zod'
import type { Run } from './report.ts'
import { TABLES, type Sample, type TableId, type WayId } from './rows.ts'

const Saved = z.object({
  date: z.string(),
  kind: z.enum(['full', 'quick']),
  machine: z.record(z.string(), z.string()),
  leftOut: z.array(z.string()),
  failures: z.array(z.string()),
  samples: z.array(
    z.object({
      table: z.custom<TableId>((id) => TABLES.some((table) => table.id === id)),
      row: z.string(),
      way: z.custom<WayId>((id) => typeof id === 'string'),
      round: z.number().int().nonnegative(),
      value: z.number(),
    }),
  ),
})

/** What may differ between runs that are put together. */
const OF_ITS_TIME = 'load before'

/** Replaces the file in one step: whoever reads it finds a whole run. */
export async function saveRun(file: string, run: Run): Promise<void> {
  const fresh = `${file}.${process.pid}.new`
  await writeFile(fresh, `${JSON.stringify(run)}\n`)
  await rename(fresh, file)
}

/** @throws Error that names the file, if it is no saved run or not of the same machine, programs and kind as the first */
export async function readRuns(files: readonly string[]): Promise<Run> {
  const runs: Run[] = []
  for (const file of files) {
    let parsed: Run
    try {
      parsed = Saved.parse(JSON.parse(await readFile(file, 'utf8')))
    } catch (cause) {
      throw new Error(`${file} is no run that --save has written`, { cause })
    }
    const [first] = runs
    const difference = first && differenceOf(first, parsed)
    if (difference !== undefined)
      throw new Error(`${file} cannot be put together with ${files[0] ?? ''}: ${difference}`)
    runs.push(parsed)
  }
  return mergeRuns(runs)
}

function differenceOf(a: Run, b: Run): string | undefined {
  if (a.kind !== b.kind) return `one is ${a.kind}, the other ${b.kind}`
  const names = new Set([...Object.keys(a.machine), ...Object.keys(b.machine)])
  const name = [...names].find((one) => one !== OF_ITS_TIME && a.machine[one] !== b.machine[one])
  return name && `${name} is ${a.machine[name] ?? 'unknown'} in one, ${b.machine[name] ?? 'unknown'} in the other`
}

/** One run of several: rounds of one are further rounds to those of the others. @throws RangeError for none */
export function mergeRuns(runs: readonly Run[]): Run {
  const [first] = runs
  if (!first) throw new RangeError('no runs')
  const samples: Sample[] = []
  for (const run of runs) {
    const before = samples.reduce((most, { round }) => Math.max(most, round + 1), 0)
    for (const sample of run.samples) samples.push({ ...sample, round: sample.round + before })
  }
  return {
    ...first,
    machine: { ...first.machine, [OF_ITS_TIME]: runs.map(({ machine }) => machine[OF_ITS_TIME] ?? '?').join(', ') },
    leftOut: [...new Set(runs.flatMap(({ leftOut }) => leftOut))],
    failures: runs.flatMap(({ failures }) => failures),
    samples,
  }
}
