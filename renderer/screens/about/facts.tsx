// Names and values, one below the other.
import type { ReactNode } from 'react'
import styles from './about.module.css'

export const Facts = ({ children }: { children: ReactNode }) => <dl className={styles.facts}>{children}</dl>

export function Fact({ name, action, children }: { name: string; action?: ReactNode; children: ReactNode }) {
  return (
    <div className={styles.fact}>
      <dt>{name}</dt>
      <dd>
        <div className={styles.value}>{children}</div>
        {action}
      </dd>
    </div>
  )
}
