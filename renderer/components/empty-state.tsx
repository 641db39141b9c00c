// What stands where a list or a page would be: nothing there yet, nothing matches, or it could not be loaded. Always a
// title, a sentence that says what to do, and the action where there is one.
import type { ReactNode } from 'react'
import type { PosternError } from '../../shared/errors.ts'
import { texts } from '../texts.ts'
import { Button } from './button.tsx'
import styles from './empty-state.module.css'

export function EmptyState({
  icon,
  title,
  text,
  action,
}: {
  icon?: ReactNode
  title: string
  text: string
  action?: ReactNode
}) {
  return (
    <div className={styles.empty}>
      {icon !== undefined && <div className={styles.icon}>{icon}</div>}
      <h2>{title}</h2>
      <p>{text}</p>
      {action}
    </div>
  )
}

/** The same for something that failed; announced. */
export function ErrorState({ title, error, onRetry }: { title: string; error: PosternError; onRetry?: () => void }) {
  return (
    <div className={styles.empty} role="alert">
      <h2>{title}</h2>
      <p dir="auto">{error.message}</p>
      {error.errorId !== undefined && <code className={styles.id}>{error.errorId}</code>}
      {onRetry && <Button onClick={onRetry}>{texts.common.retry}</Button>}
    </div>
  )
}

/** One line beside a control that says what went wrong; announced. Nothing while there is no error. */
export function ErrorLine({ error }: { error: PosternError | null }) {
  return (
    <div role="alert" className={styles.line}>
      {error && <span dir="auto">{error.message}</span>}
    </div>
  )
}
