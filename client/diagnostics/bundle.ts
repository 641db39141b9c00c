// The diagnostics bundle: versions, settings, states and the end of the core's log, with names taken out, written 0600 into
// HOME/diagnostics and shown to the person before anybody else gets it. Called for `diagnostics.bundle`.
import { randomBytes } from 'node:crypto'
import { mkdir, open } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { AppState, Diagnostics } from '../../shared/app-state.ts'
import { writeFileAtomically } from '../atomic-file.ts'
import type { Home } from '../home.ts'
import { createRedaction, withoutPem, type Redaction, type StandIn } from './redaction.ts'

export type DiagnosticsSources = {
  home: Home
  appVersion: string
  platform: NodeJS.Platform
  now: () => number
  /** The state of the app as it is now. */
  stateNow: () => AppState
  /** Names of resources that the server told, whether or not they are in the state. */
  seenNames: ReadonlySet<string>
}

const LOG_LINES = 500
/** As much of the end of the log is read, in bytes, and as much of one line is shown, in characters. */
const LOG_TAIL_MAX_BYTES = 2 * 1024 * 1024
const LINE_MAX_CHARS = 2000

/** Writes a bundle and returns it, with the id under which a person can speak of it. */
export async function writeDiagnostics(sources: DiagnosticsSources): Promise<Diagnostics> {
  const { home, now } = sources
  const id = `diag-${randomBytes(4).toString('hex')}`
  const state = sources.stateNow()
  const log = await readLogTail(home.logFile)
  const redaction = createRedaction()
  learnFromState(redaction, state, sources)
  // Only those that occur: each name known costs time at every text.
  const whole = log.join('\n')
  for (const name of sources.seenNames) if (whole.includes(name)) redaction.learn('resource', name)
  for (const line of log) learnFromLogLine(redaction, line)
  const bundle = {
    id,
    madeAt: new Date(now()).toISOString(),
    versions: { postern: sources.appVersion, ...pickVersions(process.versions) },
    platform: `${sources.platform} ${process.arch}`,
    state: redaction.value(state),
    log: log.map((line) => logLineText(redaction, line)),
  }
  const text = `${JSON.stringify(bundle, undefined, 2)}\n`
  const dir = join(home.dir, 'diagnostics')
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const file = join(dir, `${id}.json`)
  await writeFileAtomically(file, text)
  return { id, file, text }
}

function learnFromState(redaction: Redaction, state: AppState, { home }: DiagnosticsSources): void {
  redaction.learn('path', home.dir)
  for (const profile of Object.values(state.profiles)) {
    redaction.learn('profile', profile.profile)
    redaction.learn('user', profile.user)
    learnAddress(redaction, profile.address)
    redaction.learn('id', profile.fingerprint)
  }
  for (const gateway of Object.values(state.gateways)) {
    redaction.learn('gateway', gateway.id)
    redaction.learn('resource', gateway.resource)
    redaction.learn('account', gateway.account)
    redaction.learn('database', gateway.database)
    // Its URL carries the one, its strings the other.
    redaction.learn('id', gateway.password)
    redaction.learn('path', gateway.socket)
    for (const { client } of gateway.connectionList) redaction.learn('client', client)
  }
  for (const login of Object.values(state.logins)) {
    redaction.learn('user', login.user)
    if (login.reason.kind === 'connection') redaction.learn('client', login.reason.client)
  }
}

function learnAddress(redaction: Redaction, address: string): void {
  const host = address.replace(/:\d+$/, '')
  if (host !== '127.0.0.1' && host !== 'localhost') redaction.learn('host', host)
}

/** Fields of log lines that hold a name. */
const NAME_FIELDS: Readonly<Record<string, StandIn>> = {
  profile: 'profile',
  user: 'user',
  resource: 'resource',
  account: 'account',
  database: 'database',
  gateway: 'gateway',
  client: 'client',
  session: 'id',
  home: 'path',
  hostname: 'host',
}

const LogLine = z.record(z.string(), z.unknown())

function learnFromLogLine(redaction: Redaction, line: string): void {
  for (const [field, value] of Object.entries(parseLine(line) ?? {})) {
    const kind = NAME_FIELDS[field]
    if (kind && typeof value === 'string') redaction.learn(kind, value)
  }
}

/** JSON lines are redacted by value; what is not one (a crash) is redacted as text. */
function logLineText(redaction: Redaction, line: string): string {
  const parsed = parseLine(line)
  return (parsed ? JSON.stringify(redaction.value(parsed)) : redaction.text(line)).slice(0, LINE_MAX_CHARS)
}

function parseLine(line: string): Record<string, unknown> | undefined {
  try {
    return LogLine.safeParse(JSON.parse(line)).data
  } catch {
    return undefined
  }
}

/** The last lines of a log; none where there is no log. */
async function readLogTail(path: string): Promise<string[]> {
  const file = await open(path, 'r').catch(() => undefined)
  if (!file) return []
  try {
    const { size } = await file.stat()
    const start = Math.max(0, size - LOG_TAIL_MAX_BYTES)
    const { buffer, bytesRead } = await file.read(Buffer.alloc(size - start), 0, size - start, start)
    const lines = withoutPem(buffer.toString('utf8', 0, bytesRead)).split('\n')
    // The first may be cut.
    if (start > 0) lines.shift()
    return lines.filter((line) => line !== '').slice(-LOG_LINES)
  } finally {
    await file.close()
  }
}

const pickVersions = ({ node, v8, openssl }: NodeJS.ProcessVersions) => ({ node, v8, openssl })
