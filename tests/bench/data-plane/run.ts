// Entry of `npm run bench` (build/bench.mjs starts it): one interleaved run of everything, then tables or one JSON object on
// standard output; progress on standard error. Judges by ratios of one run only. Exit code 1 if Postern itself could not be measured,
// or the run was ended before it was through.
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { parseArgs } from 'node:util'
import { gatewayWays, measureDataPlane, wholeWays, type Sizes } from './data-plane.ts'
import { ownDirectory, removeRun, sweepLeftovers } from './leftovers.ts'
import { describeMachine, loadOf, QUIET_LOAD } from './machine.ts'
import { measureNeighbours, neighbourWays } from './neighbours.ts'
import { findPeers } from './peers.ts'
import { Ground } from './postern-side.ts'
import { CELLS, measureProxyTax, taxWays, type TaxSizes } from './proxy-tax.ts'
import { putInto, toJson, toMarkdown, type Run } from './report.ts'
import type { Log } from './rounds.ts'
import { TABLES, type Sample, type TableId } from './rows.ts'
import { readRuns, saveRun } from './saved-runs.ts'

const FULL: Sizes = { rounds: 3, bulkBytes: 400e6, pings: 4000, connectMs: 1500, idleMs: 1000 }
const QUICK: Sizes = { rounds: 1, bulkBytes: 60e6, pings: 1000, connectMs: 500, idleMs: 500 }
const FULL_TAX: TaxSizes = { rounds: 3, seconds: 2, reconnectSeconds: 3, scale: 5, cells: CELLS }
const QUICK_TAX: TaxSizes = {
  ...{ rounds: 1, seconds: 1, reconnectSeconds: 1, scale: 1 },
  cells: ['simple-1', 'simple-8', 'prepared-8', 'reconnect-1'],
}
const FULL_NEIGHBOURS = { rounds: 3, pings: 10_000, seconds: 2, scale: 5 }
const QUICK_NEIGHBOURS = { rounds: 1, pings: 4000, seconds: 1, scale: 1 }

const HELP = `npm run bench [-- OPTIONS]
  everything, three rounds: about 13 minutes on two quiet cores
  --quick             one short round of the most important figures: about three minutes
  --json              one JSON object instead of tables; alone on standard output with npm run -s bench -- --json
  --markdown FILE     also puts the tables into FILE, between its bench marks; not if the machine had more to do before
                      (load above ${QUIET_LOAD}), unless --anyway
  --save FILE         keeps what was measured in FILE after each round, so that nothing is lost if the run is ended
  --from FILES        measures nothing: makes one run of such files (further rounds, or other tables, of the same machine)
  --rounds N          rounds (default 3, with --quick 1)
  --only TABLES       of ${TABLES.map(({ id }) => id).join(', ')}
  --measures IDS      only these: up-1, down-8, ping, connect-1, first-byte, idle … simple-8, prepared-64, reconnect-1 …
                      ping-beside, select-beside
  --install-peers     first installs the Debian packages of the peers (as root)
`

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    markdown: { type: 'string' },
    anyway: { type: 'boolean', default: false },
    save: { type: 'string' },
    from: { type: 'string' },
    rounds: { type: 'string' },
    only: { type: 'string' },
    measures: { type: 'string', default: '' },
    'install-peers': { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  },
})
/** How often a run looks whether whoever started it is still there, in ms. */
const PARENT_LOOK_MS = 1000

/** Aborts when we are told to end, or whoever started us is gone: then nobody would hear of what we measure. */
function ending(): AbortSignal {
  const controller = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => controller.abort(new Error(`ended by ${signal}`)))
  const parent = process.ppid
  setInterval(() => {
    if (process.ppid !== parent) controller.abort(new Error('ended: whoever started it is gone'))
  }, PARENT_LOOK_MS).unref()
  return controller.signal
}

/** @throws Error if these figures are not for a page of record */
function refuseBusyMachine(machine: Record<string, string>): void {
  const before = loadOf(machine)
  if (values.markdown === undefined || values.anyway || before <= QUIET_LOAD) return
  throw new Error(
    `the machine was busy before (load ${before}, above ${QUIET_LOAD}), so these are no figures for ${values.markdown}: ` +
      'wait until it is quiet, leave --markdown out, or add --anyway',
  )
}

async function measure(signal: AbortSignal): Promise<Run> {
  const rounds = values.rounds === undefined ? {} : { rounds: Number(values.rounds) }
  const sizes = { ...(values.quick ? QUICK : FULL), ...rounds }
  const tax = { ...(values.quick ? QUICK_TAX : FULL_TAX), ...rounds }
  const beside = { ...(values.quick ? QUICK_NEIGHBOURS : FULL_NEIGHBOURS), ...rounds }
  const only = values.only?.split(',') ?? TABLES.map(({ id }) => id)
  const measures = values.measures.split(',').filter((id) => id !== '')
  const cells = measures.length === 0 ? tax.cells : CELLS.filter((cell) => measures.includes(cell))
  const { versions, leftOut } = await findPeers()
  const machine = await describeMachine(versions)
  refuseBusyMachine(machine)
  const [samples, failures]: [Sample[], string[]] = [[], []]
  const date = new Date().toISOString()
  const run: Run = { date, kind: values.quick ? 'quick' : 'full', machine, leftOut, failures, samples }
  const began = performance.now()
  const log: Log = {
    ...{ samples, failures, signal },
    progress: (text) =>
      void process.stderr.write(`${((performance.now() - began) / 1000).toFixed(0).padStart(5)} s  ${text}\n`),
    roundIsOver: async () => {
      if (values.save !== undefined) await saveRun(values.save, run)
    },
  }
  for (const text of leftOut) log.progress(text)
  const peers = new Set(versions.keys())

  const base = tmpdir()
  for (const swept of await sweepLeftovers(base)) log.progress(`ended and removed what a killed run left in ${swept}`)
  const directory = await ownDirectory(base)
  try {
    log.progress('compiling, starting the upstream and the access server')
    const ground = await Ground.start(directory)
    try {
      const tables: Record<TableId, () => Promise<void>> = {
        gateway: () => measureDataPlane('gateway', ground, gatewayWays(ground, peers), sizes, measures, log),
        'whole-way': () => measureDataPlane('whole-way', ground, wholeWays(ground, peers), sizes, measures, log),
        'proxy-tax': async () => {
          if (cells.length > 0) await measureProxyTax(ground, taxWays(ground, peers), { ...tax, cells }, log)
        },
        neighbours: () => measureNeighbours(ground, neighbourWays(ground, peers), beside, measures, log),
      }
      for (const [id, measureTable] of Object.entries(tables))
        if (only.includes(id)) await measureTable().catch((error: unknown) => giveUp(id, error))
    } finally {
      await ground.stop()
    }
    log.progress('done')
  } catch (error) {
    if (!signal.aborted || samples.length === 0) throw error
    failures.push(`the run was not through: ${error instanceof Error ? error.message : String(error)}`)
    process.exitCode = 1
  } finally {
    await removeRun(directory)
  }
  return run

  /** A table that cannot be measured leaves the others. */
  function giveUp(table: string, error: unknown): void {
    signal.throwIfAborted()
    failures.push(`${table} could not be measured: ${error instanceof Error ? error.message : String(error)}`)
    process.exitCode = 1
  }
}

async function main(): Promise<void> {
  const signal = ending()
  const run = values.from === undefined ? await measure(signal) : await readRuns(values.from.split(','))
  if (values.save !== undefined) await saveRun(values.save, run)
  if (values.markdown !== undefined && !signal.aborted) {
    refuseBusyMachine(run.machine)
    await writeFile(values.markdown, putInto(await readFile(values.markdown, 'utf8'), toMarkdown(run)))
  }
  const text = values.json ? JSON.stringify(toJson(run), null, 2) : toMarkdown(run)
  if (!process.stdout.write(`${text}\n`)) await once(process.stdout, 'drain')
}

if (values.help) process.stdout.write(HELP)
else
  await main().catch((error: unknown) => {
    process.stderr.write(`npm run bench: ${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = 1
  })
