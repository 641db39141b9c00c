// The person's settings, each saved at once and each explained where it stands.
import { Page, PageSection } from '../../components/page.tsx'
import { flowTexts } from '../../flow-texts.ts'
import { useShell } from '../../state/shell.ts'
import { DurationSetting } from './duration-setting.tsx'
import { PasswordSetting } from './password-setting.tsx'
import { PortSetting } from './port-setting.tsx'
import { SwitchSetting } from './switch-setting.tsx'
import { ThemeSetting } from './theme-setting.tsx'
import { useAppSettings } from './use-setting.ts'
import styles from './settings.module.css'

const words = flowTexts.settings

export function Settings() {
  const settings = useAppSettings()
  const shell = useShell()
  if (!settings) return null
  return (
    <Page title={words.title} note={words.intro}>
      <PageSection title={words.appearance}>
        <div className={styles.group}>
          <ThemeSetting settings={settings} />
        </div>
      </PageSection>
      <PageSection title={words.gateways}>
        <div className={styles.group}>
          <PortSetting settings={settings} />
          {settings.gatewayPassword !== undefined && <PasswordSetting settings={settings} />}
        </div>
      </PageSection>
      <PageSection title={words.logins}>
        <div className={styles.group}>
          <DurationSetting
            settings={settings}
            name="loginWait"
            id="setting-login-wait"
            title={words.loginWait}
            hint={words.loginWaitHint}
          />
          <DurationSetting
            settings={settings}
            name="loginHardLimit"
            id="setting-login-limit"
            title={words.loginHardLimit}
            hint={words.loginHardLimitHint}
          />
          <DurationSetting
            settings={settings}
            name="coolDown"
            id="setting-cool-down"
            title={words.coolDown}
            hint={words.coolDownHint}
          />
        </div>
      </PageSection>
      <PageSection title={words.background}>
        <div className={styles.group}>
          <SwitchSetting
            settings={settings}
            name="backgroundMode"
            id="setting-background"
            title={words.backgroundMode}
            hint={words.backgroundModeHint}
          />
          <SwitchSetting
            settings={settings}
            name="startAtLogin"
            id="setting-start"
            title={words.startAtLogin}
            hint={shell?.canStartAtLogin === false ? words.startAtLoginNot : words.startAtLoginHint}
            isDisabled={shell?.canStartAtLogin !== true}
          />
        </div>
      </PageSection>
    </Page>
  )
}
