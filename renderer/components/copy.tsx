// Copying: a button that says that it worked, in place and to screen readers, and a field that shows what is copied.
import { Check, Copy, X } from 'lucide-react'
import { useEffect, useState, type ReactNode } from 'react'
import { copyText } from '../state/call.ts'
import { note } from '../state/overlays.ts'
import { texts } from '../texts.ts'
import { Button } from './button.tsx'
import styles from './copy.module.css'

/** How long the button says `Copied`, in ms. */
const SHOWN_MS = 1600

type CopyButtonProps = {
  text: string
  /** Its accessible name, e.g. "Copy address". */
  label: string
  size?: 'small' | 'normal' | 'large'
  kind?: 'plain' | 'quiet' | 'primary'
}

export function CopyButton({ text, label, size = 'small', kind = 'plain' }: CopyButtonProps) {
  const [outcome, setOutcome] = useState<'copied' | 'failed' | null>(null)
  useEffect(() => {
    if (outcome === null) return
    const timer = setTimeout(() => setOutcome(null), SHOWN_MS)
    return () => clearTimeout(timer)
  }, [outcome])

  const copy = async (): Promise<void> => {
    const isCopied = await copyText(text)
    setOutcome(isCopied ? 'copied' : 'failed')
    if (!isCopied) note(texts.common.copyFailed)
  }
  return (
    <Button
      size={size}
      kind={kind}
      aria-label={label}
      title={label}
      icon={outcome === 'copied' ? <Check /> : outcome === 'failed' ? <X /> : <Copy />}
      onClick={() => void copy()}
      className={styles.button}
    >
      <span aria-live="polite">
        {outcome === null ? texts.common.copy : outcome === 'copied' ? texts.common.copied : texts.common.copyFailed}
      </span>
    </Button>
  )
}

/** The parts of an address are where a line may break first; the text that is selected stays the same. */
const withBreaks = (text: string): ReactNode[] =>
  text.split(/(?<=[/?&@,;=])(?!\/)/).flatMap((part, index) => (index === 0 ? [part] : [<wbr key={index} />, part]))

/** Text that one copies: selectable, monospaced, wrapped. */
export function CopyField({ text, label }: { text: string; label: string }) {
  return (
    <div className={styles.field}>
      <pre className={styles.text} tabIndex={0} aria-label={label} role="group">
        {withBreaks(text)}
      </pre>
      <div className={styles.corner}>
        <CopyButton text={text} label={label} />
      </div>
    </div>
  )
}
