// Adding a cluster: its address, then its CA's fingerprint, compared before anything is trusted (C8), then the login. The first
// thing that a new person sees, and where "Add a cluster" leads later.
import { useState } from 'react'
import type { ProfileView } from '../../../shared/rpc.ts'
import { flowTexts } from '../../flow-texts.ts'
import { navigate } from '../../navigation.ts'
import { askLogin, asPosternError, call } from '../../state/call.ts'
import { note } from '../../state/overlays.ts'
import { useProfiles } from '../../state/selectors.ts'
import { AddressStep } from './address-step.tsx'
import { CompareStep } from './compare-step.tsx'
import styles from './first-run.module.css'
import { problemOf, shownFingerprint, type AddProblem } from './problems.tsx'

type Asked = { address: string; pin: string | undefined }
type Step = { kind: 'address' } | { kind: 'compare'; address: string; fingerprint: string }

export function FirstRun() {
  const [step, setStep] = useState<Step>({ kind: 'address' })
  const [problem, setProblem] = useState<AddProblem | null>(null)
  const [isPending, setPending] = useState(false)
  const hasOthers = Object.keys(useProfiles()).length > 0

  const add = async ({ address, pin }: Asked): Promise<void> => {
    setPending(true)
    setProblem(null)
    try {
      enter(await call('profile.add', { address, ...(pin === undefined ? {} : { caPin: pin }) }))
    } catch (failure) {
      const error = asPosternError(failure)
      const fingerprint = shownFingerprint(error)
      if (fingerprint !== null && pin === undefined) setStep({ kind: 'compare', address, fingerprint })
      else setProblem(problemOf(error, pin))
    } finally {
      setPending(false)
    }
  }

  return (
    <div className={styles.page}>
      <div className={styles.card}>
        {step.kind === 'address' ? (
          <AddressStep
            isPending={isPending}
            problem={problem}
            onEdit={() => setProblem(null)}
            onSubmit={(asked) => void add(asked)}
            onCancel={hasOthers ? () => navigate({ screen: 'resources' }) : undefined}
          />
        ) : (
          <CompareStep
            address={step.address}
            fingerprint={step.fingerprint}
            isPending={isPending}
            problem={problem}
            onTrust={() => void add({ address: step.address, pin: step.fingerprint })}
            onBack={() => {
              setProblem(null)
              setStep({ kind: 'address' })
            }}
          />
        )}
      </div>
    </div>
  )
}

/** The cluster is known: the person goes on to its login. */
function enter({ profile, state }: ProfileView): void {
  call('profile.select', { profile }).catch((failure: unknown) => note(asPosternError(failure).message))
  navigate({ screen: 'resources' }, { replace: true })
  if (state === 'ready' || state === 'expiring') note(flowTexts.firstRun.added(profile))
  else askLogin(profile)
}
