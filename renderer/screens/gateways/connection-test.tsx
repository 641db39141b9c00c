// The connection test: a button, and under it the steps with the time that each took, and what the failing one said.
import { Check, Minus, X } from 'lucide-react'
import { useState, type ReactNode } from 'react'
import { ConnectionTest, type GatewayDetail } from '../../../shared/app-state.ts'
import { Button, IconButton } from '../../components/button.tsx'
import { classNames } from '../../components/class-names.ts'
import { ErrorLine } from '../../components/empty-state.tsx'
import { useCall } from '../../state/call.ts'
import { useIsLive } from '../../state/selectors.ts'
import { texts } from '../../texts.ts'
import styles from './connection-test.module.css'

/** `children`: further buttons in the same row. */
export function ConnectionTestSection({ gateway, children }: { gateway: GatewayDetail; children: ReactNode }) {
  const [outcome, setOutcome] = useState<ConnectionTest | null>(null)
  const test = useCall('gateway.test')
  const isLive = useIsLive()
  const run = async (): Promise<void> => {
    setOutcome(ConnectionTest.safeParse(await test.run({ gateway: gateway.id })).data ?? null)
  }
  return (
    <>
      <div className={styles.row}>
        <Button disabled={!isLive} isPending={test.isPending} onClick={() => void run()}>
          {test.isPending ? texts.gateways.testing : texts.gateways.test}
        </Button>
        {children}
      </div>
      <div role="status">{outcome && <Outcome outcome={outcome} onClose={() => setOutcome(null)} />}</div>
      <ErrorLine error={test.error} />
    </>
  )
}

function Outcome({ outcome, onClose }: { outcome: ConnectionTest; onClose: () => void }) {
  return (
    <div className={styles.outcome}>
      <div className={classNames(styles.verdict, outcome.ok ? styles.ok : styles.bad)}>
        {outcome.ok ? <Check aria-hidden="true" /> : <X aria-hidden="true" />}
        {outcome.ok ? texts.gateways.testOk(formatMs(outcome.totalMs)) : texts.gateways.testFailed}
        <IconButton label={texts.common.close} className={styles.close} onClick={onClose}>
          <X />
        </IconButton>
      </div>
      <ol className={styles.steps} aria-label={texts.gateways.testSteps}>
        {outcome.steps.map((step, index) => {
          // Steps after the failing one were never tried.
          const isTried = outcome.steps.slice(0, index).every((earlier) => earlier.ok)
          const word = !isTried
            ? texts.gateways.stepSkipped
            : step.ok
              ? texts.gateways.stepOk
              : texts.gateways.stepFailed
          return (
            <li key={step.name} className={classNames(!isTried ? styles.skipped : step.ok ? styles.ok : styles.bad)}>
              {!isTried ? (
                <Minus aria-hidden="true" />
              ) : step.ok ? (
                <Check aria-hidden="true" />
              ) : (
                <X aria-hidden="true" />
              )}
              <span className={styles.name}>{step.name}</span>
              <span className="visually-hidden">{word}</span>
              <span className={styles.time}>{isTried ? formatMs(step.ms) : ''}</span>
              {step.text !== null && (
                <span className={styles.text} dir="auto">
                  {step.text}
                </span>
              )}
            </li>
          )
        })}
      </ol>
    </div>
  )
}

const formatMs = (ms: number): string => (ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`)
