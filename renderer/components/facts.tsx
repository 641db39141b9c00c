// A few facts side by side, each with its name, the value big enough to see at a glance, and a quiet note under it.
import type { ReactNode } from 'react'
import styles from './facts.module.css'

export function FactList({ children }: { children: ReactNode }) {
  return <dl className={styles.facts}>{children}</dl>
}

export function Fact({
  name,
  value,
  unit = '',
  title,
  children,
}: {
  name: string
  value: string
  unit?: string
  /** More of the value, where one points at it. */
  title?: string | undefined
  children: ReactNode
}) {
  return (
    <div className={styles.fact}>
      <dt>{name}</dt>
      <dd>
        <span className={styles.value} title={title}>
          {value}
          {unit !== '' && <small>{unit}</small>}
        </span>
        <span className={styles.note}>{children}</span>
      </dd>
    </div>
  )
}
