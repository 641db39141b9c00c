// A setting that is on or off.
import type { AppSettings } from '../../../shared/app-state.ts'
import { Switch } from '../../components/field.tsx'
import { SettingRow } from './setting-row.tsx'
import { useSetting } from './use-setting.ts'

type SwitchKey = 'backgroundMode' | 'startAtLogin'
type SwitchSettingProps = {
  settings: AppSettings
  name: SwitchKey
  id: string
  title: string
  hint: string
  isDisabled?: boolean
}

export function SwitchSetting({ settings, name, id, title, hint, isDisabled = false }: SwitchSettingProps) {
  const setting = useSetting(settings, name)
  return (
    <SettingRow
      id={id}
      title={title}
      hint={hint}
      status={setting.status}
      error={setting.error}
      labelFor={`${id}-control`}
    >
      <Switch
        id={`${id}-control`}
        aria-labelledby={`${id}-title`}
        aria-describedby={`${id}-hint`}
        checked={setting.value}
        disabled={isDisabled}
        onChange={(event) => void setting.save(event.currentTarget.checked)}
      />
    </SettingRow>
  )
}
