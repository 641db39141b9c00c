// What a connection waits for while it begins is over at once when its client hangs up, when its session or the server ends, or when
// it is too late, each with its own reason; and nothing of a wait that is over is left behind.
import { getEventListeners } from 'node:events'
import { PassThrough } from 'node:stream'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { linkOf, type Link } from '../../link/link.ts'
import { ClientGone, TimeLimit } from '../../link/time-limit.ts'
import { SessionEnded } from '../../server/seams.ts'

let link: Link
let outer: AbortController
let before: number
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  link = linkOf(new PassThrough())
  outer = new AbortController()
  before = link.stream.listenerCount('close')
})
afterEach(() => {
  link.destroy()
  vi.useRealTimers()
})

const left = () => [
  link.stream.listenerCount('close') - before,
  getEventListeners(outer.signal, 'abort').length,
  vi.getTimerCount(),
]

it('S5: a client that hangs up ends it, also one that has hung up before', async () => {
  const limit = new TimeLimit(outer.signal, 1000, link.stream)
  const { closed } = link
  link.destroy()
  await closed
  expect(limit.signal.reason).toBeInstanceOf(ClientGone)
  expect(limit.isLate).toBe(false)
  expect(new TimeLimit(outer.signal, 1000, link.stream).signal.reason).toBeInstanceOf(ClientGone)
  expect(getEventListeners(outer.signal, 'abort')).toEqual([])
  expect(vi.getTimerCount()).toBe(0)
})

it('S5: the end of its session or of the server ends it with that reason, also one that came before', () => {
  const limit = new TimeLimit(outer.signal, 1000, link.stream)
  const ended = new SessionEnded('cancelled')
  outer.abort(ended)
  expect([limit.signal.reason, limit.isLate]).toEqual([ended, false])
  expect(new TimeLimit(outer.signal, 1000, link.stream).signal.reason).toBe(ended)
  expect(left()).toEqual([0, 0, 0])
})

it('C5, S5: the deadline ends it, and only the deadline is late', () => {
  const limit = new TimeLimit(outer.signal, 1000, link.stream)
  vi.advanceTimersByTime(999)
  expect(limit.signal.aborted).toBe(false)
  vi.advanceTimersByTime(1)
  expect(limit.signal.reason).toMatchObject({ name: 'TimeoutError' })
  expect(limit.isLate).toBe(true)
  expect(left()).toEqual([0, 0, 0])
})

it('S5: once what was waited for is there nothing ends it any more, and nothing of it is left', async () => {
  const limit = new TimeLimit(outer.signal, 1000, link.stream)
  limit.end()
  limit.end()
  expect(left()).toEqual([0, 0, 0])
  outer.abort()
  vi.advanceTimersByTime(2000)
  const { closed } = link
  link.destroy()
  await closed
  expect(limit.signal.aborted).toBe(false)
})
