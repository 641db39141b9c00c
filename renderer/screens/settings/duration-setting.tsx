// A setting that is a time, written as people write it (30s, 5m, 1h30m); checked while it is typed, saved on leaving or Enter.
import { useState } from 'react'
import type { AppSettings } from '../../../shared/app-state.ts'
import { formatDuration, parseDuration } from '../../../shared/duration.ts'
import { flowTexts } from '../../flow-texts.ts'
import { SettingRow } from './setting-row.tsx'
import styles from './settings.module.css'
import { useSetting } from './use-setting.ts'

const words = flowTexts.settings

type DurationKey = 'loginWait' | 'loginHardLimit' | 'coolDown'
type DurationSettingProps = {
  settings: AppSettings
  name: DurationKey
  id: string
  title: string
  hint: string
}

/** What the core takes, in ms. */
const SHORTEST_MS = 1000
const LONGEST_MS = 24 * 60 * 60 * 1000

export function DurationSetting({ settings, name, id, title, hint }: DurationSettingProps) {
  const setting = useSetting(settings, name)
  const [draft, setDraft] = useState<string | null>(null)
  const checked = draft === null ? null : checkDuration(draft, name, settings)
  const problem = checked !== null && 'problem' in checked ? checked.problem : null

  const save = async (): Promise<void> => {
    if (checked === null || !('ms' in checked)) return
    if (checked.ms !== settings[name]) await setting.save(checked.ms)
    setDraft(null)
  }

  return (
    <SettingRow id={id} title={title} hint={hint} status={setting.status} error={setting.error} problem={problem}>
      <input
        className={styles.short}
        aria-labelledby={`${id}-title`}
        aria-describedby={problem === null ? `${id}-hint` : `${id}-problem`}
        aria-invalid={problem === null ? undefined : true}
        title={words.durationFormat}
        spellCheck={false}
        autoComplete="off"
        maxLength={20}
        value={draft ?? formatDuration(setting.value)}
        onChange={(event) => setDraft(event.currentTarget.value)}
        onBlur={() => void save()}
        onKeyDown={(event) => {
          if (event.key === 'Enter') void save()
          if (event.key === 'Escape') setDraft(null)
        }}
      />
    </SettingRow>
  )
}

function checkDuration(text: string, name: DurationKey, settings: AppSettings): { ms: number } | { problem: string } {
  const ms = parseDuration(text.replaceAll(/\s/g, '').toLowerCase())
  if (ms === undefined) return { problem: words.durationInvalid }
  if (ms < SHORTEST_MS || ms > LONGEST_MS) return { problem: words.durationBounds }
  if (name === 'loginWait' && ms > settings.loginHardLimit) return { problem: words.waitOverLimit }
  if (name === 'loginHardLimit' && ms < settings.loginWait) return { problem: words.limitUnderWait }
  return { ms }
}
