// What one connection may take of a turn of the event loop, in bytes that the pump read in it: everybody else waits for that.
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { linkOf, type Link } from '../../link/link.ts'
import { turns } from '../../link/turns.ts'
import { socketLinks, tlsPair } from '../support/tunnel-pair.ts'

const KIB = 1024
const BULK_BYTES = 24 * KIB * KIB
/** What TLS has read of the system when it is told to stop comes all the same: 64 KiB of records, and one that was cut in two. */
const DECRYPTED_BYTES = (64 + 16) * KIB

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
  // What TLS brings is counted as it is written: what the turn before had gathered comes on top of this one's.
  it.each([
    // More than the smaller share, or the tests below have shown nothing.
    ['TCP', 256 * KIB, 128 * KIB],
    ['TLS', 2 * (256 * KIB + DECRYPTED_BYTES), 0],
  ] as const)('takes 256 KiB of a turn where it is alone (%s)', async (kind, atMost, atLeast) => {
    const most = await mostInATurn(kind)
    expect(most).toBeLessThanOrEqual(atMost)
    expect(most).toBeGreaterThan(atLeast)
  })

  it.each([
    // A connection's first KiB is not counted.
    ['TCP', 33 * KIB],
    // As much as TLS has read of the system, whatever its share.
    ['TLS', 2 * DECRYPTED_BYTES],
  ] as const)('takes 32 KiB beside one that carries little at a time (%s)', async (kind, atMost) => {
    const small = { from: {}, smallAtMs: -Infinity }
    for (let n = 0; n < 2; n++) turns.noteSmallPiece(small)
    expect(await mostInATurn(kind)).toBeLessThanOrEqual(atMost)
  })

  it.each([
    ['small pieces of another have passed', 0],
    ['another that had a long answer says small things again', 256 * KIB],
  ])('is beside one as soon as %s, and alone again when that was a while ago', async (_, answerBytes) => {
    const [asking, near] = await socketLinks()
    const [answering, far] = await socketLinks()
    const pumped = near.pumpTo(far)
    if (answerBytes > 0) {
      asking.write(Buffer.alloc(answerBytes))
      for (let read = 0; read < answerBytes;) read += ((await once(answering, 'data')) as [Buffer])[0].length
    }
    expect(turns.bytesFor({ from: {}, to: {} })).toBe(256 * KIB)
    for (let n = 0; n < 2; n++) {
      asking.write('x')
      await once(answering, 'data')
    }
    expect(turns.bytesFor({ from: {}, to: {} })).toBe(32 * KIB)
    vi.advanceTimersByTime(1000)
    expect(turns.bytesFor({ from: {}, to: {} })).toBe(256 * KIB)
    for (const end of [asking.resume(), answering]) end.end()
    await pumped
  })
})
