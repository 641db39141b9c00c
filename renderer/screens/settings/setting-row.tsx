// One line of the settings: what it is and why on the left, its control on the right, and under it whether it was saved.
import { Check } from 'lucide-react'
import type { ReactNode } from 'react'
import type { PosternError } from '../../../shared/errors.ts'
import { flowTexts } from '../../flow-texts.ts'
import styles from './settings.module.css'

const words = flowTexts.settings

type SettingRowProps = {
  /** Where the palette and links jump to. */
  id: string
  title: string
  hint?: string
  status: 'idle' | 'saving' | 'saved'
  error: PosternError | null
  /** What is wrong with what was typed; it is not sent. */
  problem?: string | null
  /** The one control that the title is the label of; a click on the title is one on it. */
  labelFor?: string
  children: ReactNode
}

export function SettingRow({ id, title, hint, status, error, problem, labelFor, children }: SettingRowProps) {
  return (
    <div className={styles.row} id={id}>
      <div className={styles.what}>
        <div className={styles.title}>
          {labelFor === undefined ? (
            <span id={`${id}-title`}>{title}</span>
          ) : (
            <label id={`${id}-title`} htmlFor={labelFor}>
              {title}
            </label>
          )}
          <span role="status" className={styles.saved}>
            {status === 'saved' && (
              <>
                <Check aria-hidden="true" /> {words.saved}
              </>
            )}
          </span>
        </div>
        {hint !== undefined && (
          <p id={`${id}-hint`} className={styles.hint}>
            {hint}
          </p>
        )}
        {(problem ?? error) && (
          <p role="alert" id={`${id}-problem`} className={styles.problem} dir="auto">
            {problem ?? (error && words.notSaved(error.message))}
          </p>
        )}
      </div>
      <div className={styles.control}>{children}</div>
    </div>
  )
}
