// Where the window was: kept in a small file beside Chromium's own, read at the next start, and moved into view if that screen
// is gone. Called by main-window.ts; knows no Electron.
import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { writeFileAtomically } from '../client/atomic-file.ts'

const Bounds = z.object({ x: z.number().int(), y: z.number().int(), width: z.number().int(), height: z.number().int() })
export type Bounds = z.infer<typeof Bounds>

const Kept = z.object({ bounds: Bounds, maximized: z.boolean() })
export type KeptBounds = z.infer<typeof Kept>

export const SMALLEST = { width: 760, height: 520 }
export const FIRST_SIZE = { width: 1120, height: 760 }
/** So much of the window has to lie on a screen to be found again, in pixels each way. */
const VISIBLE_MIN = 80

/** What was kept; undefined if nothing ever was, or the file is torn: nothing is lost. */
export function readBounds(file: string): KeptBounds | undefined {
  try {
    return Kept.parse(JSON.parse(readFileSync(file, 'utf8')))
  } catch {
    return undefined
  }
}

/** The same if it can be seen on one of the work areas; undefined: let the system place a window of FIRST_SIZE. */
export const visibleBounds = (kept: KeptBounds | undefined, workAreas: readonly Bounds[]): KeptBounds | undefined =>
  kept && workAreas.some((area) => isVisibleOn(kept.bounds, area)) ? kept : undefined

export const writeBounds = (file: string, kept: KeptBounds): Promise<void> =>
  writeFileAtomically(file, JSON.stringify(kept))

function isVisibleOn(bounds: Bounds, area: Bounds): boolean {
  const across = Math.min(bounds.x + bounds.width, area.x + area.width) - Math.max(bounds.x, area.x)
  const down = Math.min(bounds.y + bounds.height, area.y + area.height) - Math.max(bounds.y, area.y)
  return across >= VISIBLE_MIN && down >= VISIBLE_MIN
}
