// Gives the memory of password hashes back to the system. glibc learns from the first 19 MiB that are freed that such pieces come again,
// and from then on keeps one for each thread that hashes: 80 MiB of a server that did nothing but log people in. Called by password.ts.
import { loadCLibrary, type CLibrary } from '../../link/c-library.ts'

/** mallopt(3): pieces from that size on come from the system one by one, and go back to it when they are freed. */
const M_MMAP_THRESHOLD = -3
/** mallopt(3): so much is kept at the end of the heap; glibc's own ratio to the above. */
const M_TRIM_THRESHOLD = -1
/** More than any buffer on the way of a byte, in bytes: those are kept, as before. */
const BIG_BYTES = 1024 * 1024

/**
 * For this process, from now on. A hash costs some 8 ms more, of 25, for pages that the system has to clear. Never rejects: where there
 * is no glibc, or no koffi to reach it, all stays as it is.
 * @returns whether it is so now
 */
export async function giveBigMemoryBack(load: () => Promise<Pick<CLibrary, 'func'>> = loadCLibrary): Promise<boolean> {
  if (process.platform !== 'linux') return false
  try {
    const library = await load()
    const mallopt = library.func('int mallopt(int param, int value)') as (param: number, value: number) => number
    return mallopt(M_MMAP_THRESHOLD, BIG_BYTES) === 1 && mallopt(M_TRIM_THRESHOLD, 2 * BIG_BYTES) === 1
  } catch {
    return false
  }
}
