// What one does with a cluster, under the switcher of the sidebar: log in and out, the own account, go to another one, add, remove.
import { KeyRound, LogIn, LogOut, MonitorOff, Plus, Smartphone, Trash2 } from 'lucide-react'
import { useState, type ReactNode } from 'react'
import { ConfirmDialog } from '../components/confirm-dialog.tsx'
import { Menu, MenuItem, MenuLabel, MenuSeparator } from '../components/menu.tsx'
import { StateMark } from '../components/state-mark.tsx'
import { flowTexts } from '../flow-texts.ts'
import { AuthenticatorDialog } from './authenticator-dialog.tsx'
import { PasswordDialog } from './password-dialog.tsx'
import { navigate } from '../navigation.ts'
import { askLogin, asPosternError, call, useCall } from '../state/call.ts'
import { note } from '../state/overlays.ts'
import { useGatewayList, useProfile, useProfiles } from '../state/selectors.ts'
import { texts } from '../texts.ts'

const words = flowTexts.profiles

/** `trigger`: the button that opens it. */
export function ProfileMenu({ profile, trigger }: { profile: string; trigger: ReactNode }) {
  const view = useProfile(profile)
  const others = Object.values(useProfiles()).filter((other) => other.profile !== profile)
  const [asked, setAsked] = useState<'everywhere' | 'remove' | 'authenticator' | 'password' | null>(null)
  const isLoggedIn = view?.state === 'ready' || view?.state === 'expiring'
  const done = (): void => setAsked(null)
  return (
    <>
      <Menu trigger={trigger}>
        <MenuLabel>{view?.user === null || !view ? words.nobody : words.who(view.user, view.address)}</MenuLabel>
        {isLoggedIn && view.live !== undefined && <MenuLabel>{view.live ? words.live : words.notLive}</MenuLabel>}
        <MenuItem icon={<LogIn />} onSelect={() => askLogin(profile)}>
          {isLoggedIn ? words.logInAgain : words.logIn}
        </MenuItem>
        <MenuItem icon={<LogOut />} isDisabled={!isLoggedIn} onSelect={() => logOut(profile)}>
          {words.logOut}
        </MenuItem>
        <MenuItem icon={<MonitorOff />} isDisabled={!isLoggedIn} onSelect={() => setAsked('everywhere')}>
          {words.logOutEverywhere}
        </MenuItem>
        <MenuSeparator />
        <MenuItem icon={<Smartphone />} isDisabled={!isLoggedIn} onSelect={() => setAsked('authenticator')}>
          {flowTexts.account.totp}
        </MenuItem>
        <MenuItem icon={<KeyRound />} isDisabled={!isLoggedIn} onSelect={() => setAsked('password')}>
          {flowTexts.account.changePassword}
        </MenuItem>
        <MenuSeparator />
        {others.map((other) => (
          <MenuItem
            key={other.profile}
            icon={<StateMark profile={other.state} isNamed={false} />}
            hint={texts.profileState[other.state]}
            onSelect={() => selectProfile(other.profile)}
          >
            {words.switchTo(other.profile)}
          </MenuItem>
        ))}
        <MenuItem icon={<Plus />} onSelect={() => navigate({ screen: 'first-run' })}>
          {words.add}
        </MenuItem>
        <MenuSeparator />
        <MenuItem icon={<Trash2 />} isDanger onSelect={() => setAsked('remove')}>
          {words.remove}
        </MenuItem>
      </Menu>
      <AuthenticatorDialog profile={profile} isOpen={asked === 'authenticator'} onDone={done} />
      <PasswordDialog profile={profile} isOpen={asked === 'password'} onDone={done} />
      <ConfirmEverywhere profile={profile} isOpen={asked === 'everywhere'} onDone={done} />
      <ConfirmRemove profile={profile} isOpen={asked === 'remove'} onDone={done} />
    </>
  )
}

type ConfirmProps = { profile: string; isOpen: boolean; onDone: () => void }

function ConfirmEverywhere({ profile, isOpen, onDone }: ConfirmProps) {
  const logout = useCall('logout')
  const confirm = async (): Promise<void> => {
    if (!(await logout.run({ profile, everywhere: true }))) return
    note(words.loggedOut(profile))
    onDone()
  }
  return (
    <ConfirmDialog
      isOpen={isOpen}
      title={words.everywhereTitle(profile)}
      text={words.everywhereText}
      action={words.everywhereConfirm}
      isPending={logout.isPending}
      error={logout.error}
      onConfirm={() => void confirm()}
      onCancel={() => {
        logout.reset()
        onDone()
      }}
    />
  )
}

function ConfirmRemove({ profile, isOpen, onDone }: ConfirmProps) {
  const remove = useCall('profile.remove')
  const gateways = useGatewayList(profile)
  const confirm = async (): Promise<void> => {
    if (!(await remove.run({ profile }))) return
    note(words.removed(profile))
    onDone()
  }
  return (
    <ConfirmDialog
      isOpen={isOpen}
      title={words.removeTitle(profile)}
      text={words.removeText(gateways.length)}
      action={words.removeConfirm}
      isPending={remove.isPending}
      error={remove.error}
      onConfirm={() => void confirm()}
      onCancel={() => {
        remove.reset()
        onDone()
      }}
    />
  )
}

/** Logs out here; says so, or why not. */
export function logOut(profile: string): void {
  call('logout', { profile }).then(
    () => note(words.loggedOut(profile)),
    (failure: unknown) => note(asPosternError(failure).message),
  )
}

/** Makes it the current cluster; says why not. */
export function selectProfile(profile: string): void {
  call('profile.select', { profile }).catch((failure: unknown) => note(asPosternError(failure).message))
}
