// A screen of one column: its heading with what one can do to the whole, and below it what scrolls.
import type { ReactNode } from 'react'
import styles from './page.module.css'

type PageProps = {
  title: string
  note?: ReactNode
  actions?: ReactNode
  /** There is only something to say in the middle (EmptyState). */
  isEmpty?: boolean
  children: ReactNode
}

export function Page({ title, note, actions, isEmpty = false, children }: PageProps) {
  return (
    <div className={styles.page}>
      <header className={styles.header}>
        <h1>{title}</h1>
        {note !== undefined && <span className={styles.note}>{note}</span>}
        {actions !== undefined && <div className={styles.actions}>{actions}</div>}
      </header>
      {/* Reachable by keyboard, so that it can be scrolled by keyboard. */}
      <div className={styles.body} tabIndex={0} role="region" aria-label={title}>
        <div className={isEmpty ? styles.middle : styles.column}>{children}</div>
      </div>
    </div>
  )
}

/** A part of such a screen. */
export function PageSection({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section className={styles.section}>
      <h2>{title}</h2>
      {children}
    </section>
  )
}
