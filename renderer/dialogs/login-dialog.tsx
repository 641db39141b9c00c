// The one place where a person logs in: a small dialog over whatever was open, for the first login that this page was asked
// for. Says who wants what, who waits and what cancelling does; further ones come after it. login-window.tsx shows the same
// parts as a page.
import { useRef, useState, type RefObject } from 'react'
import type { LoginPrompt, ProfileView } from '../../shared/rpc.ts'
import { Callout } from '../components/callout.tsx'
import { Dialog } from '../components/dialog.tsx'
import { flowTexts } from '../flow-texts.ts'
import { formatClock, formatDuration, formatTime } from '../format.ts'
import { msUntil, useApp, useProfile } from '../state/selectors.ts'
import { useNow } from '../state/use-now.ts'
import styles from './login-dialog.module.css'
import { LoginForm } from './login-form.tsx'
import { cancelLogin, useLoginQueue, type LoginTask } from './login-queue.ts'
import { SsoLogin } from './sso-login.tsx'

const words = flowTexts.login

export function LoginDialog() {
  const task = useLoginQueue((queue) => queue.tasks[0])
  const firstField = useRef<HTMLInputElement>(null)
  const ssoButton = useRef<HTMLButtonElement>(null)
  return (
    <Dialog
      isOpen={task !== undefined}
      isSticky
      title={task && words.title(task.prompt.profile)}
      description={task && <Reason prompt={task.prompt} />}
      initialFocus={() => ssoButton.current ?? firstField.current}
      onClose={() => task && cancelLogin(task)}
    >
      {task && <LoginBody key={task.prompt.requestId} task={task} firstField={firstField} ssoButton={ssoButton} />}
    </Dialog>
  )
}

type LoginWaysProps = {
  task: LoginTask
  firstField: RefObject<HTMLInputElement | null>
  ssoButton: RefObject<HTMLButtonElement | null>
}

/** What stands below title and reason. */
export function LoginBody(props: LoginWaysProps) {
  const others = useLoginQueue((queue) => Math.max(0, queue.tasks.length - 1))
  return (
    <div className={styles.body}>
      <Waiting task={props.task} />
      <LoginWays {...props} />
      {others > 0 && <p className={styles.others}>{words.next(others)}</p>}
    </div>
  )
}

/** The identity provider first where there is one; the password for who has one. */
function LoginWays({ task, firstField, ssoButton }: LoginWaysProps) {
  const [choice, setChoice] = useState<'sso' | 'password' | null>(null)
  const { sso } = task.prompt
  if (!sso) return <LoginForm task={task} firstField={firstField} />
  // Whoever types a password when the server says that there is a provider is not interrupted.
  if (choice === 'password' || (choice === null && task.isTouched)) {
    const otherWay = { label: words.sso.begin(sso.name), onUse: () => setChoice('sso') }
    return <LoginForm task={task} firstField={firstField} otherWay={otherWay} takesFocus={choice !== null} />
  }
  return (
    <SsoLogin
      task={task}
      provider={sso.name}
      button={ssoButton}
      takesFocus={choice !== null}
      onUsePassword={() => setChoice('password')}
    />
  )
}

/** Who wants what, and why a login is needed (G11). */
export function Reason({ prompt: { reason, profile, waiting } }: { prompt: LoginPrompt }) {
  const view = useProfile(profile)
  const isAhead = view?.state === 'ready' || view?.state === 'expiring'
  return (
    <>
      {reason.kind === 'connection' ? (
        <>
          <bdi className={styles.name}>{reason.client ?? words.someProgram}</bdi> {words.wantsTo}{' '}
          <bdi className={styles.name}>{reason.resource}</bdi> {words.as}{' '}
          <bdi className={styles.name}>{reason.account}</bdi>
          {'. '}
        </>
      ) : (
        // Nobody waits where the person asked for it.
        waiting > 0 && !isAhead && <>{words.command(reason.what)} </>
      )}
      {view && <LoginSituation view={view} />}
    </>
  )
}

/** Since when the login is over, or how long it is still good. */
function LoginSituation({ view: { state, expiresAt, clockOffsetMs } }: { view: ProfileView }) {
  const now = useNow(1000)
  const leftMs = msUntil(expiresAt, now, clockOffsetMs)
  if (expiresAt === null || leftMs === null) return <>{words.signedOut}</>
  // The clock of this window ticks once a second: the core may know of the end before it does.
  const isOver = leftMs < 1000 || state === 'expired' || state === 'signed out'
  if (!isOver) return <>{words.stillGood(formatDuration(leftMs))}</>
  const at = new Date(Date.parse(expiresAt) - clockOffsetMs).toISOString()
  return <>{words.expired(formatTime(at, now))}</>
}

/** How many wait, and how long they still do. */
function Waiting({ task: { prompt, isOver } }: { task: LoginTask }) {
  const deadlineAt = useApp((app) => app.logins[prompt.requestId]?.deadlineAt ?? null, null)
  if (isOver) return <Callout tone="info">{words.over}</Callout>
  if (prompt.waiting === 0 || prompt.reason.kind !== 'connection') return null
  return (
    <Callout tone="wait" aside={deadlineAt !== null && <Countdown deadlineAt={deadlineAt} />}>
      <span role="status">{words.waiting(prompt.waiting)}</span>
    </Callout>
  )
}

function Countdown({ deadlineAt }: { deadlineAt: string }) {
  const leftMs = Math.max(0, Date.parse(deadlineAt) - useNow(1000))
  return (
    <span role="timer" aria-label={words.waitingLeft(formatDuration(leftMs))}>
      {formatClock(leftMs)}
    </span>
  )
}
