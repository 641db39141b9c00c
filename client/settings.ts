// The person's own settings of the core, HOME/settings.json: how long a held connection waits, how soon the core ends.
// Read once at the start by main.ts; an unknown or wrong key is an error that names it.
import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { Duration } from '../shared/duration.ts'
import { PosternError } from '../shared/errors.ts'

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
  })
  .refine((settings) => settings.loginWait <= settings.loginHardLimit, {
    message: 'loginHardLimit is shorter than loginWait',
    path: ['loginHardLimit'],
  })

/** All durations in milliseconds. */
export type Settings = z.output<typeof Settings>

export const defaultSettings = (): Settings => Settings.parse({})

/**
 * The settings of a home; defaults where the file or a key is missing.
 * @throws PosternError `misconfigured` naming the file and the key
 */
export async function readSettings(file: string): Promise<Settings> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return defaultSettings()
    throw error
  }
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (error) {
    throw new PosternError('misconfigured', `${file} is not valid JSON; correct it or remove it`, { cause: error })
  }
  const parsed = Settings.safeParse(json)
  if (parsed.success) return parsed.data
  const problems = parsed.error.issues.map((issue) => [issue.path.join('.'), issue.message].filter(Boolean).join(': '))
  throw new PosternError('misconfigured', `${file}: ${problems.join('; ')}`, { cause: parsed.error })
}
