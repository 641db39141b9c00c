// Whether new gateways ask for a password of their own.
import type { AppSettings } from '../../../shared/app-state.ts'
import { Switch } from '../../components/field.tsx'
import { flowTexts } from '../../flow-texts.ts'
import { SettingRow } from './setting-row.tsx'
import { useSetting } from './use-setting.ts'

const words = flowTexts.settings
const ID = 'setting-password'

export function PasswordSetting({ settings }: { settings: AppSettings }) {
  const password = useSetting(settings, 'gatewayPassword')
  return (
    <SettingRow
      id={ID}
      title={words.gatewayPassword}
      hint={words.gatewayPasswordHint}
      status={password.status}
      error={password.error}
      labelFor={`${ID}-control`}
    >
      <Switch
        id={`${ID}-control`}
        aria-labelledby={`${ID}-title`}
        aria-describedby={`${ID}-hint`}
        checked={password.value === 'on'}
        onChange={(event) => void password.save(event.currentTarget.checked ? 'on' : 'off')}
      />
    </SettingRow>
  )
}
