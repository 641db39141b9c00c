// One of a few choices that are all in sight: native radio buttons in a row, moved by arrow keys.
import { useId } from 'react'
import styles from './segmented.module.css'

type SegmentedProps<T extends string> = {
  label: string
  options: readonly { value: T; title: string }[]
  value: T
  onChange: (value: T) => void
}

export function Segmented<T extends string>({ label, options, value, onChange }: SegmentedProps<T>) {
  const name = useId()
  return (
    <div role="radiogroup" aria-label={label} className={styles.group}>
      {options.map((option) => (
        <label key={option.value} className={styles.option}>
          <input
            type="radio"
            name={name}
            className="visually-hidden"
            checked={option.value === value}
            onChange={() => onChange(option.value)}
          />
          <span>{option.title}</span>
        </label>
      ))}
    </div>
  )
}
