// Which entries of the palette were used last, kept in the page's storage; nothing depends on it.
import { z } from 'zod'

const KEY = 'postern.palette.recent'
const KEPT = 12
const Ids = z.array(z.string()).catch([])

/** The last one first. */
export function readRecent(): readonly string[] {
  try {
    return Ids.parse(JSON.parse(localStorage.getItem(KEY) ?? '[]'))
  } catch {
    // A browser that keeps nothing, or a value that is not ours.
    return []
  }
}

export function noteRecent(id: string): void {
  const ids = [id, ...readRecent().filter((other) => other !== id)].slice(0, KEPT)
  try {
    localStorage.setItem(KEY, JSON.stringify(ids))
  } catch {
    // Nothing is kept, then.
  }
}
