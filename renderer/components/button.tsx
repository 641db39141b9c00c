// Buttons. `primary` is the one thing to do here, `danger` what cannot be undone, `quiet` has no frame. While `isPending` it
// keeps its place and its focus and does nothing.
import type { ComponentProps, ReactNode } from 'react'
import { classNames } from './class-names.ts'
import styles from './button.module.css'
import { Spinner } from './spinner.tsx'

type ButtonProps = ComponentProps<'button'> & {
  kind?: 'primary' | 'plain' | 'quiet' | 'danger'
  size?: 'small' | 'normal' | 'large'
  icon?: ReactNode
  isPending?: boolean
}

export function Button({
  kind = 'plain',
  size = 'normal',
  icon,
  isPending = false,
  className,
  children,
  onClick,
  ...rest
}: ButtonProps) {
  return (
    <button
      type="button"
      {...rest}
      className={classNames(styles.button, styles[kind], styles[size], className)}
      aria-disabled={isPending || rest['aria-disabled']}
      onClick={(event) => {
        if (isPending) event.preventDefault()
        else onClick?.(event)
      }}
    >
      {isPending ? <Spinner /> : icon}
      {children}
    </button>
  )
}

/** A button that is only an icon: `label` is its name and its tooltip. */
export function IconButton({
  label,
  children,
  className,
  ...rest
}: Omit<ComponentProps<'button'>, 'aria-label'> & { label: string }) {
  return (
    <button type="button" title={label} {...rest} aria-label={label} className={classNames(styles.icon, className)}>
      {children}
    </button>
  )
}
