// The quiet note at the bottom: an outcome that needs no answer, shown for a while and announced.
import { useEffect } from 'react'
import { clearNote, useOverlays } from '../state/overlays.ts'
import styles from './status-note.module.css'

const SHOWN_MS = 6000

export function StatusNote() {
  const current = useOverlays((overlays) => overlays.note)
  useEffect(() => {
    if (!current) return
    const timer = setTimeout(clearNote, SHOWN_MS)
    return () => clearTimeout(timer)
  }, [current])
  return (
    <div className={styles.place} role="status">
      {current && (
        <p key={current.id} className={styles.note} dir="auto">
          {current.text}
        </p>
      )}
    </div>
  )
}
