// The mark: a small gate in a wall.
import styles from './top-bar.module.css'

export const BrandMark = () => (
  <svg className={styles.mark} viewBox="0 0 18 18" aria-hidden="true">
    <path d="M3 15.5V8a6 6 0 0 1 12 0v7.5M1.8 15.5h14.4M6.8 15.5v-6a2.2 2.2 0 0 1 4.4 0v6" />
  </svg>
)
