// A small framed word: labels of resources, "default" beside an account, counts.
import type { ReactNode } from 'react'
import styles from './badge.module.css'

export function Badge({ children, title }: { children: ReactNode; title?: string | undefined }) {
  return (
    <span className={styles.badge} title={title} dir="auto">
      {children}
    </span>
  )
}
