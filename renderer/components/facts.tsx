// A few facts side by side, each with its name, the value big enough to see at a glance, and a quiet note under it.
import type { ReactNode } from 'react'
import { classNames } from './class-names.ts'
import styles from './facts.module.css'

/** `isEven`: all of one width; else the last one, which has a drawing, is wider. */
export function FactList({ isEven = false, children }: { isEven?: boolean; children: ReactNode }) {
  return <dl className={classNames(styles.facts, isEven && styles.even)}>{children}</dl>
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
