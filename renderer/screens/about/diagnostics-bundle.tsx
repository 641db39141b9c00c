// The redacted bundle for support: made on demand, shown with its id, its file and everything that is in it.
import { useState } from 'react'
import { Diagnostics } from '../../../shared/app-state.ts'
import { PosternError } from '../../../shared/errors.ts'
import { Button } from '../../components/button.tsx'
import { Callout } from '../../components/callout.tsx'
import { CopyButton } from '../../components/copy.tsx'
import { flowTexts } from '../../flow-texts.ts'
import { asPosternError, call } from '../../state/call.ts'
import styles from './about.module.css'
import { Fact, Facts } from './facts.tsx'

const words = flowTexts.about

export function DiagnosticsBundle() {
  const [bundle, setBundle] = useState<Diagnostics | null>(null)
  const [error, setError] = useState<PosternError | null>(null)
  const [isPending, setPending] = useState(false)

  const make = async (): Promise<void> => {
    setPending(true)
    setError(null)
    try {
      const answer = Diagnostics.safeParse(await call('diagnostics.bundle', {}))
      if (!answer.success) throw new PosternError('protocol', words.bundleStrange)
      setBundle(answer.data)
    } catch (failure) {
      setError(asPosternError(failure))
    } finally {
      setPending(false)
    }
  }

  return (
    <div className={styles.stack}>
      <p className={styles.text}>{words.diagnosticsText}</p>
      <div className={styles.actions}>
        <Button isPending={isPending} onClick={() => void make()}>
          {isPending ? words.makingBundle : words.makeBundle}
        </Button>
      </div>
      {error && (
        <Callout tone="bad" title={words.bundleFailed}>
          {error.message}
        </Callout>
      )}
      {bundle && (
        <div role="status">
          <Facts>
            <Fact name={words.bundleId} action={<CopyButton kind="quiet" text={bundle.id} label={words.copyId} />}>
              <code className={styles.id}>{bundle.id}</code>
            </Fact>
            <Fact
              name={words.bundleFile}
              action={<CopyButton kind="quiet" text={bundle.file} label={words.copyFile} />}
            >
              <code>{bundle.file}</code>
            </Fact>
            <Fact
              name={words.bundleText}
              action={<CopyButton kind="quiet" text={bundle.text} label={words.copyText} />}
            >
              <details className={styles.details}>
                <summary>{words.showText}</summary>
                <pre tabIndex={0} aria-label={words.showText} role="group">
                  {bundle.text}
                </pre>
              </details>
            </Fact>
          </Facts>
        </div>
      )}
    </div>
  )
}
