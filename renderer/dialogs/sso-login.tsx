// The login dialog where the cluster has an identity provider: one button that opens the provider's page in the browser, then where
// the person is, and a way to start again. How far it is comes from the core, so a window that was loaded anew goes on here.
import { ExternalLink } from 'lucide-react'
import { useEffect, useState, type RefObject } from 'react'
import type { LoginView } from '../../shared/app-state.ts'
import { Button } from '../components/button.tsx'
import { Callout } from '../components/callout.tsx'
import { CopyButton } from '../components/copy.tsx'
import { DialogActions } from '../components/dialog.tsx'
import { flowTexts } from '../flow-texts.ts'
import { formatClock, formatDuration } from '../format.ts'
import { asPosternError } from '../state/call.ts'
import { useApp } from '../state/selectors.ts'
import { useNow } from '../state/use-now.ts'
import { asSentence } from './as-sentence.ts'
import styles from './login-dialog.module.css'
import { beginSso, cancelLogin, isCancelHarmless, type LoginTask } from './login-queue.ts'

const words = flowTexts.login.sso

type Progress = NonNullable<LoginView['ssoProgress']>
type SsoLoginProps = {
  task: LoginTask
  /** What people call the provider. */
  provider: string
  button: RefObject<HTMLButtonElement | null>
  /** The person has just come back here from the password. */
  takesFocus: boolean
  onUsePassword: () => void
}

export function SsoLogin({ task, provider, button, takesFocus, onUsePassword }: SsoLoginProps) {
  const progress = useApp((app) => app.logins[task.prompt.requestId]?.ssoProgress ?? null, null)
  const [isPending, setPending] = useState(false)
  const [problem, setProblem] = useState<string | null>(null)
  useEffect(() => {
    if (takesFocus) button.current?.focus()
  }, [takesFocus, button])

  const begin = async (): Promise<void> => {
    setPending(true)
    setProblem(null)
    try {
      await beginSso(task)
    } catch (failure) {
      setProblem(asSentence(asPosternError(failure).message))
    } finally {
      setPending(false)
    }
  }
  const isUnderWay = progress?.step === 'browser' || progress?.step === 'returned'

  return (
    <div className={styles.form}>
      <div aria-live="polite" className={styles.form}>
        {problem === null && progress === null && <p className={styles.intro}>{words.intro(provider)}</p>}
        {problem === null && progress && <Step progress={progress} provider={provider} />}
      </div>
      {problem !== null && <Callout tone="bad">{problem}</Callout>}
      {problem === null && progress?.step === 'browser' && <OtherBrowser url={progress.url} />}
      {!isUnderWay && (
        <button type="button" className={styles.link} onClick={onUsePassword}>
          {words.usePassword}
        </button>
      )}
      <DialogActions note={isCancelHarmless(task) ? undefined : flowTexts.login.cancelWaiting(task.prompt.waiting)}>
        <Button size="large" onClick={() => cancelLogin(task)}>
          {flowTexts.login.cancel}
        </Button>
        {/* One button through all steps, so that the focus stays on it. */}
        <Button
          size="large"
          ref={button}
          kind={isUnderWay ? 'plain' : 'primary'}
          isPending={isPending || progress?.step === 'returned'}
          icon={progress === null ? <ExternalLink /> : undefined}
          onClick={() => void begin()}
        >
          {progress === null ? words.begin(provider) : words.again}
        </Button>
      </DialogActions>
    </div>
  )
}

function Step({ progress, provider }: { progress: Progress; provider: string }) {
  switch (progress.step) {
    case 'browser':
      return (
        <Callout tone="info" title={words.inBrowser} aside={<LinkLeft expiresAt={progress.expiresAt} />}>
          {words.inBrowserHint(provider)}
        </Callout>
      )
    case 'returned':
      return <Callout tone="info" title={words.returned(provider)} />
    case 'failed':
      return <Callout tone="bad">{asSentence(progress.text ?? words.failed)}</Callout>
  }
}

/** How long the link still works, by this machine's clock. */
function LinkLeft({ expiresAt }: { expiresAt: string }) {
  const leftMs = Math.max(0, Date.parse(expiresAt) - useNow(1000))
  return (
    <span
      role="timer"
      aria-label={words.linkLeft(formatDuration(leftMs))}
      title={words.linkLeft(formatDuration(leftMs))}
    >
      {formatClock(leftMs)}
    </span>
  )
}

/** For who wants it in another browser, or whose browser opened nothing. */
function OtherBrowser({ url }: { url: string }) {
  return (
    <div className={styles.row}>
      <span className={styles.intro}>{words.otherBrowser}</span>
      {/* In the desktop app no page opens anything by itself: there a new link comes with "Start again". */}
      {!window.postern && (
        <a className={styles.link} href={url} target="_blank" rel="noreferrer">
          {words.openPage}
        </a>
      )}
      <CopyButton text={url} label={words.copyLink} />
    </div>
  )
}
