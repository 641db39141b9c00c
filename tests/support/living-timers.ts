// Counts the timers of the product in this process that were set and have neither fired nor been cleared, those too that keep no
// process alive (`unref`), which `process.getActiveResourcesInfo` leaves out. Used by tests of what connections leave behind.
import { createHook } from 'node:async_hooks'
import { resolve, sep } from 'node:path'

const FOLDERS = ['link', 'client', 'server', 'shared'].map((one) => resolve(import.meta.dirname, '../..', one) + sep)

export class LivingTimers implements Disposable {
  /** Where each was set. */
  readonly #living = new Map<number, string>()
  readonly #everSet = new Set<string>()
  readonly #hook = createHook({
    init: (id, type) => {
      if (type !== 'Timeout') return
      const place = placeOfProduct(new Error('set here').stack ?? '')
      if (place === undefined) return
      this.#living.set(id, place)
      this.#everSet.add(place)
    },
    // Told when one was cleared, and when it has fired for the last time.
    destroy: (id) => void this.#living.delete(id),
  }).enable()

  /** Those set since this was made: file and line, sorted. Tests and what runs them set others, which do not count. */
  places(): string[] {
    return [...this.#living.values()].sort()
  }

  /** Whether a file of the product has set one since, living or not: what never sets any leaves none. */
  hasSeen(file: string): boolean {
    return [...this.#everSet].some((place) => place.includes(`${sep}${file}:`))
  }

  [Symbol.dispose](): void {
    this.#hook.disable()
  }
}

/** The innermost line of a stack that is the product's. */
function placeOfProduct(stack: string): string | undefined {
  const line = stack.split('\n').find((one) => FOLDERS.some((folder) => one.includes(folder)))
  return line?.trim().replace(/^at /, '')
}
