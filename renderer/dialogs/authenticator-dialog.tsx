// Enrols an authenticator: the password once more, then the seed as a QR code and as text, then a code of it. Until that code was
// right nothing has changed, so leaving at any point is harmless.
import { useRef, useState, type RefObject } from 'react'
import { Button } from '../components/button.tsx'
import { Callout } from '../components/callout.tsx'
import { CopyButton } from '../components/copy.tsx'
import { Dialog, DialogActions } from '../components/dialog.tsx'
import { Field } from '../components/field.tsx'
import { QrCode } from '../components/qr-code.tsx'
import { flowTexts } from '../flow-texts.ts'
import { confirmTotp, startTotp } from '../state/account.ts'
import { note } from '../state/overlays.ts'
import { texts } from '../texts.ts'
import styles from './account-dialogs.module.css'
import { useAccountForm } from './use-account-form.ts'

const words = flowTexts.account

type Seed = { secret: string; uri: string }
type StepProps = { profile: string; field: RefObject<HTMLInputElement | null>; onCancel: () => void }

export function AuthenticatorDialog({
  profile,
  isOpen,
  onDone,
}: {
  profile: string
  isOpen: boolean
  onDone: () => void
}) {
  const [seed, setSeed] = useState<Seed | null>(null)
  const field = useRef<HTMLInputElement>(null)
  const done = (): void => {
    setSeed(null)
    onDone()
  }
  return (
    <Dialog
      isOpen={isOpen}
      isSticky
      title={words.totpTitle(profile)}
      description={seed ? words.totpScan : words.totpIntro}
      initialFocus={field}
      onClose={done}
    >
      {seed ? (
        <CodeStep
          profile={profile}
          seed={seed}
          field={field}
          onCancel={done}
          onConfirmed={() => {
            note(words.totpDone(profile))
            done()
          }}
        />
      ) : (
        <PasswordStep profile={profile} field={field} onCancel={done} onSeed={setSeed} />
      )}
    </Dialog>
  )
}

function PasswordStep({ profile, field, onCancel, onSeed }: StepProps & { onSeed: (seed: Seed) => void }) {
  const [password, setPassword] = useState('')
  const form = useAccountForm(async () => {
    onSeed(await startTotp(profile, password))
  })
  return (
    <form className={styles.form} noValidate onSubmit={form.submit(password === '' ? words.needPassword : null)}>
      <Field
        ref={field}
        label={words.yourPassword}
        type="password"
        autoComplete="current-password"
        maxLength={1024}
        value={password}
        readOnly={form.isPending}
        error={form.problemAt('bad_credentials')}
        onChange={(event) => setPassword(event.currentTarget.value)}
      />
      {form.otherProblem !== null && <Callout tone="bad">{form.otherProblem}</Callout>}
      <DialogActions>
        <Button size="large" onClick={onCancel}>
          {texts.common.cancel}
        </Button>
        <Button size="large" kind="primary" type="submit" isPending={form.isPending}>
          {words.next}
        </Button>
      </DialogActions>
    </form>
  )
}

function CodeStep({
  profile,
  seed,
  field,
  onCancel,
  onConfirmed,
}: StepProps & { seed: Seed; onConfirmed: () => void }) {
  const [code, setCode] = useState('')
  const digits = code.replaceAll(/\s/g, '')
  const form = useAccountForm(async () => {
    await confirmTotp(profile, digits)
    onConfirmed()
  })
  return (
    <form className={styles.form} noValidate onSubmit={form.submit(/^\d{6,8}$/.test(digits) ? null : words.needCode)}>
      <div className={styles.seed}>
        <QrCode text={seed.uri} label={words.qrCode} />
        <div className={styles.secret}>
          <span className={styles.label}>{words.secret}</span>
          <code>{grouped(seed.secret)}</code>
          <CopyButton text={seed.secret} label={words.copySecret} />
        </div>
      </div>
      <Field
        ref={field}
        autoFocus
        label={words.code}
        hint={words.codeHint}
        className={styles.code}
        inputMode="numeric"
        autoComplete="one-time-code"
        maxLength={16}
        value={code}
        readOnly={form.isPending}
        error={form.problemAt('totp_invalid')}
        onChange={(event) => setCode(event.currentTarget.value)}
      />
      {form.otherProblem !== null && <Callout tone="bad">{form.otherProblem}</Callout>}
      <DialogActions note={words.totpPending}>
        <Button size="large" onClick={onCancel}>
          {texts.common.cancel}
        </Button>
        <Button size="large" kind="primary" type="submit" isPending={form.isPending}>
          {words.confirm}
        </Button>
      </DialogActions>
    </form>
  )
}

/** In fours, as one types it off. */
const grouped = (secret: string): string => secret.replaceAll(/(.{4})(?=.)/g, '$1 ')
