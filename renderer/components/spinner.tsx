// A small turning ring; decoration beside a word that says what is going on.
import styles from './spinner.module.css'

export function Spinner() {
  return (
    <svg className={styles.spinner} viewBox="0 0 16 16" aria-hidden="true">
      <circle className={styles.track} cx="8" cy="8" r="6" />
      <path className={styles.arc} d="M8 2a6 6 0 0 1 6 6" />
    </svg>
  )
}
