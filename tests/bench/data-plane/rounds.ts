// The interleaving: in every round each measure goes over all ways, one after the other, every other round in the opposite order.
// So what slows the machine down for a while hits everybody, and nobody is always first. Called by the tables.
import type { Sample, TableId, WayId } from './rows.ts'
import { onOneCore } from './processes.ts'
import type { RunningWay } from './way.ts'

export type Measure = {
  id: string
  /** All ways and the load share one core while it runs: without wake-ups across cores, which differ from one moment to the next. */
  isOnOneCore?: boolean
  /** @returns row → value; @param core the one that the load has to run on */
  run: (way: RunningWay, core: number | undefined) => Promise<Record<string, number>>
}

export type RoundsOptions = {
  table: TableId
  ways: ReadonlyMap<WayId, RunningWay>
  measures: readonly Measure[]
  rounds: number
  /** Processes that belong to no way and share the core where everything has to. */
  alsoOnOneCore: readonly number[]
  log: Log
}

/** Where a run writes down what it measured, and hears that it has to stop. */
export type Log = {
  samples: Sample[]
  failures: string[]
  progress: (text: string) => void
  /** All that was measured up to here may be kept. */
  roundIsOver: () => Promise<void>
  signal: AbortSignal
}

/** Measures all of it. One that fails is written down and does not end the run. */
export async function measureRounds({
  table,
  ways,
  measures,
  rounds,
  alsoOnOneCore,
  log,
}: RoundsOptions): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    for (const measure of measures) {
      log.progress(`${table}, round ${round + 1} of ${rounds}: ${measure.id}`)
      const inOrder = round % 2 === 0 ? [...ways] : [...ways].reverse()
      const goOver = async (core: number | undefined): Promise<void> => {
        for (const [id, way] of inOrder)
          await measureOnce(table, id, round, log, () => measure.run(way, core), measure.id)
      }
      if (!measure.isOnOneCore) await goOver(undefined)
      else {
        const pids = [...ways.values()].flatMap((way) => [...way.pids, ...(way.alsoRunning ?? [])])
        await onOneCore([...pids, ...alsoOnOneCore], goOver)
      }
    }
    await log.roundIsOver()
  }
}

/** One measurement of one way into the log. */
export async function measureOnce(
  table: TableId,
  way: WayId,
  round: number,
  log: Log,
  run: () => Promise<Record<string, number>>,
  what: string,
): Promise<void> {
  log.signal.throwIfAborted()
  try {
    for (const [row, value] of Object.entries(await run())) log.samples.push({ table, row, way, round, value })
  } catch (error) {
    log.signal.throwIfAborted()
    log.failures.push(
      `${table}, ${what}, ${way}, round ${round + 1}: ${error instanceof Error ? error.message : String(error)}`,
    )
  }
}

export type Starters = Partial<Record<WayId, () => Promise<RunningWay>>>

/** Starts the ways of a table. One that cannot be started is written down and left out; Postern's own has to start. */
export async function startWays(table: TableId, starters: Starters, log: Log): Promise<Map<WayId, RunningWay>> {
  const ways = new Map<WayId, RunningWay>()
  for (const [id, start] of Object.entries(starters) as [WayId, () => Promise<RunningWay>][]) {
    log.signal.throwIfAborted()
    try {
      ways.set(id, await startAgain(start))
    } catch (error) {
      if (id === 'postern') {
        await stopWays(ways)
        throw error
      }
      log.failures.push(
        `${table}: ${id} could not be started: ${error instanceof Error ? error.message : String(error)}`,
      )
    }
  }
  return ways
}

/** Once more where it does not start: a port that was free may have been taken by somebody else a moment later. */
export const startAgain = (start: () => Promise<RunningWay>): Promise<RunningWay> => start().catch(start)

export async function stopWays(ways: ReadonlyMap<WayId, RunningWay>): Promise<void> {
  await Promise.allSettled([...ways.values()].map((way) => way.stop()))
}
