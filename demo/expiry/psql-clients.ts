// Real psql programs, as a person starts them: found, started with nothing but a URL, watched until they end. Used by
// scenario.ts. Each is ended by its own process id with the signal that it was started under.
import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { access, constants } from 'node:fs/promises'
import path from 'node:path'
import type { Readable } from 'node:stream'
import { findPostgresBinaries } from '../postgres/binaries.ts'
import { PosternError } from '../../shared/errors.ts'

/** psql says more than enough in that many characters when it fails. */
const COMPLAINT_MAX_CHARS = 500

export type PsqlEnd = {
  /** From its start to its end, in ms. */
  tookMs: number
  /** What it printed, a row a line. */
  rows: string[]
  /** What it said on stderr, or how it ended; null where all was well. */
  problem: string | null
}

export type Psql = {
  readonly pid: number
  readonly isOver: boolean
  /** Rows printed so far. */
  readonly rowCount: number
  /** The longest time between two pieces of its output so far, in ms. */
  readonly longestPauseMs: number
  /** Resolves when it has ended; never rejects. */
  readonly ended: Promise<PsqlEnd>
}

/**
 * psql on the PATH, else beside the PostgreSQL server's programs.
 * @throws PosternError `not_found`: the embedded PostgreSQL of npm has no psql
 */
export async function findPsql(searchPath: string): Promise<string> {
  const name = process.platform === 'win32' ? 'psql.exe' : 'psql'
  const beside = await findPostgresBinaries({ searchPath }).catch(() => undefined)
  for (const folder of [...searchPath.split(path.delimiter), beside?.binDir ?? '']) {
    const file = path.join(folder, name)
    if (folder !== '' && (await isProgram(file))) return file
  }
  throw new PosternError(
    'not_found',
    'this plays with real psql clients, and there is no psql here: install it (Debian and Ubuntu: apt install postgresql-client)',
  )
}

const isProgram = (file: string): Promise<boolean> =>
  access(file, constants.X_OK).then(
    () => true,
    () => false,
  )

/**
 * Starts psql with one statement.
 * @param options.name what it calls itself (application_name)
 * @param options.env whose PG* variables it does not get
 * @param options.signal ends it at once
 */
export function startPsql(options: {
  program: string
  name: string
  url: string
  sql: string
  env: NodeJS.ProcessEnv
  signal: AbortSignal
}): Psql {
  const startedAt = performance.now()
  const child = spawn(options.program, ['-X', '-A', '-t', '-w', '-c', options.sql, options.url], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: environmentFor(options.name, options.env),
    signal: options.signal,
    killSignal: 'SIGKILL',
  })
  return watch(child, startedAt)
}

function watch(child: ChildProcessByStdio<null, Readable, Readable>, startedAt: number): Psql {
  const rows: string[] = []
  let rest = ''
  let complaint = ''
  let lastOutputAt: number | undefined
  let longestPauseMs = 0
  let isOver = false
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const now = performance.now()
    longestPauseMs = Math.max(longestPauseMs, now - (lastOutputAt ?? now))
    lastOutputAt = now
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    rows.push(...lines)
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(0, COMPLAINT_MAX_CHARS)
  })
  const ended = new Promise<PsqlEnd>((resolve) => {
    const end = (how: string | null) => {
      isOver = true
      const problem = [how, complaint.trim()].filter(Boolean).join(': ')
      resolve({ tookMs: performance.now() - startedAt, rows, problem: problem === '' ? null : problem })
    }
    child.once('error', (error) => end(error.message))
    child.once('close', (code, signal) => end(code === 0 ? null : `psql ended with ${code ?? signal ?? 'nothing'}`))
  })
  return {
    pid: child.pid ?? -1,
    ended,
    get isOver() {
      return isOver
    },
    get rowCount() {
      return rows.length
    },
    get longestPauseMs() {
      return longestPauseMs
    },
  }
}

/** A person's PGHOST or PGPASSWORD must not change what is shown here. */
function environmentFor(name: string, env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const clean = Object.entries(env).filter(([key]) => !key.startsWith('PG'))
  return { ...Object.fromEntries(clean), PGAPPNAME: name }
}
