// How much of a time is left, as a ring that empties; decoration beside the words that say it.
import { classNames } from './class-names.ts'
import styles from './time-ring.module.css'

const RADIUS = 6
const LENGTH = 2 * Math.PI * RADIUS

/** `share`: 0 to 1 of the time is left. */
export function TimeRing({ share, isLow }: { share: number; isLow: boolean }) {
  const filled = LENGTH * Math.min(1, Math.max(0, share))
  return (
    <svg className={classNames(styles.ring, isLow && styles.low)} viewBox="0 0 16 16" aria-hidden="true">
      <circle className={styles.track} cx="8" cy="8" r={RADIUS} />
      <circle
        className={styles.left}
        cx="8"
        cy="8"
        r={RADIUS}
        strokeDasharray={`${filled.toFixed(2)} ${LENGTH.toFixed(2)}`}
        transform="rotate(-90 8 8)"
      />
    </svg>
  )
}
