// The process settings of the access server: one YAML file, strict, every setting with a default; flags override it.
// Called by main.ts. A wrong setting is refused at the start and named with its file, its key and what would be right (E3).
import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import path from 'node:path'
import { parseDocument } from 'yaml'
import { z } from 'zod'
import { Duration, parseDuration } from '../shared/duration.ts'
import { PosternError } from '../shared/errors.ts'
import { DEFAULT_SERVER_PORT, Name } from '../shared/names.ts'
import { parseServerName } from './ca/server-name.ts'
import { Oidc, readOidcConfig, type OidcConfig } from './sso/oidc-settings.ts'
import type { StoreLocation } from './store/store.ts'

/** Largest life of a login: longer than a month is no short-lived certificate any more (C2). */
const MAX_USER_TTL_MS = 31 * 86_400_000

const Listen = z.string().transform((text, context) => {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:\s]+)):(\d{1,5})$/.exec(text)
  const port = Number(match?.[3])
  if (match && port <= 65_535) return { host: match[1] ?? match[2] ?? '', port }
  context.addIssue({ code: 'custom', message: `"${text}" is not HOST:PORT (IPv6 in brackets), such as 0.0.0.0:3443` })
  return z.NEVER
})

const ServerNameText = z
  .string()
  .refine((name) => parseServerName(name) !== undefined, 'this is neither a DNS name nor an IP address')

const DurationOrNone = z.string().transform((text, context) => {
  const durationMs = text === 'none' ? null : parseDuration(text)
  if (durationMs !== undefined) return durationMs
  context.addIssue({ code: 'custom', message: `"${text}" is neither a duration such as 30s, 10m or 8h nor none` })
  return z.NEVER
})

/** Longest life of user certificates (= logins), and life of route certificates. */
const Ttl = z.strictObject({
  user: Duration.refine((ms) => ms <= MAX_USER_TTL_MS, 'a login lives at most 31d').default(8 * 3_600_000),
  route: Duration.default(600_000),
})

/** Failed logins per minute before the next one has to wait. */
const LoginLimits = z.strictObject({
  perUserPerMinute: z.number().int().min(4).max(10_000).default(10),
  perAddressPerMinute: z.number().int().min(4).max(100_000).default(60),
})

/** Control streams (one a login) that may be open at once. */
const ControlStreamLimits = z.strictObject({
  total: z.number().int().min(1).max(1_000_000).default(10_000),
  perUser: z.number().int().min(1).max(10_000).default(50),
})

/** Limits of sessions whose role says nothing else (S7, I2); how often it is looked whether one is idle; when a peer counts as stopped. */
const Sessions = z.strictObject({
  idleTimeout: DurationOrNone.default(30 * 60_000),
  maxDuration: DurationOrNone.default(null),
  reaperInterval: Duration.refine((ms) => ms >= 10 && ms <= 3_600_000, 'the reaper looks every 10ms to 1h').default(
    60_000,
  ),
  /** How long bytes may wait for a client or a target that takes none; then its connection is ended (I3). */
  writeStallTimeout: Duration.prefault('5m'),
})

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|::1)$/i

/** Metrics and health, without a login and without TLS. */
const MetricsSettings = z
  .strictObject({
    /** HOST:PORT; there is no such port without it. */
    listen: Listen.optional(),
    /** Says that other machines are meant to reach it. */
    exposed: z.boolean().default(false),
  })
  .superRefine(({ listen, exposed }, context) => {
    if (listen === undefined || exposed || LOOPBACK.test(listen.host)) return
    context.addIssue({
      code: 'custom',
      path: ['listen'],
      message: `${listen.host} is not loopback, and whoever reaches it reads the metrics without a login; say metrics.exposed: true if that is meant`,
    })
  })

/** A duration that may be none: 0s. */
const Wait = z.string().transform((text, context) => {
  const waitMs = /^0(ms|s|m|h)$/.test(text) ? 0 : parseDuration(text)
  if (waitMs !== undefined && waitMs <= 3_600_000) return waitMs
  context.addIssue({ code: 'custom', message: `"${text}" is not a duration such as 0s, 30s or 10m, up to 1h` })
  return z.NEVER
})

/** What a graceful stop waits for, after SIGTERM. */
const Drain = z.strictObject({
  /** It still accepts, while balancers see that it is not ready any more. */
  delay: Wait.default(0),
  /** Then connections may end by themselves, before they are told and ended. */
  timeout: Wait.default(0),
})

const Audit = z.strictObject({
  /** Days that events are kept; for ever without it. */
  retention: z
    .string()
    .regex(/^[1-9]\d{0,4}d$/, 'how many days events are kept, such as 90d')
    .transform((text) => Number.parseInt(text) * 86_400_000)
    .optional(),
})

const Log = z.strictObject({
  level: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info'),
  /** File that lines are appended to; standard error if there is none. */
  file: z.string().min(1).optional(),
})

const SqliteStore = z.strictObject({ kind: z.literal('sqlite') })
const PostgresStore = z.strictObject({
  kind: z.literal('postgres'),
  url: z.string().regex(/^postgres(ql)?:\/\//, 'a PostgreSQL store needs a url such as postgresql://HOST/DATABASE'),
})

const Settings = z.strictObject({
  /** Name of the cluster; it is in every certificate, so it is chosen once, before `init`. */
  cluster: Name.default('postern'),
  /** Address of the public TLS port. */
  listen: Listen.default({ host: '127.0.0.1', port: DEFAULT_SERVER_PORT }),
  /** DNS names and IP addresses of the server's certificate. */
  serverNames: z.array(ServerNameText).min(1).optional(),
  dataDir: z.string().min(1).optional(),
  masterKeyFile: z.string().min(1).optional(),
  store: z.discriminatedUnion('kind', [SqliteStore, PostgresStore]).default({ kind: 'sqlite' }),
  ttl: Ttl.prefault({}),
  loginLimits: LoginLimits.prefault({}),
  controlStreams: ControlStreamLimits.prefault({}),
  sessions: Sessions.prefault({}),
  audit: Audit.prefault({}),
  metrics: MetricsSettings.prefault({}),
  drain: Drain.prefault({}),
  log: Log.prefault({}),
  /** The identity provider that people can log in with; none without it. */
  oidc: Oidc.optional(),
})

/** Known keys of each section, for the hint after a slip of the finger; '' is the top. */
const KNOWN_KEYS: Record<string, string[]> = {
  '': Object.keys(Settings.shape),
  ttl: Object.keys(Ttl.shape),
  loginLimits: Object.keys(LoginLimits.shape),
  controlStreams: Object.keys(ControlStreamLimits.shape),
  sessions: Object.keys(Sessions.shape),
  audit: Object.keys(Audit.shape),
  metrics: Object.keys(MetricsSettings.shape),
  drain: Object.keys(Drain.shape),
  log: Object.keys(Log.shape),
  oidc: Object.keys(Oidc.shape),
  store: Object.keys(PostgresStore.shape),
}

/** Every setting, `section.key`: docs/operations.md has each of them. */
export const SETTING_KEYS: readonly string[] = Object.keys(Settings.shape).flatMap((key) =>
  KNOWN_KEYS[key] === undefined ? [key] : KNOWN_KEYS[key].map((inner) => `${key}.${inner}`),
)

export type ServerConfig = Omit<
  z.output<typeof Settings>,
  'store' | 'serverNames' | 'dataDir' | 'masterKeyFile' | 'log' | 'oidc'
> & {
  serverNames: string[]
  /** Absolute. */
  dataDir: string
  /** Absolute. */
  masterKeyFile: string
  /** Lines go to the file (absolute), or to standard error. */
  log: { level: z.output<typeof Log>['level']; file?: string }
  /** A PostgreSQL URL may hold a password: never log it. */
  store: StoreLocation
  /** With its files read. */
  oidc: OidcConfig | undefined
}

/** Flags of the command line, as typed. */
export type ConfigOverrides = { dataDir?: string; listen?: string; userTtl?: string; routeTtl?: string }

/**
 * Reads the settings. Relative paths in the file count from the file's folder, flags from the working directory.
 * @throws PosternError `misconfigured` that names the file (or flag), the key and the nearest known key
 */
export function loadConfig(file: string | undefined, overrides: ConfigOverrides = {}): ServerConfig {
  checkFlags(overrides)
  const where = file ?? 'the settings'
  const fromFile = Settings.safeParse(file === undefined ? {} : readYaml(file))
  if (!fromFile.success) throw misconfigured(where, describeIssue(fromFile.error))
  const settings = fromFile.data

  const base = file === undefined ? process.cwd() : path.dirname(path.resolve(file))
  const dataDir =
    overrides.dataDir !== undefined
      ? path.resolve(overrides.dataDir)
      : settings.dataDir !== undefined
        ? path.resolve(base, settings.dataDir)
        : path.join(homedir(), '.local', 'state', 'postern-server')
  const listen = overrides.listen === undefined ? settings.listen : Listen.parse(overrides.listen)
  return {
    ...settings,
    listen,
    dataDir,
    serverNames: settings.serverNames ?? defaultServerNames(listen.host),
    masterKeyFile: path.resolve(base, settings.masterKeyFile ?? path.join(dataDir, 'master.key')),
    log: {
      level: settings.log.level,
      ...(settings.log.file === undefined ? {} : { file: path.resolve(base, settings.log.file) }),
    },
    store:
      settings.store.kind === 'sqlite'
        ? { kind: 'sqlite', file: path.join(dataDir, 'postern.sqlite') }
        : settings.store,
    oidc: settings.oidc === undefined ? undefined : readOidcConfig(settings.oidc, base, where),
    ttl: {
      user: overrides.userTtl === undefined ? settings.ttl.user : Duration.parse(overrides.userTtl),
      route: overrides.routeTtl === undefined ? settings.ttl.route : Duration.parse(overrides.routeTtl),
    },
  }
}

const misconfigured = (where: string, problem: string, cause?: unknown): PosternError =>
  new PosternError('misconfigured', `${where}: ${problem}`, { cause })

/** Each flag on its own, so that the error names it and not the file. */
function checkFlags({ listen, userTtl, routeTtl }: ConfigOverrides): void {
  if (listen !== undefined) {
    const parsed = Listen.safeParse(listen)
    if (!parsed.success) throw misconfigured('--listen', parsed.error.issues[0]?.message ?? 'not HOST:PORT')
  }
  for (const [flag, text] of [['--user-ttl', userTtl] as const, ['--route-ttl', routeTtl] as const]) {
    if (text === undefined) continue
    const ttlMs = parseDuration(text)
    if (ttlMs === undefined) throw misconfigured(flag, `"${text}" is not a duration such as 30s, 10m, 8h or 1h30m`)
    if (ttlMs > MAX_USER_TTL_MS) throw misconfigured(flag, `"${text}" is longer than 31d`)
  }
}

function readYaml(file: string): unknown {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (cause) {
    throw misconfigured(file, 'this settings file cannot be read', cause)
  }
  const document = parseDocument(text)
  const [error] = document.errors
  if (error) throw misconfigured(file, `this is not YAML: ${error.message.split('\n', 1)[0] ?? ''}`, error)
  return document.toJS() ?? {}
}

const defaultServerNames = (host: string): string[] => [
  ...new Set(['localhost', '127.0.0.1', ...(host === '0.0.0.0' || host === '::' ? [] : [host])]),
]

/** One sentence on the first problem: its key path, what is wrong, and the known key that was probably meant. */
function describeIssue(error: z.ZodError): string {
  const issue = error.issues[0]
  if (!issue) return 'not the settings of an access server'
  const keyPath = issue.path.map(String)
  if (issue.code !== 'unrecognized_keys') {
    return keyPath.length === 0
      ? `settings are a list of KEY: VALUE; ${issue.message}`
      : `${keyPath.join('.')}: ${issue.message}`
  }
  const unknown = issue.keys[0] ?? ''
  const known = KNOWN_KEYS[keyPath.join('.')] ?? []
  const nearest = nearestName(unknown, known)
  const hint = nearest === undefined ? `known keys: ${known.join(', ')}` : `did you mean ${nearest}?`
  return `unknown key ${[...keyPath, unknown].join('.')}; ${hint}`
}

/** The candidate with the smallest edit distance, if it is near enough to be a slip of the finger. */
export function nearestName(name: string, candidates: readonly string[]): string | undefined {
  const ranked = candidates
    .map((candidate) => ({ candidate, distance: editDistance(name.toLowerCase(), candidate.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance)
  const [best] = ranked
  return best && best.distance <= Math.max(2, Math.floor(best.candidate.length / 3)) ? best.candidate : undefined
}

/** Levenshtein's distance, one row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const substitution = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(substitution, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}
