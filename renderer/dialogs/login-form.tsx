// The form of the login dialog: user, password, code of the authenticator when it is needed, or the setup code that makes the
// first administrator. What is wrong is said at its field; typing tells the core that somebody is there (G8).
import { useEffect, useRef, useState, type RefObject, type SubmitEvent } from 'react'
import type { ErrorCode, PosternError } from '../../shared/errors.ts'
import { Button } from '../components/button.tsx'
import { Callout } from '../components/callout.tsx'
import { DialogActions } from '../components/dialog.tsx'
import { Field } from '../components/field.tsx'
import { flowTexts } from '../flow-texts.ts'
import { asPosternError } from '../state/call.ts'
import { useProfile } from '../state/selectors.ts'
import { asSentence } from './as-sentence.ts'
import styles from './login-dialog.module.css'
import {
  cancelLogin,
  isCancelHarmless,
  submitLogin,
  touchLogin,
  WRONG_PASSWORDS,
  type LoginTask,
} from './login-queue.ts'

const words = flowTexts.login

type FieldName = 'user' | 'password' | 'totp' | 'setupCode'
/** Something wrong: at a field, or (null) with the whole. */
type Problem = { at: FieldName | null; text: string }
type LoginFormProps = {
  task: LoginTask
  firstField: RefObject<HTMLInputElement | null>
  /** Where there is another way to log in: its name, and how to go there. */
  otherWay?: { label: string; onUse: () => void } | undefined
  /** The person has just chosen the password. */
  takesFocus?: boolean
}

export function LoginForm({ task, firstField, otherWay, takesFocus = false }: LoginFormProps) {
  const profile = useProfile(task.prompt.profile)
  const [values, setValues] = useState({ user: task.prompt.user, password: '', totp: '', setupCode: '' })
  const [isSetup, setSetup] = useState(false)
  const [needsTotp, setNeedsTotp] = useState(task.prompt.totp)
  const [problem, setProblem] = useState<Problem | null>(null)
  const [isPending, setPending] = useState(false)
  const form = useRef<HTMLFormElement>(null)
  const isKnown = task.prompt.user !== ''

  useEffect(() => {
    if (takesFocus) firstField.current?.focus()
  }, [takesFocus, firstField])
  // After the commit: the field that the problem belongs to may have just come.
  useEffect(() => {
    if (problem) focusField(form.current, problem.at ?? 'password')
  }, [problem])

  const send = async (): Promise<void> => {
    const missing = findMissing(values, { isSetup, needsTotp })
    if (missing) {
      setProblem(missing)
      return
    }
    setPending(true)
    setProblem(null)
    try {
      await submitLogin(task, {
        ...values,
        totp: needsTotp && !isSetup ? values.totp.replaceAll(/\s/g, '') : '',
        setupCode: isSetup ? values.setupCode.trim() : '',
      })
    } catch (failure) {
      const error = asPosternError(failure)
      if (error.code === 'totp_required') setNeedsTotp(true)
      setProblem(problemOf(error, task.wrongPasswords + 1))
    } finally {
      setPending(false)
    }
  }

  const field = (name: FieldName) => ({
    name,
    value: values[name],
    readOnly: isPending,
    error: problem?.at === name ? problem.text : null,
    onChange: (event: { currentTarget: HTMLInputElement }) => {
      const { value } = event.currentTarget
      setValues((before) => ({ ...before, [name]: value }))
      if (problem?.at === name) setProblem(null)
    },
  })

  return (
    <form
      ref={form}
      className={styles.form}
      noValidate
      onInput={() => touchLogin(task)}
      onSubmit={(event: SubmitEvent) => {
        event.preventDefault()
        if (!isPending) void send()
      }}
    >
      {isSetup && <p className={styles.intro}>{words.setupIntro}</p>}
      <Field
        label={words.user}
        autoComplete="username"
        autoCapitalize="none"
        maxLength={63}
        ref={isKnown ? undefined : firstField}
        {...field('user')}
      />
      {isSetup && <Field label={words.setupCode} className={styles.code} {...field('setupCode')} />}
      <Field
        label={isSetup ? words.newPassword : words.password}
        type="password"
        autoComplete={isSetup ? 'new-password' : 'current-password'}
        maxLength={1024}
        ref={isKnown ? firstField : undefined}
        {...field('password')}
      />
      {needsTotp && !isSetup && (
        <Field
          label={words.totp}
          hint={words.totpHint}
          className={styles.code}
          inputMode="numeric"
          autoComplete="one-time-code"
          maxLength={16}
          {...field('totp')}
        />
      )}
      {problem?.at === null && <Callout tone="bad">{problem.text}</Callout>}
      {task.wrongPasswords >= WRONG_PASSWORDS && problem !== null && <Callout tone="warn">{words.wrongThrice}</Callout>}
      {profile?.user === null && (
        <button type="button" className={styles.link} onClick={() => setSetup(!isSetup)}>
          {isSetup ? words.useLogin : words.useSetupCode}
        </button>
      )}
      {otherWay && (
        <button type="button" className={styles.link} onClick={otherWay.onUse}>
          {otherWay.label}
        </button>
      )}
      <DialogActions note={isCancelHarmless(task) ? undefined : words.cancelWaiting(task.prompt.waiting)}>
        <Button size="large" onClick={() => cancelLogin(task)}>
          {words.cancel}
        </Button>
        <Button size="large" kind="primary" type="submit" isPending={isPending}>
          {isSetup ? words.submitSetup : words.submit}
        </Button>
      </DialogActions>
    </form>
  )
}

function focusField(form: HTMLFormElement | null, name: FieldName): void {
  const input = form?.elements.namedItem(name)
  if (!(input instanceof HTMLInputElement)) return
  input.focus()
  input.select()
}

/** The first field that has to be filled in before anything is sent. */
function findMissing(
  { user, password, totp, setupCode }: Record<FieldName, string>,
  { isSetup, needsTotp }: { isSetup: boolean; needsTotp: boolean },
): Problem | null {
  if (user.trim() === '') return { at: 'user', text: words.needUser }
  if (isSetup && setupCode.trim() === '') return { at: 'setupCode', text: words.needSetupCode }
  if (password === '') return { at: 'password', text: words.needPassword }
  if (!isSetup && needsTotp && totp.trim() === '') return { at: 'totp', text: words.needTotp }
  return null
}

/** The field that an error of the server belongs to; all others belong to the whole. */
const FIELD_OF: Partial<Record<ErrorCode, FieldName>> = {
  bad_credentials: 'password',
  totp_required: 'totp',
  totp_invalid: 'totp',
  setup_code_invalid: 'setupCode',
}

/** Where an error belongs, and its words. */
function problemOf(error: PosternError, wrongPasswords: number): Problem {
  const at = FIELD_OF[error.code] ?? null
  if (error.code === 'bad_credentials') return { at, text: words.wrongPassword(wrongPasswords) }
  if (error.code === 'totp_required') return { at, text: words.totpRequired }
  return { at, text: asSentence(error.message) }
}
