// What every way for bytes has to do, as checks that tests put to each of them: both directions whole at any pace, half-closes in all
// four orders, and a reset that looks like one. The ways are made by those who test them (Path, pumped-paths.ts).
import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import { text } from 'node:stream/consumers'
import { expect } from 'vitest'
import { exchange, type Ends, type Path } from './pumped-paths.ts'

export const MB = 1_000_000
export const GB = 1_000_000_000

/**
 * So many bytes each way, both at once, with readers and writers that are slow in phases: as often as a reader's phase begins every
 * buffer on the way fills up, in a writer's all of them run dry. The two directions are not in step.
 */
export async function carriesBulkBothWays(ends: Ends, bytes: number, seed: number): Promise<void> {
  const slow = { bytes, readerRests: 400_000, writerRests: 400_000 }
  const up = { ...slow, seed, phases: { slow: 4 * MB, of: 90 * MB } }
  const down = { ...slow, seed: seed + 1, phases: { slow: 4 * MB, of: 70 * MB } }
  expect(await exchange(ends, up, down)).toEqual([bytes, bytes])
}

/** Readers that stand still so often that every buffer on the way fills up, then writers that pause between small pieces. */
export async function goesAtAnyPace(path: Path, seed: number): Promise<void> {
  const slowReaders = { bytes: 12 * MB, readerRests: 500_000 }
  expect(await exchange(await path(), { ...slowReaders, seed }, { ...slowReaders, seed: seed + 1 })).toEqual([
    12 * MB,
    12 * MB,
  ])
  const slowWriters = { bytes: 6 * MB, writerRests: 200_000 }
  expect(await exchange(await path(), { ...slowWriters, seed: seed + 2 }, { ...slowWriters, seed: seed + 3 })).toEqual([
    6 * MB,
    6 * MB,
  ])
}

/** The near end first and the far one answers; the far one first; both at once; the near one before anything was said. */
export async function halfClosesInAllOrders(path: Path): Promise<void> {
  for (const order of ['near', 'far', 'both', 'early'] as const) {
    const { near, far } = await path()
    if (order === 'both') {
      near.end('question')
      far.end('answer')
      expect(await Promise.all([text(far), text(near)])).toEqual(['question', 'answer'])
      continue
    }
    const [first, second] = order === 'far' ? [far, near] : [near, far]
    const question = order === 'early' ? '' : 'question'
    first.end(question)
    expect(await text(second)).toBe(question)
    second.end('answer, after the other has ended')
    expect(await text(first)).toBe('answer, after the other has ended')
  }
}

/** Broken off by one end in the middle of a transfer of both: the other hears of a reset, never of an end. */
export async function breaksOffAsAReset(path: Path, side: 'near' | 'far'): Promise<void> {
  const ends = await path()
  const [breaker, other]: [Duplex, Duplex] = side === 'near' ? [ends.near, ends.far] : [ends.far, ends.near]
  let hasEnded = false
  other.once('end', () => (hasEnded = true))
  // More is waiting than goes through at once.
  const block = Buffer.alloc(4 * MB, side)
  breaker.write(block)
  other.write(block)
  const broken = once(other, 'error')
  await Promise.all([once(other, 'data'), once(breaker, 'data')])
  if (side === 'near') ends.resetNear()
  else ends.resetFar()
  expect(await broken).toMatchObject([{ code: 'ECONNRESET' }])
  expect(hasEnded).toBe(false)
  for (const end of [ends.near, ends.far]) end.destroy()
}
