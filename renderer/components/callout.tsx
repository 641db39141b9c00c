// A strip inside a form or page that says one thing that matters here: what waits, what went wrong, what to look at.
// `bad` is announced at once.
import { CircleAlert, Hourglass, Info, TriangleAlert } from 'lucide-react'
import type { ReactNode } from 'react'
import styles from './callout.module.css'
import { classNames } from './class-names.ts'

const ICONS = { info: Info, wait: Hourglass, warn: TriangleAlert, bad: CircleAlert }

type CalloutProps = {
  tone: keyof typeof ICONS
  title?: string | undefined
  /** At the end of the line, e.g. a countdown. */
  aside?: ReactNode
  children?: ReactNode
}

export function Callout({ tone, title, aside, children }: CalloutProps) {
  const Icon = ICONS[tone]
  return (
    <div className={classNames(styles.callout, styles[tone])} role={tone === 'bad' ? 'alert' : undefined}>
      <Icon aria-hidden="true" />
      <div className={styles.text} data-selectable>
        {title !== undefined && <strong dir="auto">{title}</strong>}
        {children !== undefined && <div dir="auto">{children}</div>}
      </div>
      {aside !== undefined && <div className={styles.aside}>{aside}</div>}
    </div>
  )
}
