// A QR code, drawn here as one SVG path: dark on white in both themes, as cameras want it, with the quiet zone of four modules
// around it (ISO/IEC 18004, 6.3.8).
import { create } from 'qrcode'
import { useMemo } from 'react'
import styles from './qr-code.module.css'

const QUIET_ZONE = 4

/** `label`: what it is, for those who cannot see it. */
export function QrCode({ text, label }: { text: string; label: string }) {
  const { size, path } = useMemo(() => draw(text), [text])
  return (
    <svg
      className={styles.code}
      viewBox={`0 0 ${size} ${size}`}
      role="img"
      aria-label={label}
      shapeRendering="crispEdges"
    >
      <rect width={size} height={size} fill="#ffffff" />
      <path d={path} fill="#000000" />
    </svg>
  )
}

/** One horizontal stroke for each run of dark modules. */
function draw(text: string): { size: number; path: string } {
  const { modules } = create(text, { errorCorrectionLevel: 'M' })
  const strokes: string[] = []
  for (let row = 0; row < modules.size; row++) {
    for (let column = 0; column < modules.size; column++) {
      if (!modules.get(row, column)) continue
      const from = column
      while (column < modules.size && modules.get(row, column)) column++
      strokes.push(`M${from + QUIET_ZONE} ${row + QUIET_ZONE}h${column - from}v1h${from - column}z`)
    }
  }
  return { size: modules.size + 2 * QUIET_ZONE, path: strokes.join('') }
}
