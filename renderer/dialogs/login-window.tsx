// The small window of the browser host: the same login as login-dialog.tsx as a page of its own, since a page cannot raise itself
// (G10, G11). Takes over the requests that the host names, and closes itself when none is left, whoever answered it.
import { useEffect, useRef, useState } from 'react'
import { BrandMark } from '../shell/brand-mark.tsx'
import { call, usePageEvent } from '../state/call.ts'
import { useIsLive } from '../state/selectors.ts'
import { flowTexts } from '../flow-texts.ts'
import { texts } from '../texts.ts'
import { LoginBody, Reason } from './login-dialog.tsx'
import { cancelLogin, takeLogin, useLoginQueue } from './login-queue.ts'
import styles from './login-window.module.css'

const words = flowTexts.login

/** As client/app/open-window.ts asks for; a browser that runs already gives every window the size of its first one. */
const SIZE = { width: 440, height: 500 }

export function LoginWindow() {
  const task = useLoginQueue((queue) => queue.tasks[0])
  const hasArrived = useTakenLogins()
  const isDone = hasArrived && task === undefined
  const firstField = useRef<HTMLInputElement>(null)
  const ssoButton = useRef<HTMLButtonElement>(null)
  const requestId = task?.prompt.requestId

  useEffect(placeWindow, [])
  useClosing(isDone)
  useEffect(() => (ssoButton.current ?? firstField.current)?.focus(), [requestId])
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.key === 'Escape' && task) cancelLogin(task)
    }
    document.addEventListener('keydown', onKey)
    return () => document.removeEventListener('keydown', onKey)
  }, [task])

  return (
    <main id="main" className={styles.window} tabIndex={-1}>
      <div className={styles.brand}>
        <BrandMark />
        <span>{texts.app.name}</span>
      </div>
      {task && (
        <section aria-labelledby="login-title" aria-describedby="login-reason">
          <h1 id="login-title" className={styles.title} dir="auto">
            {words.title(task.prompt.profile)}
          </h1>
          <div id="login-reason" className={styles.reason}>
            <Reason prompt={task.prompt} />
          </div>
          <LoginBody key={requestId} task={task} firstField={firstField} ssoButton={ssoButton} />
        </section>
      )}
      {/* Seen only where the browser does not let a page close its window. */}
      {isDone && <p className={styles.done}>{words.windowDone}</p>}
    </main>
  )
}

/** Small, in the middle of the upper half of the screen, where a dialog is looked for. */
function placeWindow(): void {
  window.resizeTo(SIZE.width, SIZE.height)
  window.moveTo((screen.availWidth - SIZE.width) / 2, Math.max(0, (screen.availHeight - SIZE.height) / 3))
}

/**
 * Closes the window when it is done, and until then tells the host which requests it shows: what comes while it closes is seen
 * by nobody, and the host opens another window for it.
 */
function useClosing(isDone: boolean): void {
  const tasks = useLoginQueue((queue) => queue.tasks)
  const isClosing = useRef(false)
  const told = useRef(new Set<string>())
  useEffect(() => {
    for (const { requestId } of tasks.map((task) => task.prompt)) {
      if (isClosing.current || told.current.has(requestId)) continue
      told.current.add(requestId)
      // Not told, it may be shown twice.
      call('shell.loginShown', { requestId }).catch(() => undefined)
    }
    if (!isDone) return
    isClosing.current = true
    window.close()
  }, [tasks, isDone])
}

/** Takes over what the host names, once and whenever one more comes; whether the first ones are there. */
function useTakenLogins(): boolean {
  const isLive = useIsLive()
  const [hasArrived, setArrived] = useState(false)
  usePageEvent('shell.takeLogin', (login) => void take(login))
  useEffect(() => {
    if (!isLive || hasArrived) return
    const arrive = async (): Promise<void> => {
      const { logins } = await call('shell.loginWindow', {})
      await Promise.all(logins.map(take))
    }
    // Without an answer there is nothing to show either.
    void arrive()
      .catch(() => undefined)
      .then(() => setArrived(true))
  }, [isLive, hasArrived])
  return hasArrived
}

/** Over, or being filled in elsewhere: then it is not this window's. */
const take = (login: { profile: string; requestId: string }): Promise<void> => takeLogin(login).catch(() => undefined)
