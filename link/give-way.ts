// Gives the processor to whoever waits for it. A process that carries bulk never sleeps, and the system lets it run to the end of its
// time, some milliseconds, while one that has only a byte to carry waits. Linux only; elsewhere, and without koffi, nobody gives way.
// Called between two turns of bulk where others would wait for it (turns.ts).
import { loadCLibrary, type CLibrary } from './c-library.ts'

/**
 * Makes a function that gives way, sched_yield(2): it returns at once where nobody waits for this processor, never throws, and does
 * nothing before the library is there (its first call asks for it) or where there is none.
 */
export function createGiveWay(load: () => Promise<Pick<CLibrary, 'func'>> = loadCLibrary): () => void {
  let yieldProcessor: (() => void) | undefined
  let isAsked = process.platform !== 'linux'
  const ask = async (): Promise<void> => {
    const library = await load()
    yieldProcessor = library.func('int sched_yield(void)') as () => void
  }
  return () => {
    if (yieldProcessor) yieldProcessor()
    else if (!isAsked) {
      isAsked = true
      // Without it all works as it does elsewhere.
      ask().catch(() => undefined)
    }
  }
}

/** That of this process. */
export const giveWay = createGiveWay()
