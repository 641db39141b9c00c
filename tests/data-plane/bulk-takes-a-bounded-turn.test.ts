// What one connection may take of a turn of the event loop, in bytes that the pump read in it: everybody else waits for that.
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { linkOf, type Link } from '../../link/link.ts'
import { noteSmallPiece, turnBytes } from '../../link/turns.ts'
import { socketLinks, tlsPair } from '../support/tunnel-pair.ts'

const KIB = 1024
const BULK_BYTES = 24 * KIB * KIB
/** What TLS has decrypted when it is told to stop comes all the same: a read of the system and what was left of the one before. */
const DECRYPTED_BYTES = 2 * 16 * KIB

/** Where bulk is written, and the link that it comes from. */
async function source(kind: 'TCP' | 'TLS'): Promise<[Socket, Link]> {
  if (kind === 'TCP') return socketLinks()
  const { near, far, farTransport } = await tlsPair()
  return [near, linkOf(far, farTransport)]
}

// Time stands still, a while after the test before.
let laterMs = performance.now()
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'], now: Date.now() })
  laterMs += 60_000
  vi.advanceTimersByTime(laterMs)
})
afterEach(() => void vi.useRealTimers())

/** Carries bulk, and tells the most that was read of it in one turn. */
async function mostInATurn(kind: 'TCP' | 'TLS'): Promise<number> {
  const [writer, from] = await source(kind)
  const [reader, to] = await socketLinks()
  const progress = { forward: 0, backward: 0 }
  const pumped = from.pumpTo(to, progress)
  reader.resume()
  // All of it waits in the system's buffers and Node's: whoever reads finds the socket full.
  writer.end(Buffer.alloc(BULK_BYTES))
  reader.end()
  let most = 0
  for (let before = 0; progress.forward < BULK_BYTES; before = progress.forward) {
    await turn()
    most = Math.max(most, progress.forward - before)
  }
  await Promise.all([pumped, reader.closed || once(reader, 'close')])
  writer.destroy()
  return most
}

describe('G1: a connection with all that it can carry waiting', () => {
  it.each([
    // More than the smaller share, or the tests below have shown nothing.
    ['TCP', 128 * KIB],
    ['TLS', 0],
  ] as const)('takes 256 KiB of a turn where it is alone (%s)', async (kind, atLeast) => {
    const most = await mostInATurn(kind)
    expect(most).toBeLessThanOrEqual(256 * KIB + DECRYPTED_BYTES)
    expect(most).toBeGreaterThan(atLeast)
  })

  it.each(['TCP', 'TLS'] as const)('takes 64 KiB beside one that carries little at a time (%s)', async (kind) => {
    noteSmallPiece()
    // What TLS brings is counted as it is written: what the turn before had gathered comes on top of this one's.
    const turns = kind === 'TLS' ? 2 : 1
    expect(await mostInATurn(kind)).toBeLessThanOrEqual(turns * (64 * KIB + DECRYPTED_BYTES))
  })

  it('is beside one as soon as a small piece of another has passed, and alone again when that was a while ago', async () => {
    const [asking, near] = await socketLinks()
    const [answering, far] = await socketLinks()
    const pumped = near.pumpTo(far)
    expect(turnBytes()).toBe(256 * KIB)
    asking.write('x')
    await once(answering, 'data')
    expect(turnBytes()).toBe(64 * KIB)
    vi.advanceTimersByTime(1000)
    expect(turnBytes()).toBe(256 * KIB)
    for (const end of [asking.resume(), answering]) end.end()
    await pumped
  })
})
