// A modal dialog: focus goes in, stays in, and returns to where it was; Escape closes. The veil is ours: Radix' own overlay
// inserts a <style> element against scrolling, which the content security policy refuses (and nothing here scrolls).
import { Dialog as Radix } from 'radix-ui'
import { useRef, type ReactNode, type RefObject } from 'react'
import { classNames } from './class-names.ts'
import styles from './dialog.module.css'

type DialogProps = {
  isOpen: boolean
  /** Escape, a click outside, or a close button. */
  onClose: () => void
  title: ReactNode
  /** Read by screen readers after the title. */
  description?: ReactNode
  children: ReactNode
  /** A click beside it does nothing: for what must not be lost by accident. */
  isSticky?: boolean
  /** Title and description for screen readers only (the palette). */
  isBare?: boolean
  className?: string | undefined
  /** Called once it is gone and the focus is back. */
  onClosed?: () => void
  /** Where the focus goes first; without it, to the first control. */
  initialFocus?: RefObject<HTMLElement | null> | (() => HTMLElement | null)
}

export function Dialog(props: DialogProps) {
  const { isOpen, onClose, title, description, children, isSticky, isBare, className, onClosed, initialFocus } = props
  const focusBefore = useRef<HTMLElement | null>(null)
  return (
    <Radix.Root open={isOpen} onOpenChange={(open) => !open && onClose()}>
      <Radix.Portal>
        <div className={styles.veil} aria-hidden="true" />
        <Radix.Content
          className={classNames(styles.dialog, !isBare && styles.padded, className)}
          {...(description === undefined ? { 'aria-describedby': undefined } : {})}
          onOpenAutoFocus={(event) => {
            focusBefore.current = returnTarget()
            const first = typeof initialFocus === 'function' ? initialFocus() : initialFocus?.current
            if (!first) return
            event.preventDefault()
            first.focus()
          }}
          onCloseAutoFocus={(event) => {
            // Radix knows only the way back to a trigger of its own.
            event.preventDefault()
            focusBefore.current?.focus({ preventScroll: true })
            focusBefore.current = null
            onClosed?.()
          }}
          onInteractOutside={(event) => {
            if (isSticky) event.preventDefault()
          }}
        >
          <Radix.Title className={isBare ? 'visually-hidden' : styles.title} dir="auto">
            {title}
          </Radix.Title>
          {description !== undefined && (
            <Radix.Description className={isBare ? 'visually-hidden' : styles.description} asChild>
              <div>{description}</div>
            </Radix.Description>
          )}
          {children}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  )
}

/** What has the focus now; for an item of a menu, which is gone when the dialog closes, the button that opened the menu. */
function returnTarget(): HTMLElement | null {
  const focused = document.activeElement
  const trigger = focused?.closest('[role="menu"]')?.getAttribute('aria-labelledby')
  if (trigger) return document.getElementById(trigger)
  return focused instanceof HTMLElement ? focused : null
}

/** The row of buttons at the end of a dialog; `note` stands left of them. */
export function DialogActions({ note, children }: { note?: ReactNode; children: ReactNode }) {
  return (
    <div className={styles.actions}>
      {note !== undefined && <span className={styles.note}>{note}</span>}
      <div className={styles.buttons}>{children}</div>
    </div>
  )
}
