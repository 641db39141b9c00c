// Form fields: a label above, the control, and under it either a hint or what is wrong (announced). The control is tied to
// both by id.
import { useId, type ComponentProps, type ReactNode } from 'react'
import { classNames } from './class-names.ts'
import styles from './field.module.css'

type FieldProps = { label: string; hint?: ReactNode; error?: string | null | undefined; className?: string | undefined }
type ControlProps = { id: string; 'aria-describedby': string | undefined; 'aria-invalid': boolean | undefined }

function Frame({
  label,
  hint,
  error,
  className,
  children,
}: FieldProps & { children: (control: ControlProps) => ReactNode }) {
  const id = useId()
  const hasError = error !== null && error !== undefined && error !== ''
  const hasHint = hint !== undefined && hint !== null
  const note = hasError || hasHint ? `${id}-note` : undefined
  return (
    <div className={classNames(styles.field, className)}>
      <label htmlFor={id}>{label}</label>
      {children({ id, 'aria-describedby': note, 'aria-invalid': hasError ? true : undefined })}
      {hasError ? (
        <span id={note} role="alert" className={styles.error}>
          {error}
        </span>
      ) : (
        hasHint && (
          <span id={note} className={styles.hint}>
            {hint}
          </span>
        )
      )}
    </div>
  )
}

export function Field({ label, hint, error, className, ...input }: FieldProps & Omit<ComponentProps<'input'>, 'id'>) {
  return (
    <Frame label={label} hint={hint} error={error} className={className}>
      {(control) => (
        <input dir="auto" spellCheck={false} autoComplete="off" {...input} {...control} className={styles.input} />
      )}
    </Frame>
  )
}

/** A native select: the system's own list, quick by keyboard, long lists included. */
export function SelectField({
  label,
  hint,
  error,
  className,
  children,
  ...select
}: FieldProps & Omit<ComponentProps<'select'>, 'id'>) {
  return (
    <Frame label={label} hint={hint} error={error} className={className}>
      {(control) => (
        <select {...select} {...control} className={classNames(styles.input, styles.select)}>
          {children}
        </select>
      )}
    </Frame>
  )
}

/** A switch; its words stand elsewhere and are named by `aria-labelledby`. */
export function Switch(input: Omit<ComponentProps<'input'>, 'type' | 'role' | 'className'>) {
  return <input {...input} type="checkbox" role="switch" className={styles.switch} />
}
