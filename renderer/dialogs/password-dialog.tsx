// Changes the person's own password: the old one, the new one twice. Other logins of the person go on.
import { useState } from 'react'
import { Button } from '../components/button.tsx'
import { Callout } from '../components/callout.tsx'
import { Dialog, DialogActions } from '../components/dialog.tsx'
import { Field } from '../components/field.tsx'
import { flowTexts } from '../flow-texts.ts'
import { changePassword } from '../state/account.ts'
import { note } from '../state/overlays.ts'
import { texts } from '../texts.ts'
import styles from './account-dialogs.module.css'
import { useAccountForm } from './use-account-form.ts'

const words = flowTexts.account
/** As shared/login-api.ts (PasswordRequest) has it. */
const PASSWORD_MIN = 8

type DialogProps = { profile: string; isOpen: boolean; onDone: () => void }

export function PasswordDialog({ profile, isOpen, onDone }: DialogProps) {
  return (
    <Dialog isOpen={isOpen} isSticky title={words.passwordTitle(profile)} onClose={onDone}>
      <PasswordForm profile={profile} onDone={onDone} />
    </Dialog>
  )
}

function PasswordForm({ profile, onDone }: Omit<DialogProps, 'isOpen'>) {
  const [values, setValues] = useState({ current: '', next: '', again: '' })
  /** Said under the new ones once they were sent. */
  const [isTried, setTried] = useState(false)
  const form = useAccountForm(async () => {
    await changePassword(profile, values.current, values.next)
    note(words.passwordDone(profile))
    onDone()
  })
  const isShort = values.next.length < PASSWORD_MIN
  const differs = values.again !== values.next
  const field = (name: keyof typeof values) => ({
    type: 'password',
    autoComplete: name === 'current' ? 'current-password' : 'new-password',
    maxLength: 1024,
    value: values[name],
    readOnly: form.isPending,
    onChange: (event: { currentTarget: HTMLInputElement }) => {
      const { value } = event.currentTarget
      setValues((before) => ({ ...before, [name]: value }))
    },
  })
  const missing = values.current === '' ? words.needPassword : null
  return (
    <form
      className={styles.form}
      noValidate
      onSubmit={(event) => {
        setTried(true)
        if (missing === null && (isShort || differs)) event.preventDefault()
        else form.submit(missing)(event)
      }}
    >
      <Field label={words.currentPassword} error={form.problemAt('bad_credentials')} {...field('current')} />
      <Field
        label={words.newPassword}
        hint={words.newPasswordHint(PASSWORD_MIN)}
        error={isTried && isShort ? words.tooShort(PASSWORD_MIN) : null}
        {...field('next')}
      />
      <Field label={words.again} error={isTried && !isShort && differs ? words.differs : null} {...field('again')} />
      {form.otherProblem !== null && <Callout tone="bad">{form.otherProblem}</Callout>}
      <DialogActions>
        <Button size="large" onClick={onDone}>
          {texts.common.cancel}
        </Button>
        <Button size="large" kind="primary" type="submit" isPending={form.isPending}>
          {words.change}
        </Button>
      </DialogActions>
    </form>
  )
}
