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

/** What was kept, if it can still be seen on one of the work areas; undefined: let the system place a window of FIRST_SIZE. */
export function readBounds(file: string, workAreas: readonly Bounds[]): KeptBounds | undefined {
  try {
    const kept = Kept.parse(JSON.parse(readFileSync(file, 'utf8')))
    return workAreas.some((area) => isVisibleOn(kept.bounds, area)) ? kept : undefined
  } catch {
    // Never kept, or torn: nothing is lost.
    return undefined
  }
}

export const writeBounds = (file: string, kept: KeptBounds): Promise<void> =>
  writeFileAtomically(file, JSON.stringify(kept))

function isVisibleOn(bounds: Bounds, area: Bounds): boolean {
  const across = Math.min(bounds.x + bounds.width, area.x + area.width) - Math.max(bounds.x, area.x)
  const down = Math.min(bounds.y + bounds.height, area.y + area.height) - Math.max(bounds.y, area.y)
  return across >= VISIBLE_MIN && down >= VISIBLE_MIN
}
