// A field to search in: a glass before the words, a button to clear them after. Escape clears them, too. Stands in the bars over
// lists.
import { Search, X } from 'lucide-react'
import type { ComponentProps } from 'react'
import { IconButton } from './button.tsx'
import { classNames } from './class-names.ts'
import styles from './find-field.module.css'

type FindFieldProps = {
  /** Name of the field, and what stands in it while it is empty. */
  label: string
  value: string
  onChange: (words: string) => void
  clearLabel: string
  /** Clears more than the words, where the button stands for more; it is there when there is any of that. */
  clearMore?: { isShown: boolean; onClear: () => void }
  className?: string | undefined
  maxLength?: number
  onEnter?: () => void
}

export function FindField({
  label,
  value,
  onChange,
  clearLabel,
  clearMore,
  className,
  maxLength,
  onEnter,
}: FindFieldProps) {
  const onKeyDown: ComponentProps<'input'>['onKeyDown'] = (event) => {
    if (event.key === 'Enter') onEnter?.()
    if (event.key === 'Escape' && value !== '') onChange('')
  }
  return (
    <div className={classNames(styles.find, className)}>
      <Search aria-hidden="true" />
      <input
        type="text"
        dir="auto"
        spellCheck={false}
        autoComplete="off"
        maxLength={maxLength}
        aria-label={label}
        placeholder={label}
        value={value}
        onChange={(event) => onChange(event.target.value)}
        onKeyDown={onKeyDown}
      />
      {(value !== '' || clearMore?.isShown === true) && (
        <IconButton label={clearLabel} className={styles.clear} onClick={clearMore?.onClear ?? (() => onChange(''))}>
          <X />
        </IconButton>
      )}
    </div>
  )
}
