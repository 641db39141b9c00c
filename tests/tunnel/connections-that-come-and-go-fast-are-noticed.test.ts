// When a gateway's connections had better share tunnels: only while many short ones come and go.
import { beforeEach, expect, it } from 'vitest'
import { StreamChurn } from '../../client/cluster/stream-churn.ts'

let nowMs = 0
let churn: StreamChurn
beforeEach(() => {
  nowMs = 1_000_000
  churn = new StreamChurn(() => nowMs)
})

/** Short ones, one after the other, each over so long after the one before. */
function comeAndGo(count: number, everyMs: number): void {
  for (let at = 0; at < count; at++) {
    nowMs += everyMs
    churn.noteEnd(nowMs - 1, 100)
  }
}

it('G1: many short ones in a row are a churn, and it is over when they are', () => {
  comeAndGo(15, 2)
  expect(churn.isHigh).toBe(false)
  comeAndGo(1, 2)
  expect(churn.isHigh).toBe(true)
  nowMs += 100
  expect(churn.isHigh).toBe(false)
})

it('G1: slow ones are none, and one that lasts or carries much ends it', () => {
  comeAndGo(100, 10)
  expect(churn.isHigh).toBe(false)
  comeAndGo(16, 2)
  churn.noteEnd(nowMs - 501, 100)
  expect(churn.isHigh).toBe(false)
  comeAndGo(16, 2)
  churn.noteEnd(nowMs - 1, 64 * 1024 + 1)
  expect(churn.isHigh).toBe(false)
})

it('G1: a clock that is set back makes no churn of what was before', () => {
  comeAndGo(16, 2)
  nowMs -= 3_600_000
  expect(churn.isHigh).toBe(false)
})
