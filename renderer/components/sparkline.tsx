// A small live line: two series over a window of time, scaled together. `label` says the same in words.
import { classNames } from './class-names.ts'
import styles from './sparkline.module.css'

const WIDTH = 240
const HEIGHT = 28

type Point = { at: number; value: number }

/** `to` is the right edge in ms; points older than `to - windowMs` are left out. */
export function Sparkline({
  first,
  second,
  to,
  windowMs,
  label,
}: {
  first: readonly Point[]
  second: readonly Point[]
  to: number
  windowMs: number
  label: string
}) {
  const top = Math.max(1024, ...first.map((point) => point.value), ...second.map((point) => point.value))
  const line = (points: readonly Point[]): string => {
    const visible = points.filter((point) => point.at >= to - windowMs)
    const [start] = visible
    // Before the first sample nothing was reported, so nothing flowed.
    const base = `M0 ${HEIGHT - 1}`
    if (!start) return `${base}H${WIDTH}`
    const x = (at: number): string => (WIDTH * Math.min(1, 1 - (to - at) / windowMs)).toFixed(1)
    const y = (value: number): string => (HEIGHT - 1 - (HEIGHT - 3) * (value / top)).toFixed(1)
    const steps = visible.slice(1).map((point) => `L${x(point.at)} ${y(point.value)}`)
    return `${base}H${x(start.at)}V${y(start.value)}${steps.join('')}H${WIDTH}`
  }
  return (
    <svg
      className={styles.line}
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={label}
    >
      {second.some((point) => point.value > 0) && (
        <path className={classNames(styles.path, styles.second)} d={line(second)} />
      )}
      <path className={classNames(styles.path, styles.first)} d={line(first)} />
    </svg>
  )
}
