// The person's own settings of the core, HOME/settings.json: how long a held connection waits, which ports gateways get, how the
// app looks. Read once at the start by main.ts, changed through settings-store.ts; an unknown or wrong key is an error that
// names it.
import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { Duration } from '../shared/duration.ts'
import { PosternError } from '../shared/errors.ts'

/** Below it are ports that need more rights. */
const LOWEST_PORT = 1024
const Port = z
  .number()
  .int()
  .min(LOWEST_PORT, `a port is from ${LOWEST_PORT} to 65535`)
  .max(65_535, `a port is from ${LOWEST_PORT} to 65535`)

const Settings = z
  .strictObject({
    /** How long a connection waits for a login that nobody has begun (G9). */
    loginWait: Duration.prefault('60s'),
    /** How long it waits at most, even while a login is under way (G9). */
    loginHardLimit: Duration.prefault('5m'),
    /** How long new connections are refused at once after a login was cancelled, failed or timed out (G7). */
    coolDown: Duration.prefault('10s'),
    /** How long the core lives on after the last host left, if no detached gateway is open. */
    idleExit: Duration.prefault('3s'),
    /** How long bytes may wait for a client or a server that takes none; then the connection is ended (I3). Longer than the server's own. */
    writeStallTimeout: Duration.prefault('6m'),
    theme: z.enum(['system', 'light', 'dark']).default('system'),
    /** Ports for new gateways, both ends included; null: chosen outside the system's ephemeral range (G16). */
    portRange: z
      .strictObject({ from: Port, to: Port })
      .refine(({ from, to }) => from <= to, { message: 'it ends before it begins' })
      .nullable()
      .default(null),
    /** The core lives on without any window or terminal. */
    backgroundMode: z.boolean().default(false),
    /** The app is started when the person logs in to the machine; the shell sees to it. */
    startAtLogin: z.boolean().default(false),
    /** Whether gateways ask for a password of their own (G18); without it, as the system needs it (gateway-password.ts). */
    gatewayPassword: z.enum(['off', 'on']).optional(),
  })
  .refine((settings) => settings.loginWait <= settings.loginHardLimit, {
    message: 'loginHardLimit is shorter than loginWait',
    path: ['loginHardLimit'],
  })

/** All durations in milliseconds. */
export type Settings = z.output<typeof Settings>

export const defaultSettings = (): Settings => Settings.parse({})

/** What is wrong with settings, naming the keys; or the settings. */
export function checkSettings(json: unknown): { settings: Settings } | { problem: string; cause: unknown } {
  const parsed = Settings.safeParse(json)
  if (parsed.success) return { settings: parsed.data }
  const problems = parsed.error.issues.map((issue) => [issue.path.join('.'), issue.message].filter(Boolean).join(': '))
  return { problem: problems.join('; '), cause: parsed.error }
}

/**
 * The JSON of a settings file as it stands there; an empty object where there is none.
 * @throws PosternError `misconfigured` naming the file if it is not JSON
 */
export async function readSettingsJson(file: string): Promise<unknown> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return {}
    throw error
  }
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new PosternError('misconfigured', `${file} is not valid JSON; correct it or remove it`, { cause: error })
  }
}

/**
 * The settings of a home; defaults where the file or a key is missing.
 * @throws PosternError `misconfigured` naming the file and the key
 */
export async function readSettings(file: string): Promise<Settings> {
  const checked = checkSettings(await readSettingsJson(file))
  if ('settings' in checked) return checked.settings
  throw new PosternError('misconfigured', `${file}: ${checked.problem}`, { cause: checked.cause })
}
