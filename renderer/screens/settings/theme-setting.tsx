// Light, dark, or as the system has it.
import type { AppSettings } from '../../../shared/app-state.ts'
import { Segmented } from '../../components/segmented.tsx'
import { flowTexts } from '../../flow-texts.ts'
import { SettingRow } from './setting-row.tsx'
import { useSetting } from './use-setting.ts'

const words = flowTexts.settings
const THEMES: readonly { value: AppSettings['theme']; title: string }[] = [
  { value: 'system', title: words.themeSystem },
  { value: 'light', title: words.themeLight },
  { value: 'dark', title: words.themeDark },
]

export function ThemeSetting({ settings }: { settings: AppSettings }) {
  const theme = useSetting(settings, 'theme')
  return (
    <SettingRow id="setting-theme" title={words.theme} status={theme.status} error={theme.error}>
      <Segmented
        label={words.theme}
        options={THEMES}
        value={theme.value}
        onChange={(value) => void theme.save(value)}
      />
    </SettingRow>
  )
}
