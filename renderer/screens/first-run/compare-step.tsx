// Second step, where no fingerprint was given: the server's own, to be compared by pasting the other one or by eye. Nothing is
// trusted before that.
import { useEffect, useRef, useState, type SubmitEvent } from 'react'
import { Button } from '../../components/button.tsx'
import { Callout } from '../../components/callout.tsx'
import { Field } from '../../components/field.tsx'
import { flowTexts } from '../../flow-texts.ts'
import { FingerprintGrid } from './fingerprint-grid.tsx'
import { readFingerprint } from './fingerprint.ts'
import styles from './first-run.module.css'
import { AddProblemCallout, type AddProblem } from './problems.tsx'

const words = flowTexts.firstRun

type CompareStepProps = {
  address: string
  fingerprint: string
  isPending: boolean
  problem: AddProblem | null
  onTrust: () => void
  onBack: () => void
}

export function CompareStep({ address, fingerprint, isPending, problem, onTrust, onBack }: CompareStepProps) {
  const [pasted, setPasted] = useState('')
  const [isCompared, setCompared] = useState(false)
  const heading = useRef<HTMLHeadingElement>(null)
  // A new question: a screen reader starts at its beginning.
  useEffect(() => heading.current?.focus(), [])

  const read = readFingerprint(pasted)
  const isSame = read.kind === 'whole' && read.fingerprint === fingerprint
  const isDifferent = read.kind !== 'empty' && !isSame
  const isTrusted = isSame || (isCompared && !isDifferent)

  return (
    <form
      noValidate
      className={styles.form}
      onSubmit={(event: SubmitEvent) => {
        event.preventDefault()
        if (isTrusted && !isPending) onTrust()
      }}
    >
      <header>
        <h1 ref={heading} tabIndex={-1}>
          {words.compareTitle}
        </h1>
        <p>{words.compareIntro(address)}</p>
      </header>
      {/* No copy button: a fingerprint compared with itself proves nothing. */}
      <figure className={styles.shown}>
        <figcaption>{words.fingerprint}</figcaption>
        <FingerprintGrid fingerprint={fingerprint} label={words.fingerprint} />
      </figure>
      <section className={styles.where}>
        <h2>{words.whereTitle}</h2>
        <ul>
          <li>{words.whereServer}</li>
          <li>{words.whereAdmin}</li>
        </ul>
      </section>
      <Field
        label={words.paste}
        className={styles.mono}
        error={isDifferent ? words.different : null}
        hint={isSame ? <span className={styles.same}>{words.same}</span> : undefined}
        maxLength={200}
        value={pasted}
        readOnly={isPending}
        onChange={(event) => setPasted(event.currentTarget.value)}
      />
      {!isSame && (
        <label className={styles.check}>
          <input
            type="checkbox"
            checked={isCompared && !isDifferent}
            disabled={isDifferent}
            onChange={(event) => setCompared(event.currentTarget.checked)}
          />
          {words.confirmByEye}
        </label>
      )}
      {problem &&
        (problem.at === null ? <AddProblemCallout problem={problem} /> : <Callout tone="bad">{problem.text}</Callout>)}
      <div className={styles.actions}>
        <Button size="large" onClick={onBack}>
          {words.back}
        </Button>
        <Button size="large" kind="primary" type="submit" isPending={isPending} disabled={!isTrusted}>
          {isPending ? words.trusting : words.trust}
        </Button>
      </div>
    </form>
  )
}
