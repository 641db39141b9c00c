// Entry of `npm run demo:expiry`: a demo of its own in a fresh directory, the scenario with 20 psql on it, what happened as a
// table, and nothing left of all that. Exit code 0 only if every client got its rows. Only this file reads argv, environment,
// clock.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { pino } from 'pino'
import { onParentDeath } from '../../build/parent-death.mjs'
import { exitCodeOf, PosternError } from '../../shared/errors.ts'
import { preparePlaces } from '../places.ts'
import { endAll, startDemo, type Stack } from '../start-demo.ts'
import { findPsql } from './psql-clients.ts'
import { formatReport, formatStep, problemsOf, type ExpiryReport, type Step } from './report.ts'
import { playScenario } from './scenario.ts'

const HELP = `Usage: npm run demo:expiry [-- --json]

Shows what happens when a login expires: an access server and a PostgreSQL of their own, four gateways, four psql that are at
work all the time, and 20 psql that come after the expiry, are held, and print their rows after one login. Takes well under a
minute, leaves nothing behind, and ends with exit code 0 only if every psql got its rows.

  --json   one line of JSON on stdout at the end: {ok, tookMs, problems, steps, held, busy, …}; times in ms
`

/** A demonstration that takes longer hangs, in ms. */
const DEADLINE_MS = 180_000

async function play(say: (text: string, details?: string[]) => void, ending: AbortSignal): Promise<ExpiryReport> {
  const psql = await findPsql(process.env['PATH'] ?? '')
  const started: Stack = []
  const log = pino({ level: 'silent' })
  try {
    const dataDir = await mkdtemp(path.join(tmpdir(), 'postern-expiry-'))
    started.push(() => rm(dataDir, { recursive: true, force: true }))
    const places = await preparePlaces(dataDir, process.getuid?.())
    started.push(() => rm(places.postgresDir, { recursive: true, force: true }))
    const silent = { userTtl: undefined, routeTtl: undefined, progress: () => undefined, now: () => new Date(), log }
    const demo = await startDemo(places, { ...silent, durable: false }, started, ending)
    say('an access server and PostgreSQL run, in a directory of their own')
    const playing = playScenario({ demo, home: places.home, psql, env: process.env, say, signal: ending })
    return await Promise.race([playing, demo.broken])
  } finally {
    await endAll(started, log)
  }
}

/** Signals, and the death of `npm run` (which no signal tells), end it. */
function watchEnd(): AbortSignal {
  const controller = new AbortController()
  const end = () =>
    controller.abort(new PosternError('login_cancelled', 'interrupted; everything that was started has ended'))
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, end)
  onParentDeath(end)
  const late = () => controller.abort(new PosternError('internal', `not done within ${DEADLINE_MS / 1000} s`))
  setTimeout(late, DEADLINE_MS).unref()
  return controller.signal
}

function parseFlags(args: string[]): { json: boolean; help: boolean } {
  try {
    const options = {
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false, short: 'h' },
    } as const
    return parseArgs({ args, options }).values
  } catch (error) {
    const text = error instanceof Error ? error.message : 'unknown flag'
    throw new PosternError('bad_request', `${text}. See: npm run demo:expiry -- --help`, { cause: error })
  }
}

async function main(): Promise<number> {
  const ending = watchEnd()
  const startedAt = performance.now()
  try {
    const { json, help } = parseFlags(process.argv.slice(2))
    if (help) {
      process.stdout.write(HELP)
      return 0
    }
    const steps: Step[] = []
    const say = (text: string, details: string[] = []): void => {
      const step = { atMs: Math.round(performance.now() - startedAt), text, details }
      steps.push(step)
      if (!json) process.stdout.write(formatStep(step))
    }
    if (!json) process.stdout.write('\nA login expires while psql is at work.\n\n')
    const report = await play(say, ending)
    const tookMs = Math.round(performance.now() - startedAt)
    const problems = problemsOf(report)
    process.stdout.write(
      json
        ? `${JSON.stringify({ ok: problems.length === 0, tookMs, problems, steps, ...report })}\n`
        : formatReport(report, tookMs),
    )
    return problems.length === 0 ? 0 : 1
  } catch (error) {
    const why = ending.aborted ? (ending.reason as Error) : error
    process.stderr.write(`npm run demo:expiry: ${why instanceof Error ? why.message : String(why)}\n`)
    return Math.max(1, exitCodeOf(why))
  }
}

// A reader that is gone (npm was killed) is no reason to end without cleaning up.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined)
const exitCode = await main()
process.exit(exitCode)
