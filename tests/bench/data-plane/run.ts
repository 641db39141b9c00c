// Entry of `npm run bench` (build/bench.mjs starts it): one interleaved run of everything, then tables or one JSON object on
// standard output; progress on standard error. Judges by ratios of one run only. Exit code 1 if Postern itself could not be measured.
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { gatewayWays, measureDataPlane, wholeWays, type Sizes } from './data-plane.ts'
import { describeMachine } from './machine.ts'
import { findPeers } from './peers.ts'
import { Ground } from './postern-side.ts'
import { CELLS, measureProxyTax, taxWays, type TaxSizes } from './proxy-tax.ts'
import { putInto, toJson, toMarkdown, type Run } from './report.ts'
import type { Log } from './rounds.ts'
import { TABLES } from './rows.ts'

const FULL: Sizes = { rounds: 3, bulkBytes: 400e6, pings: 4000, connectMs: 1500, idleMs: 2000 }
const QUICK: Sizes = { rounds: 1, bulkBytes: 60e6, pings: 1000, connectMs: 500, idleMs: 500 }
const FULL_TAX: TaxSizes = { rounds: 3, seconds: 2, scale: 5, cells: CELLS }
const QUICK_TAX: TaxSizes = {
  rounds: 1,
  seconds: 1,
  scale: 1,
  cells: ['simple-1', 'simple-8', 'prepared-8', 'reconnect-1'],
}

const HELP = `npm run bench [-- OPTIONS]
  --quick             one short round of the most important figures, under two minutes
  --json              one JSON object instead of tables
  --markdown FILE     also puts the tables into FILE, between its bench marks
  --rounds N          rounds (default 3, with --quick 1)
  --only TABLES       of ${TABLES.map(({ id }) => id).join(', ')}
  --measures IDS      only these: up-1, down-8, ping, connect-1, first-byte, idle … simple-8, prepared-64, reconnect-1 …
  --install-peers     first installs the Debian packages of the peers (as root)
`

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    markdown: { type: 'string' },
    rounds: { type: 'string' },
    only: { type: 'string' },
    measures: { type: 'string', default: '' },
    'install-peers': { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  },
})

async function main(): Promise<Run> {
  const ending = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.on(signal, () => ending.abort(new Error(`the benchmark was ended by ${signal}`)))
  const rounds = values.rounds === undefined ? {} : { rounds: Number(values.rounds) }
  const sizes = { ...(values.quick ? QUICK : FULL), ...rounds }
  const tax = { ...(values.quick ? QUICK_TAX : FULL_TAX), ...rounds }
  const only = values.only?.split(',') ?? TABLES.map(({ id }) => id)
  const measures = values.measures.split(',').filter((id) => id !== '')
  const cells = measures.length === 0 ? tax.cells : CELLS.filter((cell) => measures.includes(cell))
  const log: Log = {
    samples: [],
    failures: [],
    progress: (text) => void process.stderr.write(`${text}\n`),
    signal: ending.signal,
  }
  const { versions, leftOut } = await findPeers()
  for (const text of leftOut) log.progress(text)
  const peers = new Set(versions.keys())
  const machine = await describeMachine(versions)
  const date = new Date().toISOString()

  const directory = await mkdtemp(join(tmpdir(), 'postern-bench-'))
  try {
    log.progress('compiling, starting the upstream and the access server')
    const ground = await Ground.start(directory)
    try {
      if (only.includes('gateway'))
        await measureDataPlane('gateway', ground, gatewayWays(ground, peers), sizes, measures, log)
      if (only.includes('whole-way'))
        await measureDataPlane('whole-way', ground, wholeWays(ground, peers), sizes, measures, log)
      if (only.includes('proxy-tax') && cells.length > 0)
        await measureProxyTax(ground, taxWays(ground, peers), { ...tax, cells }, log)
    } finally {
      await ground.stop()
    }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
  const { samples, failures } = log
  return { date, kind: values.quick ? 'quick' : 'full', rounds: sizes.rounds, machine, leftOut, failures, samples }
}

if (values.help) process.stdout.write(HELP)
else
  try {
    const run = await main()
    const text = values.json ? JSON.stringify(toJson(run), null, 2) : toMarkdown(run)
    if (values.markdown !== undefined)
      await writeFile(values.markdown, putInto(await readFile(values.markdown, 'utf8'), toMarkdown(run)))
    if (!process.stdout.write(`${text}\n`)) await once(process.stdout, 'drain')
  } catch (error) {
    process.stderr.write(`npm run bench: ${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = 1
  }
