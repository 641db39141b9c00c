// The quiet note at the bottom: an outcome that needs no answer, shown for a while and announced. It belongs to the screen on
// which it came: it goes with the next step of the person, unless that step brought it.
import { useEffect, useRef } from 'react'
import { useRoute } from '../navigation.ts'
import { clearNote, useOverlays } from '../state/overlays.ts'
import styles from './status-note.module.css'

const SHOWN_MS = 6000

export function StatusNote() {
  const current = useOverlays((overlays) => overlays.note)
  useEffect(() => {
    if (!current) return
    const timer = setTimeout(() => clearNote(current.id), SHOWN_MS)
    return () => clearTimeout(timer)
  }, [current])
  const route = useRoute()
  const shown = useRef<number | null>(null)
  useEffect(() => {
    if (shown.current !== null) clearNote(shown.current)
  }, [route])
  // After the effect above: a note that came together with a step is not the one that was there before it.
  useEffect(() => {
    shown.current = current?.id ?? null
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
