// The limit of a wait: what ends it, what its reason is, and that no timer and no listener stays.
import { expect, it } from 'vitest'
import { TimeLimit } from '../../link/time-limit.ts'

const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
const LONG_MS = 600_000

it('G8: the outer signal ends it with its own reason, also one that has aborted before, and takes the timer away', () => {
  const before = timers()
  for (const isEarly of [true, false]) {
    const outer = new AbortController()
    const reason = new Error('the gateway closes')
    if (isEarly) outer.abort(reason)
    const limit = new TimeLimit(outer.signal, LONG_MS)
    outer.abort(reason)
    expect(limit.signal.reason).toBe(reason)
    expect(limit.isLate).toBe(false)
  }
  expect(timers()).toBe(before)
})

it('G9: the time ends it and says so; what the outer signal does afterwards changes nothing', async () => {
  const outer = new AbortController()
  const limit = new TimeLimit(outer.signal, 1)
  await expect.poll(() => limit.signal.aborted).toBe(true)
  outer.abort(new Error('later'))
  expect(limit.isLate).toBe(true)
  expect(String(limit.signal.reason)).toContain('not within 1 ms')
})

it('G8: a wait that is over leaves no timer, and its signal is not aborted by what comes later', () => {
  const before = timers()
  const outer = new AbortController()
  const limits = Array.from({ length: 100 }, () => new TimeLimit(outer.signal, LONG_MS))
  expect(timers()).toBe(before + 100)
  for (const limit of limits) limit.end()
  for (const limit of limits) limit.end()
  expect(timers()).toBe(before)
  outer.abort()
  expect(limits.some(({ signal }) => signal.aborted)).toBe(false)
})
