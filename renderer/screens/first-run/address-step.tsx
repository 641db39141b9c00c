// First step: where the access server is, and its fingerprint if the person was given one.
import { useRef, useState, type SubmitEvent } from 'react'
import { Button } from '../../components/button.tsx'
import { Field } from '../../components/field.tsx'
import { flowTexts } from '../../flow-texts.ts'
import { readFingerprint, type ReadFingerprint } from './fingerprint.ts'
import styles from './first-run.module.css'
import { AddProblemCallout, type AddProblem } from './problems.tsx'

const words = flowTexts.firstRun

type AddressStepProps = {
  isPending: boolean
  problem: AddProblem | null
  onEdit: () => void
  onSubmit: (asked: { address: string; pin: string | undefined }) => void
  /** Undefined where there is nothing to go back to. */
  onCancel: (() => void) | undefined
}

export function AddressStep({ isPending, problem, onEdit, onSubmit, onCancel }: AddressStepProps) {
  const [address, setAddress] = useState('')
  const [pin, setPin] = useState('')
  const [isAsked, setAsked] = useState(false)
  const addressField = useRef<HTMLInputElement>(null)
  const pinField = useRef<HTMLInputElement>(null)
  const read = readFingerprint(pin)
  const addressError =
    isAsked && address.trim() === '' ? words.needAddress : problem?.at === 'address' ? problem.text : null
  const pinError = isAsked ? pinProblem(read) : null

  const submit = (): void => {
    setAsked(true)
    if (address.trim() === '') addressField.current?.focus()
    else if (read.kind === 'empty' || read.kind === 'whole') {
      onSubmit({ address: address.trim(), pin: read.kind === 'whole' ? read.fingerprint : undefined })
    } else pinField.current?.focus()
  }

  return (
    <form
      noValidate
      className={styles.form}
      onSubmit={(event: SubmitEvent) => {
        event.preventDefault()
        if (!isPending) submit()
      }}
    >
      <header>
        <h1>{words.title}</h1>
        <p>{words.intro}</p>
      </header>
      <Field
        ref={addressField}
        autoFocus
        label={words.address}
        hint={words.addressHint}
        error={addressError}
        placeholder={words.addressPlaceholder}
        inputMode="url"
        autoCapitalize="none"
        maxLength={300}
        value={address}
        readOnly={isPending}
        onChange={(event) => {
          setAddress(event.currentTarget.value)
          onEdit()
        }}
      />
      <Field
        ref={pinField}
        label={words.pinOptional}
        hint={words.pinHint}
        error={pinError}
        className={styles.mono}
        maxLength={200}
        value={pin}
        readOnly={isPending}
        onChange={(event) => {
          setPin(event.currentTarget.value)
          onEdit()
        }}
      />
      {problem?.at === null && <AddProblemCallout problem={problem} />}
      <div className={styles.actions}>
        {onCancel && (
          <Button size="large" onClick={onCancel}>
            {words.cancel}
          </Button>
        )}
        <Button size="large" kind="primary" type="submit" isPending={isPending}>
          {isPending ? words.checking : words.check}
        </Button>
      </div>
    </form>
  )
}

function pinProblem(read: ReadFingerprint): string | null {
  switch (read.kind) {
    case 'empty':
    case 'whole':
      return null
    case 'strange':
      return words.badPinCharacters
    case 'length':
      return words.badPin(read.digits)
  }
}
