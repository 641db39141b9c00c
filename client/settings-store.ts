// The settings as they are now, and changing them from the settings screen: checked whole, written to the file, then published
// in one assignment; a wrong value changes nothing. Whoever needs a setting reads it here at use. Called by core.ts.
import { z } from 'zod'
import { AppSettings } from '../shared/app-state.ts'
import { PosternError } from '../shared/errors.ts'
import { defaultGatewayPassword } from './gateways/gateway-password.ts'
import { writeFileAtomically } from './atomic-file.ts'
import { checkSettings, readSettingsJson, type Settings } from './settings.ts'

export type SettingsStore = {
  current(): Settings
  /** What the settings screen shows. */
  view(): AppSettings
  /**
   * Changes some keys, effective at once.
   * @throws PosternError `bad_request` naming the key; `misconfigured` if the file was edited into something else meanwhile
   */
  update(changes: Record<string, unknown>): Promise<AppSettings>
}

/** Durations of the settings screen, in ms: from a second to a day. */
const DURATION_MIN_MS = 1000
const DURATION_MAX_MS = 24 * 3_600_000
const DURATIONS = ['loginWait', 'loginHardLimit', 'coolDown'] as const

const FileJson = z.record(z.string(), z.unknown())

export function createSettingsStore(
  file: string,
  initial: Settings,
  platform: NodeJS.Platform,
  onChanged: (settings: Settings) => void,
): SettingsStore {
  let settings = initial
  let writing: Promise<unknown> = Promise.resolve()

  const view = (): AppSettings => {
    const { theme, portRange, loginWait, loginHardLimit, coolDown, backgroundMode, startAtLogin } = settings
    const gatewayPassword = settings.gatewayPassword ?? defaultGatewayPassword(platform)
    return { theme, portRange, loginWait, loginHardLimit, coolDown, backgroundMode, startAtLogin, gatewayPassword }
  }

  const change = async (changes: Record<string, unknown>): Promise<AppSettings> => {
    const written = inFileForm(parseChanges(changes))
    const { idleExit } = settings
    const wanted = { ...inFileForm(view()), idleExit: textOf(idleExit), ...written }
    const checked = checkSettings(wanted)
    if (!('settings' in checked)) throw new PosternError('bad_request', checked.problem, { cause: checked.cause })
    const inFile = FileJson.safeParse(await readSettingsJson(file))
    const json = { ...inFile.data, ...written }
    const whole = checkSettings(json)
    if (!inFile.success || !('settings' in whole)) {
      const why = 'problem' in whole ? whole.problem : 'it is not a JSON object'
      throw new PosternError('misconfigured', `${file} was edited meanwhile: ${why}; correct it or remove it`)
    }
    await writeFileAtomically(file, `${JSON.stringify(json, undefined, 2)}\n`)
    settings = checked.settings
    onChanged(settings)
    return view()
  }

  return {
    current: () => settings,
    view,
    update(changes) {
      // One after the other: each writes what the one before it has left.
      const next = () => change(changes)
      const done = writing.then(next, next)
      writing = done
      return done
    },
  }
}

type Changes = { [K in keyof AppSettings]?: AppSettings[K] | undefined }

function parseChanges(changes: Record<string, unknown>): Changes {
  const parsed = z.strictObject(AppSettings.partial().shape).safeParse(changes)
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) =>
      [issue.path.join('.'), issue.message].filter(Boolean).join(': '),
    )
    throw new PosternError('bad_request', problems.join('; '))
  }
  for (const key of DURATIONS) {
    const ms = parsed.data[key]
    if (ms !== undefined && !(ms >= DURATION_MIN_MS && ms <= DURATION_MAX_MS)) {
      throw new PosternError('bad_request', `${key}: from a second to a day, in milliseconds; ${ms} is not`)
    }
  }
  return parsed.data
}

/** As the file has it: durations are texts there. */
function inFileForm(changes: Changes): Record<string, unknown> {
  const written: Record<string, unknown> = { ...changes }
  for (const key of DURATIONS) {
    const ms = changes[key]
    if (ms !== undefined) written[key] = textOf(Math.round(ms))
  }
  return written
}

/** The shortest exact text of a duration in ms. */
function textOf(ms: number): string {
  if (ms % 3_600_000 === 0) return `${ms / 3_600_000}h`
  if (ms % 60_000 === 0) return `${ms / 60_000}m`
  return ms % 1000 === 0 ? `${ms / 1000}s` : `${ms}ms`
}
