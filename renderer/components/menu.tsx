// A menu under a button: arrow keys, type-ahead, Escape, focus back to the button. Not modal: Radix' modal menus insert a
// <style> element, which the content security policy refuses. Not in a portal: it stays in the landmark of its button.
import { DropdownMenu } from 'radix-ui'
import type { ReactNode } from 'react'
import { classNames } from './class-names.ts'
import styles from './menu.module.css'

/** `trigger`: one button that takes a ref and props. */
export function Menu({
  trigger,
  children,
  align = 'start',
}: {
  trigger: ReactNode
  children: ReactNode
  align?: 'start' | 'end'
}) {
  return (
    <DropdownMenu.Root modal={false}>
      <DropdownMenu.Trigger asChild>{trigger}</DropdownMenu.Trigger>
      <DropdownMenu.Content className={styles.menu} align={align} sideOffset={4} collisionPadding={8} loop>
        {children}
      </DropdownMenu.Content>
    </DropdownMenu.Root>
  )
}

export function MenuItem({
  icon,
  hint,
  isDanger = false,
  isDisabled = false,
  onSelect,
  children,
}: {
  icon?: ReactNode
  /** Right-aligned, quiet: a key or a state. */
  hint?: ReactNode
  isDanger?: boolean
  isDisabled?: boolean
  onSelect: () => void
  children: ReactNode
}) {
  return (
    <DropdownMenu.Item
      className={classNames(styles.item, isDanger && styles.danger)}
      disabled={isDisabled}
      onSelect={onSelect}
    >
      <span className={styles.icon}>{icon}</span>
      <span className={styles.text} dir="auto">
        {children}
      </span>
      {hint !== undefined && <span className={styles.hint}>{hint}</span>}
    </DropdownMenu.Item>
  )
}

export const MenuLabel = ({ children }: { children: ReactNode }) => (
  <DropdownMenu.Label className={styles.label} dir="auto">
    {children}
  </DropdownMenu.Label>
)

export const MenuSeparator = () => <DropdownMenu.Separator className={styles.separator} />
