// What lies over the screens and belongs to no screen: whether the palette is open, a link to be confirmed, and the quiet
// note at the bottom.
import { create } from 'zustand'
import type { PageEventPayload } from '../transport/rpc-client.ts'

type Overlays = {
  isPaletteOpen: boolean
  /** A deep link that waits for the person's yes. */
  link: PageEventPayload<'shell.confirmLink'> | null
  note: { id: number; text: string } | null
}

export const useOverlays = create<Overlays>(() => ({ isPaletteOpen: false, link: null, note: null }))

export const openPalette = (): void => useOverlays.setState({ isPaletteOpen: true })
export const closePalette = (): void => useOverlays.setState({ isPaletteOpen: false })

/** Shows a sentence for a few seconds, and to screen readers; for outcomes that need no answer. */
export const note = (text: string): void =>
  useOverlays.setState((overlays) => ({ note: { id: (overlays.note?.id ?? 0) + 1, text } }))
/** Takes that note away, unless another one has taken its place. */
export const clearNote = (id: number): void =>
  useOverlays.setState((overlays) => (overlays.note?.id === id ? { note: null } : {}))
